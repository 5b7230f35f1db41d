/**
 * Structured log: one JSON object a line on stderr, where journald keeps it. Under journald each line begins with its
 * priority, `<6>` (sd-daemon(3)), so that `journalctl -p` works; elsewhere it is plain JSON lines.
 */
import { show } from "../../../components/shared/check.ts";

export type Level = "debug" | "info" | "notice" | "warning" | "error";
export type Fields = Readonly<Record<string, unknown>>;

/** Syslog priorities (RFC 5424). */
const priorities: Readonly<Record<Level, number>> = { debug: 7, info: 6, notice: 5, warning: 4, error: 3 };
const secretKey = /token|psk|secret|passw|authorization|credential/i;
/** Fencing tokens are numbers and are meant to be read. */
const hidden = "[hidden]";
const deepest = 6;
const longestText = 2000;

function printable(key: string, value: unknown, depth: number): unknown {
  if (secretKey.test(key) && typeof value !== "number" && typeof value !== "boolean") return hidden;
  if (typeof value === "string") {
    if (show(value)?.includes("looks like a secret") === true) return hidden;
    return value.length > longestText ? `${value.slice(0, longestText)}…` : value;
  }
  if (typeof value === "bigint") return String(value);
  if (value instanceof Error) return { name: value.name, message: printable("", value.message, depth + 1) };
  if (typeof value !== "object" || value === null) return value;
  if (depth >= deepest) return "[deeper]";
  if (Array.isArray(value)) return value.slice(0, 100).map((item) => printable("", item, depth + 1));
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, printable(name, item, depth + 1)]));
}

export interface Log {
  debug(message: string, fields?: Fields): void;
  info(message: string, fields?: Fields): void;
  notice(message: string, fields?: Fields): void;
  warning(message: string, fields?: Fields): void;
  error(message: string, fields?: Fields): void;
  /** A log whose every line carries these fields. */
  with(fields: Fields): Log;
}

export interface LogOptions {
  /** Least level to write. @default "info" */
  readonly level?: Level;
  /** @default stderr */
  readonly write?: (line: string) => void;
  /** Whether lines begin with their priority. @default whether journald listens */
  readonly priority?: boolean;
  readonly wallMs?: () => number;
}

/** A log. Never throws: a line that cannot be written is lost. */
export function createLog(options: LogOptions = {}, fields: Fields = {}): Log {
  const least = priorities[options.level ?? "info"];
  const prefixed = options.priority ?? process.env.JOURNAL_STREAM !== undefined;
  const write = options.write ?? ((line: string): void => void process.stderr.write(line));
  const wallMs = options.wallMs ?? Date.now;
  const at =
    (level: Level) =>
    (message: string, more: Fields = {}): void => {
      if (priorities[level] > least) return;
      try {
        const record = { time: new Date(wallMs()).toISOString(), level, message, ...fields, ...more };
        write(`${prefixed ? `<${String(priorities[level])}>` : ""}${JSON.stringify(printable("", record, 0))}\n`);
      } catch {
        // A log that fails must not fail the agent.
      }
    };
  return {
    debug: at("debug"),
    info: at("info"),
    notice: at("notice"),
    warning: at("warning"),
    error: at("error"),
    with: (more) => createLog(options, { ...fields, ...more }),
  };
}
