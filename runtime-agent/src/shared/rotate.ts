import { closeSync, fstatSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import path from "node:path";

export interface RotatingFileOptions {
  /** Size at which the file becomes `<file>.1`, bytes. @default 8 MiB */
  readonly maxBytes?: number;
  /** Old files kept: `.1` is the youngest. @default 4 */
  readonly keep?: number;
}

/** A log file of lines in bounded space. */
export interface RotatingFile {
  /** Adds one line. Never throws: a line that cannot be written (full disk) is counted and lost. */
  write(line: string): void;
  readonly lost: number;
  close(): void;
}

/**
 * Opens (or makes, 0600) a log file for appending. Not fsynced: it holds samples, not decisions. Writes are
 * synchronous, short and into the page cache, so that lines keep their order without a queue to bound.
 */
export function openRotatingFile(file: string, options: RotatingFileOptions = {}): RotatingFile {
  const maxBytes = options.maxBytes ?? 8 * 1024 * 1024;
  const keep = options.keep ?? 4;
  let fd: number | undefined;
  let size = 0;
  let lost = 0;

  function reopen(): number {
    mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
    const opened = openSync(file, "a", 0o600);
    size = fstatSync(opened).size;
    fd = opened;
    return opened;
  }

  function shift(): void {
    if (fd !== undefined) closeSync(fd);
    fd = undefined;
    for (let number = keep - 1; number >= 1; number -= 1) {
      try {
        renameSync(`${file}.${String(number)}`, `${file}.${String(number + 1)}`);
      } catch {
        // There are not that many yet.
      }
    }
    if (keep > 0) renameSync(file, `${file}.1`);
    else rmSync(file);
  }

  return {
    write(line) {
      try {
        const bytes = Buffer.from(`${line}\n`, "utf8");
        let open = fd ?? reopen();
        if (size > 0 && size + bytes.length > maxBytes) {
          shift();
          open = reopen();
        }
        size += writeSync(open, bytes);
      } catch {
        lost += 1;
      }
    },
    get lost() {
      return lost;
    },
    close() {
      if (fd !== undefined) closeSync(fd);
      fd = undefined;
    },
  };
}
