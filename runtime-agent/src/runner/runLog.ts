/** What an agent said, by journalctl. */
import { mostLogTail } from "../../../components/shared/signals/protocol.ts";
import { runChild } from "./child.ts";

/** Part of a log that one answer carries, bytes. */
const mostPart = 64 * 1024;
const deadlineMs = 5_000;
/** Lines that a tail is looked for in. */
const tailLines = "400";

export interface LogPart {
  /** Bytes before this part. */
  readonly from: number;
  /** Where the next part begins. */
  readonly next: number;
  readonly text: string;
  /** Whether there is more by now. */
  readonly more: boolean;
}

/** Begin and end of a run, Unix ms. */
export interface Span {
  readonly fromMs: number;
  readonly toMs?: number | undefined;
}

export interface RunLog {
  /** The last characters of a run's log; empty when there is none, or no journal. */
  tail(span: Span): Promise<string>;
  /** Rejects when the journal cannot be read. */
  part(span: Span, from: number): Promise<LogPart>;
}

function at(ms: number): string {
  return `@${(ms / 1000).toFixed(3)}`;
}

/** Length without a last character that is cut in two. */
function wholeCharacters(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back] ?? 0;
    if (byte < 0x80) break;
    if (byte >= 0xc0) {
      const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
      return length > back ? bytes.length - back : bytes.length;
    }
  }
  return bytes.length;
}

/** @param journalctl the program. @default found in PATH */
export function journalLog(unit: string, journalctl = "journalctl"): RunLog {
  const args = ({ fromMs, toMs }: Span): string[] => [
    "--quiet",
    "--no-pager",
    "--output=cat",
    `--unit=${unit}`,
    `--since=${at(fromMs)}`,
    // What was said at the very end is written a little later.
    ...(toMs === undefined ? [] : [`--until=${at(toMs + 1000)}`]),
  ];
  return {
    async tail(span) {
      const lines = [...args(span), `--lines=${tailLines}`];
      const options = { deadlineMs, mostBytes: 4 * mostLogTail, tail: true };
      const { stdout } = await runChild(journalctl, lines, options);
      // The cut may be within a character, which then shows as a replacement.
      return stdout.toString("utf8").slice(-mostLogTail).toWellFormed();
    },
    async part(span, from) {
      const end = await runChild(journalctl, args(span), { deadlineMs, mostBytes: mostPart, skipBytes: from });
      if (end.code !== 0 && !end.cut) throw new Error(`journalctl: ${end.stderr}`);
      const bytes = end.stdout.subarray(0, end.cut ? wholeCharacters(end.stdout) : end.stdout.length);
      return { from, next: from + bytes.length, text: bytes.toString("utf8"), more: end.cut };
    },
  };
}
