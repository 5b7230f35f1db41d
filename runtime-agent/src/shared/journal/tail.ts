/**
 * The end of the segment that is being written: what is in the kernel's hands (survives SIGKILL), and what is on the
 * disk (survives a power cut). Everything written is on the disk soon: one fsync for all that came in the meantime.
 */
import { writeSync } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { failpoint } from "../failpoints.ts";
import { writeAll } from "./segments.ts";

interface Piece {
  readonly bytes: Buffer;
  /** Whether its writer was told that it is in the journal: then it must stay there. */
  readonly kept: boolean;
  readonly synced: () => void;
  readonly failed: (error: unknown) => void;
}

export class SegmentTail {
  readonly #handle: FileHandle;
  readonly #syncAfterMs: number;
  /** Bytes that are on the disk, and what follows them. */
  #syncedBytes: number;
  #pieces: Piece[] = [];
  /** A write or an fsync failed: what the file holds beyond `#syncedBytes` is not known. */
  #unsure = false;
  #syncing: Promise<void> | undefined;
  /** The fsync under way; ends with its fault. */
  #flight: Promise<{ readonly error: unknown } | undefined> | undefined;
  #mending: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** @param size bytes that are on the disk; whatever lies beyond is cut off before the next write */
  constructor(handle: FileHandle, size: number, syncAfterMs: number) {
    this.#handle = handle;
    this.#syncedBytes = size;
    this.#syncAfterMs = syncAfterMs;
  }

  /** Bytes that are on the disk. */
  get syncedBytes(): number {
    return this.#syncedBytes;
  }

  /** Bytes that were written, on the disk or not. */
  get size(): number {
    return this.#pieces.reduce((sum, { bytes }) => sum + bytes.length, this.#syncedBytes);
  }

  /**
   * Hands bytes to the kernel, and gives the promise of the disk in a box. One writer at a time. A buffered write is a
   * copy in memory: making it here, and not on another thread, spares a human's grant two turns of the scheduler.
   *
   * `kept` bytes stay in the journal whatever becomes of the fsync; others are cut off when theirs fails.
   */
  async write(bytes: Buffer, kept: boolean): Promise<{ readonly synced: Promise<void> }> {
    await failpoint("journal.before-write");
    while (this.#unsure) await this.#mend();
    const start = this.size;
    try {
      for (let done = 0; done < bytes.length;) {
        const count = writeSync(this.#handle.fd, bytes, done, bytes.length - done, start + done);
        if (count === 0) throw new Error("nothing was written");
        done += count;
      }
    } catch (error) {
      this.#unsure = true;
      await this.#mend().catch(() => undefined);
      throw error;
    }
    const { promise: synced, resolve, reject } = Promise.withResolvers<void>();
    synced.catch(() => undefined);
    this.#pieces.push({ bytes, kept, synced: resolve, failed: reject });
    this.#timer ??= setTimeout(() => void this.sync().catch(() => undefined), this.#syncAfterMs);
    return { synced };
  }

  /** Ends when everything written so far is on the disk. */
  async sync(): Promise<void> {
    await this.#syncing?.catch(() => undefined);
    // Of several that waited, the first begins for all.
    if (this.#syncing !== undefined) return this.#syncing;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#unsure) return this.#mend();
    if (this.#pieces.length === 0) return;
    this.#syncing = this.#syncOnce().finally(() => (this.#syncing = undefined));
    return this.#syncing;
  }

  /** Ends with everything on the disk, and the file closed. */
  async close(): Promise<void> {
    try {
      await this.sync();
    } finally {
      clearTimeout(this.#timer);
      await this.#handle.close();
    }
  }

  async #syncOnce(): Promise<void> {
    const pieces = [...this.#pieces];
    this.#flight = this.#datasync();
    const fault = await this.#flight;
    this.#flight = undefined;
    if (fault === undefined) return this.#landed(pieces);
    // The kernel may have dropped what it could not write: all of it is written again, or cut off.
    const lost = this.#pieces.filter(({ kept }) => !kept);
    this.#pieces = this.#pieces.filter(({ kept }) => kept);
    this.#unsure = true;
    await this.#mend().catch(() => undefined);
    for (const piece of lost) piece.failed(fault.error);
    throw fault.error;
  }

  async #datasync(): Promise<{ readonly error: unknown } | undefined> {
    try {
      await failpoint("journal.before-fsync");
      await this.#handle.datasync();
      await failpoint("journal.after-fsync");
      return undefined;
    } catch (error) {
      return { error };
    }
  }

  #landed(pieces: readonly Piece[]): void {
    this.#pieces.splice(0, pieces.length);
    for (const { bytes, synced } of pieces) {
      this.#syncedBytes += bytes.length;
      synced();
    }
  }

  /** Makes the file what it should be: cuts off what nobody was promised, and writes anew what somebody was. */
  #mend(): Promise<void> {
    this.#mending ??= this.#mendOnce().finally(() => (this.#mending = undefined));
    return this.#mending;
  }

  async #mendOnce(): Promise<void> {
    // One fsync at a time: whose pieces have landed is then never in doubt.
    await this.#flight;
    const pieces = [...this.#pieces];
    await this.#handle.truncate(this.size);
    await writeAll(this.#handle, Buffer.concat(pieces.map(({ bytes }) => bytes)), this.#syncedBytes);
    await this.#handle.datasync();
    this.#landed(pieces);
    this.#unsure = false;
  }
}
