import { mkdir, open, stat, unlink } from "node:fs/promises";
import path from "node:path";
import { failpoint } from "../failpoints.ts";
import { syncFolder } from "../stateFile.ts";
import type { Journal, JournalEntry, JournalOptions } from "./index.ts";
import { decodeLine, encodeLine, longestLineBytes } from "./line.ts";
import { endOfLastLine, segmentLines, segmentName, segmentNumbers } from "./segments.ts";
import { SegmentTail } from "./tail.ts";

/** Longest that what was written waits for its fsync, ms: one every so often costs nothing, and a power cut takes less. */
const syncWithinMs = 20;

/** The promise of the disk, in a box: who only waits for the write is not made to wait for it. */
interface Written {
  readonly synced: Promise<void>;
}

interface Waiting {
  readonly bytes: Buffer;
  readonly kept: boolean;
  readonly resolve: (written: Written) => void;
  readonly reject: (error: unknown) => void;
}

interface Segment {
  readonly number: number;
  readonly tail: SegmentTail;
}

async function openLast(dir: string, syncAfterMs: number): Promise<{ segment: Segment; tornBytes: number }> {
  const number = (await segmentNumbers(dir)).at(-1);
  if (number === undefined) return { segment: await begin(dir, 1, syncAfterMs), tornBytes: 0 };
  const handle = await open(path.join(dir, segmentName(number)), "r+");
  try {
    const { size } = await handle.stat();
    const end = await endOfLastLine(handle);
    if (end < size) await handle.truncate(end);
    // A predecessor that was killed may have left lines that are not on the disk yet.
    await handle.sync();
    return { segment: { number, tail: new SegmentTail(handle, end, syncAfterMs) }, tornBytes: size - end };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function begin(dir: string, number: number, syncAfterMs: number): Promise<Segment> {
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
  return { number, tail: new SegmentTail(handle, 0, syncAfterMs) };
}

/** Opens the journal of a folder (made 0700 when missing), cutting off a last line that a crash left unfinished. */
export async function openJournal(dir: string, options: JournalOptions = {}): Promise<Journal> {
  const maxBytes = options.maxBytes ?? 4 * 1024 * 1024;
  const keep = Math.max(2, options.keep ?? 8);
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const syncAfterMs = options.syncAfterMs ?? syncWithinMs;
  const { segment: last, tornBytes } = await openLast(dir, syncAfterMs);
  let segment = last;
  let closed = false;
  let queue: Waiting[] = [];
  let writing: Promise<void> | undefined;

  /** What the full segment holds is on the disk before the next one begins: a gap never hides between two. */
  async function rotate(): Promise<void> {
    const full = segment;
    await full.tail.sync();
    segment = await begin(dir, full.number + 1, syncAfterMs);
    await full.tail.close();
    const numbers = await segmentNumbers(dir);
    for (const number of numbers.slice(0, Math.max(0, numbers.length - keep))) {
      await unlink(path.join(dir, segmentName(number)));
    }
  }

  async function commit(batch: readonly Waiting[]): Promise<Written> {
    let bytes = Buffer.concat(batch.map((waiting) => waiting.bytes));
    const { size } = segment.tail;
    if (size > 0 && size + bytes.length > maxBytes) {
      await rotate();
      const snapshot = options.snapshot?.() ?? [];
      bytes = Buffer.concat([...snapshot.map((entry) => encodeLine(entry)), bytes]);
    }
    return segment.tail.write(
      bytes,
      batch.some(({ kept }) => kept),
    );
  }

  async function drain(): Promise<void> {
    while (queue.length > 0) {
      const batch = queue;
      queue = [];
      try {
        const written = await commit(batch);
        for (const waiting of batch) waiting.resolve(written);
      } catch (error) {
        for (const waiting of batch) waiting.reject(error);
      }
    }
    writing = undefined;
  }

  function put(entries: readonly object[], kept: boolean): Promise<Written> {
    if (closed) return Promise.reject(new Error("the journal is closed"));
    return new Promise((resolve, reject) => {
      const bytes = Buffer.concat(entries.map((entry) => encodeLine(entry)));
      queue.push({ bytes, kept, resolve, reject });
      writing ??= drain();
    });
  }

  async function* read(): AsyncGenerator<JournalEntry> {
    const end = { number: segment.number, size: segment.tail.size };
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
    async write(entries) {
      await put(entries, true);
    },
    async append(entries) {
      const { synced } = await put(entries, false);
      void segment.tail.sync().catch(() => undefined);
      await synced;
    },
    sync: () => segment.tail.sync(),
    syncedTo: () => ({ segment: segmentName(segment.number), bytes: segment.tail.syncedBytes }),
    entries: read,
    async close() {
      if (closed) return;
      closed = true;
      await writing;
      await segment.tail.close();
    },
  };
}
