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
}

/** An append-only record that survives SIGKILL, power cuts and damaged sectors. */
export interface Journal {
  /**
   * Ends when the entries are on the disk. Calls that come while an fsync is under way share the next one, in the
   * order they were made. After a failed write (full disk) the call rejects and none of its entries is in the journal.
   */
  append(entries: readonly object[]): Promise<void>;
  /** Every entry on the disk when the call is made, oldest first. */
  entries(): AsyncIterable<JournalEntry>;
  /** What was repaired when it was opened. */
  readonly opened: { readonly tornBytes: number };
  close(): Promise<void>;
}
export { openJournal } from "./openJournal.ts";
