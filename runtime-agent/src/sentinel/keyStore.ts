/**
 * Keys of runs that the state has forgotten, on the disk: one file a day, records of a fixed length with a checksum. A
 * file goes when its day is over the bound; until then none of its keys runs again.
 */
import { createHash } from "node:crypto";
import { constants, mkdir, open, readdir, unlink } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { failpoint } from "../shared/failpoints.ts";
import { syncFolder } from "../shared/stateFile.ts";
import type { EndState } from "./core/types.ts";
import type { FoundKey } from "./keyTable.ts";
import { encodeKey, KeyTable } from "./keyTable.ts";

const form = /^keys-(\d{1,7})$/;
const bodyBytes = 48;
const recordBytes = bodyBytes + 4;
const dayMs = 86_400_000;
/** Records read in one go. */
const chunk = 1024;

export interface EndedKey {
  readonly agent: string;
  readonly key: string;
  readonly runId: string;
  readonly digest: string;
  readonly state: EndState;
  readonly endedMs: number;
}

export interface KeyStore {
  readonly size: number;
  /** Records that could not be believed when it was opened. */
  readonly damaged: number;
  find(agent: string, key: string): FoundKey | undefined;
  /** Ends when they are on the disk. */
  add(keys: readonly EndedKey[]): Promise<void>;
  /** Forgets the days before an instant. */
  dropBefore(wallMs: number): Promise<void>;
}

function idOf(agent: string, key: string): Buffer {
  return createHash("sha256").update(`${agent}\n${key}`, "utf8").digest().subarray(0, 16);
}

function withChecksum(body: Buffer): Buffer {
  const record = Buffer.alloc(recordBytes);
  body.copy(record);
  record.writeUInt32LE(crc32(body), bodyBytes);
  return record;
}

/** The records of a file; one that is cut short or altered is passed over and counted. */
async function readFileInto(table: KeyTable, file: string): Promise<number> {
  const handle = await open(file, "r");
  try {
    let damaged = 0;
    const buffer = Buffer.alloc(recordBytes * chunk);
    for (let position = 0; ; position += buffer.length) {
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, position);
      for (let at = 0; at < bytesRead; at += recordBytes) {
        const body = buffer.subarray(at, at + bodyBytes);
        if (at + recordBytes > bytesRead || crc32(body) !== buffer.readUInt32LE(at + bodyBytes)) damaged += 1;
        else table.add(body);
      }
      if (bytesRead < buffer.length) return damaged;
    }
  } finally {
    await handle.close();
  }
}

/** A place at the end that is a whole number of records: what a crash cut short is passed over. */
async function append(handle: FileHandle, bytes: Buffer): Promise<void> {
  const { size } = await handle.stat();
  const start = Math.ceil(size / recordBytes) * recordBytes;
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, start + done);
    if (bytesWritten === 0) throw new Error("nothing was written");
    done += bytesWritten;
  }
  await handle.datasync();
}

/** Opens the store of a folder (made 0700 when missing). */
export async function openKeyStore(folder: string): Promise<KeyStore> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const table = new KeyTable();
  let damaged = 0;
  for (const name of await readdir(folder))
    if (form.test(name)) damaged += await readFileInto(table, join(folder, name));
  return {
    get size() {
      return table.size;
    },
    damaged,
    find: (agent, key) => table.find(idOf(agent, key)),
    async add(keys) {
      const days = new Map<number, Buffer[]>();
      for (const { agent, key, endedMs, ...rest } of keys) {
        const day = Math.floor(endedMs / dayMs);
        days.set(day, [...(days.get(day) ?? []), encodeKey({ id: idOf(agent, key), day, ...rest })]);
      }
      for (const [day, slots] of days) {
        const handle = await open(join(folder, `keys-${String(day)}`), constants.O_RDWR | constants.O_CREAT, 0o600);
        try {
          await failpoint("sentinel.keys");
          await append(handle, Buffer.concat(slots.map(withChecksum)));
        } finally {
          await handle.close();
        }
        for (const slot of slots) table.add(slot);
      }
      await syncFolder(folder);
    },
    async dropBefore(wallMs) {
      const day = Math.floor(wallMs / dayMs);
      const old = (await readdir(folder)).filter((name) => Number(form.exec(name)?.[1] ?? Number.NaN) < day);
      if (old.length === 0) return;
      for (const name of old) await unlink(join(folder, name));
      table.dropBefore(day);
    },
  };
}
