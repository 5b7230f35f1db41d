/**
 * Keys of runs that the state has forgotten, in memory: an open-addressing hash table in one buffer, so that half a million
 * of them weigh on neither the heap nor the garbage collector.
 */
import type { EndState } from "./core/types.ts";

/** digest of agent and key (16) · run id (16) · head of the payload's digest (12) · end (1) · day (3). */
const slotBytes = 48;
const keyBytes = 16;
const ends: readonly EndState[] = ["completed", "failed", "interrupted"];
const mostLoad = 0.7;

/** One remembered key. */
export interface KeyRecord {
  /** First 16 bytes of SHA-256 over the agent's name, a line feed and the key. */
  readonly id: Buffer;
  /** `run_` and 32 hexadecimal digits. */
  readonly runId: string;
  /** SHA-256 of the payload, hex; 24 digits of it are kept. */
  readonly digest: string;
  readonly state: EndState;
  /** Days since 1970 in UTC, of the run's end. */
  readonly day: number;
}

export type FoundKey = Omit<KeyRecord, "id">;

/** The bytes of a record, as they are in the table and in the files. */
export function encodeKey(record: KeyRecord): Buffer {
  const slot = Buffer.alloc(slotBytes);
  record.id.copy(slot, 0, 0, keyBytes);
  slot.write(record.runId.slice(4), 16, 16, "hex");
  slot.write(record.digest.slice(0, 24), 32, 12, "hex");
  // One more than its place: a slot that is all zeroes is free.
  slot.writeUInt8(ends.indexOf(record.state) + 1, 44);
  slot.writeUIntLE(record.day, 45, 3);
  return slot;
}

export class KeyTable {
  #slots = Buffer.alloc(1024 * slotBytes);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Puts a record in; one of the same key takes its place. */
  add(slot: Buffer): void {
    if (this.#size + 1 > (this.#slots.length / slotBytes) * mostLoad) this.#rebuild(this.#slots.length * 2, () => true);
    if (this.#insert(slot)) this.#size += 1;
  }

  find(id: Buffer): FoundKey | undefined {
    const at = this.#place(id);
    const state = ends[this.#slots.readUInt8(at + 44) - 1];
    if (state === undefined) return undefined;
    return {
      runId: `run_${this.#slots.toString("hex", at + 16, at + 32)}`,
      digest: this.#slots.toString("hex", at + 32, at + 44),
      state,
      day: this.#slots.readUIntLE(at + 45, 3),
    };
  }

  /** Forgets the keys of days before this one. */
  dropBefore(day: number): void {
    this.#rebuild(this.#slots.length, (at) => this.#slots.readUIntLE(at + 45, 3) >= day);
  }

  /** Where a key is, or where it would be. */
  #place(id: Buffer): number {
    const count = this.#slots.length / slotBytes;
    // The key is a digest: any of its bytes are as good as a hash.
    for (let index = id.readUInt32LE(0) % count; ; index = (index + 1) % count) {
      const at = index * slotBytes;
      if (this.#slots[at + 44] === 0 || this.#slots.compare(id, 0, keyBytes, at, at + keyBytes) === 0) return at;
    }
  }

  /** True when the key is new. */
  #insert(slot: Buffer): boolean {
    const at = this.#place(slot);
    const isNew = this.#slots[at + 44] === 0;
    slot.copy(this.#slots, at, 0, slotBytes);
    return isNew;
  }

  #rebuild(bytes: number, keeps: (at: number) => boolean): void {
    const old = this.#slots;
    const kept: Buffer[] = [];
    for (let at = 0; at < old.length; at += slotBytes)
      if (old[at + 44] !== 0 && keeps(at)) kept.push(old.subarray(at, at + slotBytes));
    this.#slots = Buffer.alloc(bytes);
    this.#size = kept.length;
    for (const slot of kept) this.#insert(slot);
  }
}
