/** What all servers of a Hive may cost, and what of it is promised already. Pure. */
import { checked, checkWhole } from "../check.ts";
import { cheapestOffer, formatCents, type Offer } from "./offers.ts";
import type { VpsSize } from "./sizing.ts";
import type { Checked } from "../faults.ts";

/** One server that a part of the budget is promised to. */
export interface Commitment {
  /** For people: `the Sentinel`, `agent x`. */
  readonly what: string;
  /** US cents a month, whole. */
  readonly centsPerMonth: number;
}

/** What all servers together may cost. */
export interface Budget {
  /** US cents a month, whole. */
  readonly centsPerMonth: number;
  /** What is paid for beside the Hive's own servers, US cents a month; a person writes it. @default 0 */
  readonly committedCents?: number | undefined;
  /** The Hive's other servers. @default none */
  readonly committed?: readonly Commitment[] | undefined;
}

/** A server of the Hive, as its settings or the Sentinel's registry know it. */
export interface KnownServer {
  /** For people, and its identity: each is counted once. */
  readonly what: string;
  readonly provider: "proxmox" | "lightsail";
  readonly size: VpsSize;
  /** What its provider sells where it is. */
  readonly offers: readonly Offer[];
}

/** The most that one server can be asked about, US cents a month. */
const mostCents = 10_000_000;

/**
 * What the known servers are promised, by name. One that two sources tell of counts once, at the dearer size: a move to
 * another one may be under way. One's own hardware costs nothing; of what is sold nowhere the price is not known.
 *
 * @param except The server that is asked for: its old price goes with it.
 */
export function commitmentsOf(servers: readonly KnownServer[], except: string): readonly Commitment[] {
  const cents = new Map<string, number>();
  for (const { what, provider, size, offers } of servers) {
    if (what === except || provider === "proxmox") continue;
    const offer = cheapestOffer(size, offers, mostCents);
    if (offer.ok) cents.set(what, Math.max(cents.get(what) ?? 0, offer.value.centsPerMonth));
  }
  return [...cents]
    .map(([what, centsPerMonth]) => ({ what, centsPerMonth }))
    .toSorted((a, b) => (a.what < b.what ? -1 : 1));
}

/** All that is promised of a budget, US cents a month. */
export function committedOf({ committedCents = 0, committed = [] }: Budget): number {
  return committed.reduce((sum, { centsPerMonth }) => sum + centsPerMonth, committedCents);
}

/** What of a budget is left, US cents a month; whatever of it is no whole number of cents. */
export function leftOf(budget: Budget): Checked<number> {
  const { centsPerMonth, committedCents = 0, committed = [] } = budget;
  const cents = { centsPerMonth, committedCents };
  const parts = committed.map(
    (part, index) => [`committed[${String(index)}].centsPerMonth`, part.centsPerMonth] as const,
  );
  const faults = [...Object.entries(cents), ...parts].flatMap(([name, value]) =>
    checkWhole(`budget.${name}`, value, 0, mostCents, "US cents", "Give whole US cents."),
  );
  return checked(faults, Math.max(0, centsPerMonth - committedOf(budget)));
}

/** What is left, and each part that is promised: `1.00 USD of 20.00 USD; promised: 7.00 USD to the Sentinel, …`. */
export function budgetInWords(budget: Budget): string {
  const { centsPerMonth, committedCents = 0, committed = [] } = budget;
  const parts = committed.map((part) => `${formatCents(part.centsPerMonth)} to ${part.what}`);
  if (committedCents > 0) parts.push(`${formatCents(committedCents)} to others (committedCents)`);
  if (parts.length === 0) return formatCents(centsPerMonth);
  const left = formatCents(Math.max(0, centsPerMonth - committedOf(budget)));
  return `${left} of ${formatCents(centsPerMonth)}; promised: ${parts.join(", ")}`;
}
