import type { FileHandle } from "node:fs/promises";
import { mkdir, open, stat, unlink } from "node:fs/promises";
import path from "node:path";
import { failpoint } from "../failpoints.ts";
import { syncFolder } from "../stateFile.ts";
import type { Journal, JournalEntry, JournalOptions } from "./index.ts";
import { decodeLine, encodeLine, longestLineBytes } from "./line.ts";
import { endOfLastLine, segmentLines, segmentName, segmentNumbers, writeAll } from "./segments.ts";

interface Waiting {
  readonly bytes: Buffer;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

interface Segment {
  readonly number: number;
  readonly handle: FileHandle;
  /** Bytes that are acknowledged; whatever lies beyond is cut off before the next write. */
  size: number;
}

async function openLast(dir: string): Promise<{ segment: Segment; tornBytes: number }> {
  const number = (await segmentNumbers(dir)).at(-1);
  if (number === undefined) return { segment: await begin(dir, 1), tornBytes: 0 };
  const handle = await open(path.join(dir, segmentName(number)), "r+");
  try {
    const { size } = await handle.stat();
    const end = await endOfLastLine(handle);
    if (end < size) {
      await handle.truncate(end);
      await handle.sync();
    }
    return { segment: { number, handle, size: end }, tornBytes: size - end };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function begin(dir: string, number: number): Promise<Segment> {
  const file = path.join(dir, segmentName(number));
  const handle = await open(file, "wx+", 0o600);
  try {
    await failpoint("journal.new-segment");
    await syncFolder(dir);
  } catch (error) {
    await handle.close();
    await unlink(file).catch(() => undefined);
    throw error;
  }
  return { number, handle, size: 0 };
}

/** Opens the journal of a folder (made 0700 when missing), cutting off a last line that a crash left unfinished. */
export async function openJournal(dir: string, options: JournalOptions = {}): Promise<Journal> {
  const maxBytes = options.maxBytes ?? 4 * 1024 * 1024;
  const keep = Math.max(2, options.keep ?? 8);
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const { segment: last, tornBytes } = await openLast(dir);
  let segment = last;
  let dirty = false;
  let closed = false;
  let queue: Waiting[] = [];
  let writing: Promise<void> | undefined;

  async function rotate(): Promise<void> {
    const full = segment;
    segment = await begin(dir, full.number + 1);
    await full.handle.close();
    const numbers = await segmentNumbers(dir);
    for (const number of numbers.slice(0, Math.max(0, numbers.length - keep))) {
      await unlink(path.join(dir, segmentName(number)));
    }
  }

  /** Cuts off what a failed write left behind, so that nothing unacknowledged is ever read back. */
  async function repair(): Promise<void> {
    await segment.handle.truncate(segment.size);
    await segment.handle.sync();
    dirty = false;
  }

  async function commit(batch: readonly Waiting[]): Promise<void> {
    if (dirty) await repair();
    let bytes = Buffer.concat(batch.map((waiting) => waiting.bytes));
    if (segment.size > 0 && segment.size + bytes.length > maxBytes) {
      await rotate();
      const snapshot = options.snapshot?.() ?? [];
      bytes = Buffer.concat([...snapshot.map((entry) => encodeLine(entry)), bytes]);
    }
    dirty = true;
    await failpoint("journal.before-write");
    await writeAll(segment.handle, bytes, segment.size);
    await failpoint("journal.before-fsync");
    await segment.handle.datasync();
    await failpoint("journal.after-fsync");
    segment.size += bytes.length;
    dirty = false;
  }

  async function drain(): Promise<void> {
    while (queue.length > 0) {
      const batch = queue;
      queue = [];
      try {
        await commit(batch);
        for (const waiting of batch) waiting.resolve();
      } catch (error) {
        if (dirty) await repair().catch(() => undefined);
        for (const waiting of batch) waiting.reject(error);
      }
    }
    writing = undefined;
  }

  async function* read(): AsyncGenerator<JournalEntry> {
    const end = { number: segment.number, size: segment.size };
    const numbers = (await segmentNumbers(dir)).filter((number) => number <= end.number);
    let previous: number | undefined;
    for (const number of numbers) {
      const name = segmentName(number);
      if (previous !== undefined && number !== previous + 1) {
        yield { kind: "corrupt", at: { segment: name, line: 0, reason: "the segment before it is missing" } };
      }
      previous = number;
      const size = number === end.number ? end.size : (await stat(path.join(dir, name))).size;
      let line = 0;
      for await (const raw of segmentLines(dir, number, size, longestLineBytes)) {
        line += 1;
        const decoded = "bytes" in raw ? decodeLine(raw.bytes) : { ok: false as const, reason: "too long" };
        yield decoded.ok
          ? { kind: "entry", value: decoded.value }
          : { kind: "corrupt", at: { segment: name, line, reason: decoded.reason } };
      }
    }
  }

  return {
    opened: { tornBytes },
    append(entries) {
      if (closed) return Promise.reject(new Error("the journal is closed"));
      return new Promise((resolve, reject) => {
        const bytes = Buffer.concat(entries.map((entry) => encodeLine(entry)));
        queue.push({ bytes, resolve, reject });
        writing ??= drain();
      });
    },
    entries: read,
    async close() {
      if (closed) return;
      closed = true;
      await writing;
      await segment.handle.close();
    },
  };
}
