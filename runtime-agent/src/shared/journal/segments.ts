import type { FileHandle } from "node:fs/promises";
import { open, readdir } from "node:fs/promises";
import path from "node:path";

const form = /^journal-(\d{8})\.log$/;

/** `journal-00000001.log`: numbers only grow, so that the order survives any clock. */
export function segmentName(number: number): string {
  return `journal-${String(number).padStart(8, "0")}.log`;
}

/** Numbers of the segments in a folder, oldest first. Files of other names are left alone. */
export async function segmentNumbers(dir: string): Promise<number[]> {
  const names = await readdir(dir);
  const numbers = names.map((name) => Number(form.exec(name)?.[1] ?? Number.NaN)).filter((n) => Number.isInteger(n));
  return numbers.toSorted((a, b) => a - b);
}

/** Writes all of it at a place; a write that is cut short (full disk) throws. */
export async function writeAll(handle: FileHandle, bytes: Buffer, position: number): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done);
    if (bytesWritten === 0) throw new Error("nothing was written");
    done += bytesWritten;
  }
}

const chunkBytes = 64 * 1024;

/** Offset just after the last line feed: what follows it was never acknowledged. */
export async function endOfLastLine(handle: FileHandle): Promise<number> {
  const { size } = await handle.stat();
  const chunk = Buffer.alloc(chunkBytes);
  for (let end = size; end > 0;) {
    const start = Math.max(0, end - chunkBytes);
    const { bytesRead } = await handle.read(chunk, 0, end - start, start);
    const found = chunk.subarray(0, bytesRead).lastIndexOf(0x0a);
    if (found >= 0) return start + found + 1;
    end = start;
  }
  return 0;
}

/** A line, or the news that one was longer than `most` and is passed over. */
export type RawLine = { readonly bytes: Buffer } | { readonly tooLong: true };

/** The lines of a segment's first `size` bytes, in bounded memory. What follows the last line feed is a line too. */
export async function* segmentLines(dir: string, number: number, size: number, most: number): AsyncGenerator<RawLine> {
  const handle = await open(path.join(dir, segmentName(number)), "r");
  try {
    let rest = Buffer.alloc(0);
    let skipping = false;
    for (let position = 0; position < size;) {
      const chunk = Buffer.alloc(Math.min(chunkBytes, size - position));
      const { bytesRead } = await handle.read(chunk, 0, chunk.length, position);
      if (bytesRead === 0) break;
      position += bytesRead;
      rest = Buffer.concat([rest, chunk.subarray(0, bytesRead)]);
      for (let end = rest.indexOf(0x0a); end >= 0; end = rest.indexOf(0x0a)) {
        yield skipping ? { tooLong: true } : { bytes: rest.subarray(0, end) };
        skipping = false;
        rest = rest.subarray(end + 1);
      }
      if (rest.length > most) {
        skipping = true;
        rest = Buffer.alloc(0);
      }
    }
    if (skipping) yield { tooLong: true };
    else if (rest.length > 0) yield { bytes: rest };
  } finally {
    await handle.close();
  }
}
