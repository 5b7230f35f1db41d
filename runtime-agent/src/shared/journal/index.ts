/** A line that the journal could not believe: it is reported, never dropped in silence. */
export interface CorruptLine {
  readonly segment: string;
  /** 1-based line in its segment. */
  readonly line: number;
  readonly reason: string;
}

/** What one step through a journal gives: an entry, or the place of one that was damaged. */
export type JournalEntry =
  | { readonly kind: "entry"; readonly value: Readonly<Record<string, unknown>> }
  | { readonly kind: "corrupt"; readonly at: CorruptLine };

export interface JournalOptions {
  /** Size at which a new segment is begun, bytes. @default 4 MiB */
  readonly maxBytes?: number;
  /** Segments kept, the open one included. @default 8 */
  readonly keep?: number;
  /**
   * Entries that head each new segment, so that a reader needs no segment that was deleted. They may already hold the
   * effect of the entries that follow them.
   */
  readonly snapshot?: () => readonly object[];
  /** Longest that what was written waits before its fsync begins, ms. @default 20 */
  readonly syncAfterMs?: number;
}

/**
 * An append-only record that survives SIGKILL, power cuts and damaged sectors. It makes two promises: what is written is
 * in the kernel's hands and survives the death of this process; what is synced is on the disk and survives a power cut.
 * Everything written is synced soon (`syncAfterMs`), all of it by one fsync.
 */
export interface Journal {
  /**
   * Ends when the entries are written. After a failed write (full disk) the call rejects and none of its entries is in
   * the journal. When their fsync fails they are written again before anything else; while that fails, calls reject.
   */
  write(entries: readonly object[]): Promise<void>;
  /**
   * Ends when the entries are synced. Calls that come while an fsync is under way share the next one, in the order they
   * were made. When it rejects none of its entries is in the journal, unless `write` put others beside them.
   */
  append(entries: readonly object[]): Promise<void>;
  /** Ends when everything written so far is synced. */
  sync(): Promise<void>;
  /** Up to where the open segment is synced; earlier ones are as a whole. */
  syncedTo(): { readonly segment: string; readonly bytes: number };
  /** Every entry written when the call is made, oldest first. */
  entries(): AsyncIterable<JournalEntry>;
  /** What was repaired when it was opened. */
  readonly opened: { readonly tornBytes: number };
  close(): Promise<void>;
}
export { openJournal } from "./openJournal.ts";
