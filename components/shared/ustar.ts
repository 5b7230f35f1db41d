/** A POSIX ustar archive, byte for byte the same for the same entries: one owner, one time, sorted names. */

export interface ArchiveEntry {
  /** Path in the archive; {@link fitsUstar}. */
  readonly name: string;
  readonly mode: 0o644 | 0o755;
  readonly content: Buffer;
}

const blockBytes = 512;
/** 2020-01-01T00:00:00Z: tar warns about files from before its own time. */
const modifiedSec = 1_577_836_800;

/** The two fields of a path, at most 155 and 100 bytes, divided at a slash (POSIX pax(1), "ustar Interchange Format"). */
function pathFields(name: string): readonly [prefix: string, name: string] | undefined {
  if (Buffer.byteLength(name) <= 100) return ["", name];
  // The last slash ends the name of a folder, and divides nothing.
  for (let at = name.indexOf("/"); at !== -1 && at < name.length - 1; at = name.indexOf("/", at + 1)) {
    const fields = [name.slice(0, at), name.slice(at + 1)] as const;
    if (Buffer.byteLength(fields[1]) <= 100) return Buffer.byteLength(fields[0]) <= 155 ? fields : undefined;
  }
  return undefined;
}

/** Whether a path can be written into such an archive. */
export function fitsUstar(name: string): boolean {
  return pathFields(name) !== undefined;
}

function header(name: string, mode: number, size: number, kind: "0" | "5"): Buffer {
  const fields = pathFields(name);
  if (fields === undefined) throw new RangeError(`${name}: more than 255 bytes, or a part of more than 100`);
  const block = Buffer.alloc(blockBytes);
  const octal = (value: number, offset: number, width: number): void => {
    block.write(value.toString(8).padStart(width - 1, "0"), offset, "latin1");
  };
  block.write(fields[1], 0, "utf8");
  octal(mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(size, 124, 12);
  octal(modifiedSec, 136, 12);
  block.write("        ", 148, "latin1");
  block.write(kind, 156, "latin1");
  block.write("ustar\u000000", 257, "latin1");
  block.write("root", 265, "latin1");
  block.write("root", 297, "latin1");
  block.write(fields[0], 345, "utf8");
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}

function foldersOf(names: readonly string[]): readonly string[] {
  const folders = names.flatMap((name) => {
    const parts = name.split("/").slice(0, -1);
    return parts.map((_, index) => `${parts.slice(0, index + 1).join("/")}/`);
  });
  return [...new Set(folders)];
}

/** The archive, folders included. */
export function ustar(entries: readonly ArchiveEntry[]): Buffer {
  const files = new Map(entries.map((entry) => [entry.name, entry]));
  if (files.size !== entries.length) throw new RangeError("two entries of one name");
  const names = [...foldersOf([...files.keys()]), ...files.keys()].toSorted();
  const blocks = names.flatMap((name) => {
    const file = files.get(name);
    if (file === undefined) return [header(name, 0o755, 0, "5")];
    const padding = (blockBytes - (file.content.length % blockBytes)) % blockBytes;
    return [header(name, file.mode, file.content.length, "0"), file.content, Buffer.alloc(padding)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(2 * blockBytes)]);
}
