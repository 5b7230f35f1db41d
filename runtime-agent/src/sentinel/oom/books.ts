/**
 * The books on lack of memory: from what runners report of their agent's cgroup to the instants at which it lacked
 * memory, which `proposeSize` judges (seed 004: "plante plus d'une fois par semaine par manque de RAM"). Pure and total.
 */
import { oomWindowMs } from "../../../../components/shared/vps/sizing.ts";

/** What the kernel's counters were, and where they stand for one server. */
interface Counted {
  readonly instance: string;
  readonly oomKill: number;
}

/** Pressure that goes on. Not kept over a restart: it begins anew. */
export interface Pressed {
  readonly sinceMonotonicMs: number;
  /** When it last counted; undefined before that. */
  readonly countedMonotonicMs?: number;
}

/** The books on one agent. */
export interface OomBook {
  readonly counted?: Counted | undefined;
  /** When it lacked memory, Unix ms, oldest first: in the last seven days, the newest {@link mostLacks} of them. */
  readonly lacksMs: readonly number[];
  readonly pressed?: Pressed | undefined;
}

export const emptyBook: OomBook = { lacksMs: [] };

/** What one heartbeat says of memory. */
export interface MemoryReport {
  readonly instance: string;
  /** `oom_kill` of the agent's cgroup since the server's start; undefined where the kernel does not count. */
  readonly oomKill: number | undefined;
  /** PSI `some avg60`, percent; undefined where the kernel does not say. */
  readonly pressurePercent: number | undefined;
}

export interface OomPolicy {
  readonly pressurePercent: number;
  readonly pressureMs: number;
}

/** More than one is enough for a proposal; beyond that they only say how bad it is. */
export const mostLacks = 50;
/**
 * Kills that come closer than this are one lack of memory: a browser dies process by process, and systemd starts the
 * agent again only after 30 s (RestartSec of `heavy-agent@.service`).
 */
export const oneLackMs = 20_000;
/** Pressure that never ends counts once a day. */
const pressureAgainMs = 24 * 3_600_000;

/** Processes killed since the report before: the counters start again at 0 with the server, and with its successor. */
function killsSince(before: Counted | undefined, instance: string, oomKill: number): number {
  if (before === undefined || before.instance !== instance) return oomKill;
  return oomKill >= before.oomKill ? oomKill - before.oomKill : oomKill;
}

function lack(book: OomBook, wallMs: number): OomBook {
  const newest = book.lacksMs.at(-1);
  if (newest !== undefined && Math.abs(wallMs - newest) < oneLackMs) return book;
  return { ...book, lacksMs: [...book.lacksMs, wallMs].toSorted((a, b) => a - b).slice(-mostLacks) };
}

function press(
  book: OomBook,
  percent: number | undefined,
  policy: OomPolicy,
  monotonicMs: number,
  wallMs: number,
): OomBook {
  if (percent === undefined || percent < policy.pressurePercent) {
    return book.pressed === undefined ? book : { ...book, pressed: undefined };
  }
  const pressed = book.pressed ?? { sinceMonotonicMs: monotonicMs };
  const { sinceMonotonicMs, countedMonotonicMs } = pressed;
  const counts =
    countedMonotonicMs === undefined
      ? monotonicMs - sinceMonotonicMs >= policy.pressureMs
      : monotonicMs - countedMonotonicMs >= pressureAgainMs;
  if (!counts) return { ...book, pressed };
  return lack({ ...book, pressed: { sinceMonotonicMs, countedMonotonicMs: monotonicMs } }, wallMs);
}

/**
 * Takes one heartbeat in. The same one again changes nothing.
 * @param known false when the server was registered before the books were begun: its counters then say nothing of when
 */
export function takeMemory(
  book: OomBook,
  report: MemoryReport,
  policy: OomPolicy,
  now: { readonly monotonicMs: number; readonly wallMs: number; readonly known: boolean },
): OomBook {
  const { instance, oomKill, pressurePercent } = report;
  let next = book;
  if (oomKill !== undefined) {
    const { counted } = book;
    const first = counted === undefined && !now.known;
    if (!first && killsSince(counted, instance, oomKill) > 0) next = lack(next, now.wallMs);
    if (counted?.instance !== instance || counted.oomKill !== oomKill)
      next = { ...next, counted: { instance, oomKill } };
  }
  // Another server begins without its predecessor's pressure.
  if (book.counted !== undefined && book.counted.instance !== instance) next = { ...next, pressed: undefined };
  return press(next, pressurePercent, policy, now.monotonicMs, now.wallMs);
}

/** The book without what is older than the week that counts. */
export function forgetOld(book: OomBook, wallMs: number): OomBook {
  const lacksMs = book.lacksMs.filter((at) => at > wallMs - oomWindowMs);
  return lacksMs.length === book.lacksMs.length ? book : { ...book, lacksMs };
}
