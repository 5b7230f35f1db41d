/**
 * Which guests run: the important ones first, one start and one stop at a time. Guests that a person stopped stay
 * stopped; those that the Keeper stopped come back when there is room.
 */
import type { GuestRule, GuestSeen, MemorySeen } from "./types.ts";

export type Wish = "running" | "stopped" | "paused";

export interface RunInput {
  readonly rules: readonly GuestRule[];
  readonly guests: readonly GuestSeen[];
  readonly memory: MemorySeen | undefined;
  readonly marketOpen: boolean;
  readonly marketRoles: readonly string[];
  /** The administrator's wishes. */
  readonly wishes: Readonly<Record<number, Wish>>;
  /** Guests that the Keeper itself stopped for want of memory, or paused for the market. */
  readonly stoppedByUs: readonly number[];
  readonly pausedByUs: readonly number[];
  /** Guests that a handoff moves: nobody else touches them. */
  readonly reserved: readonly number[];
  /** Guests that must not be started yet, after a failed start. */
  readonly resting: ReadonlySet<number>;
  /** Guests whose shutdown must not be asked for yet, after one that failed: how often in a row it did. */
  readonly unstoppable: ReadonlyMap<number, number>;
  /** Guests with an action under way. */
  readonly busy: ReadonlySet<number>;
  /** Whether memory has been short for long enough, with every balloon at its floor, that a guest must go. */
  readonly mustFree: boolean;
  /** What the host keeps for itself when a guest is started, MiB. */
  readonly reserveMiB: number;
}

export interface RunDeed {
  readonly kind: "start" | "shutdown" | "suspend" | "resume";
  readonly vmid: number;
  readonly reason: string;
  /** Why a guest that goes down may come back by itself. */
  readonly makesRoom?: boolean;
}

export interface RunPlan {
  readonly deeds: readonly RunDeed[];
  /** Memory that a guest waits for, MiB: balloons may yield it. */
  readonly wantedMiB: number;
}

interface Known {
  readonly rule: GuestRule;
  readonly guest: GuestSeen;
}

/** What a guest ought to do now; undefined leaves it as it is. */
function wishOf({ rule, guest }: Known, input: RunInput): { readonly wish: Wish; readonly reason: string } | undefined {
  const asked = input.wishes[rule.vmid];
  if (asked !== undefined) return { wish: asked, reason: "asked for" };
  if (!rule.essential && input.marketOpen && input.marketRoles.includes(rule.role))
    return guest.status === "running" ? { wish: "paused", reason: "the market is open" } : undefined;
  if (guest.status === "paused" && input.pausedByUs.includes(rule.vmid))
    return { wish: "running", reason: "the market is closed" };
  if (rule.essential && guest.status === "stopped") return { wish: "running", reason: "it is essential" };
  if (guest.status === "stopped" && input.stoppedByUs.includes(rule.vmid))
    return { wish: "running", reason: "there is room for it again" };
  return undefined;
}

/**
 * Guests that may be stopped for the sake of others, the least important first. One failed shutdown costs nobody more
 * important its place: only one that failed again is passed over while it rests.
 */
function expendable(known: readonly Known[], input: RunInput): Known[] {
  return known
    .filter(({ rule }) => (input.unstoppable.get(rule.vmid) ?? 0) < 2)
    .filter(({ rule, guest }) => !rule.essential && guest.status !== "stopped" && input.wishes[rule.vmid] !== "running")
    .toSorted((a, b) => b.rule.priority - a.rule.priority || b.rule.vmid - a.rule.vmid);
}

/** At most one start and one stop; suspending and resuming cost nothing and all happen at once. */
export function planRuns(input: RunInput): RunPlan {
  const all = input.rules
    .flatMap((rule): Known[] => {
      const guest = input.guests.find(({ vmid }) => vmid === rule.vmid);
      return guest === undefined ? [] : [{ rule, guest }];
    })
    .toSorted((a, b) => a.rule.priority - b.rule.priority || a.rule.vmid - b.rule.vmid);
  const free = all.filter(
    ({ rule, guest }) => !input.reserved.includes(rule.vmid) && !input.busy.has(rule.vmid) && guest.lock === undefined,
  );
  const deeds: RunDeed[] = [];
  let wantedMiB = 0;
  let stopping = input.busy.size > 0;
  let starting = input.busy.size > 0;
  for (const known of free) {
    const { rule, guest } = known;
    const goal = wishOf(known, input);
    if (goal === undefined) continue;
    const { reason } = goal;
    const { vmid } = rule;
    if (goal.wish === "paused" && guest.status === "running" && guest.kind === "qemu")
      deeds.push({ kind: "suspend", vmid, reason });
    else if (goal.wish === "running" && guest.status === "paused") deeds.push({ kind: "resume", vmid, reason });
    else if (goal.wish === "stopped" && guest.status !== "stopped" && !stopping) {
      if (input.unstoppable.has(vmid)) continue;
      stopping = true;
      deeds.push({ kind: "shutdown", vmid, reason });
    } else if (goal.wish === "running" && guest.status === "stopped" && !starting && !input.resting.has(vmid)) {
      // A start in an unknown state of memory could push out what matters more.
      if (input.memory === undefined || input.mustFree) continue;
      starting = true;
      const missing = guest.maxMiB + input.reserveMiB - input.memory.availableMiB;
      if (missing <= 0) {
        deeds.push({ kind: "start", vmid, reason });
        continue;
      }
      wantedMiB = missing;
      const [victim] = expendable(free, input).filter((other) => other.rule.priority > rule.priority);
      // Balloons first: a guest goes only when all the balloons together cannot yield enough.
      if (victim === undefined || stopping || input.unstoppable.has(victim.rule.vmid)) continue;
      if (!input.wishes[vmid] && !rule.essential) continue;
      if (ballooned(free) >= missing) continue;
      stopping = true;
      deeds.push({
        kind: "shutdown",
        vmid: victim.rule.vmid,
        reason: `VM ${String(vmid)} needs its memory`,
        makesRoom: true,
      });
    }
  }
  if (input.mustFree && !stopping) {
    const [victim] = expendable(free, input);
    if (victim !== undefined && !input.unstoppable.has(victim.rule.vmid)) {
      const reason = "the host is short of memory and every balloon is at its floor";
      deeds.push({ kind: "shutdown", vmid: victim.rule.vmid, reason, makesRoom: true });
    }
  }
  return { deeds, wantedMiB };
}

/** What balloons could yield at most, MiB. */
function ballooned(known: readonly Known[]): number {
  return known
    .filter(({ guest }) => guest.status === "running" && guest.ballooning && Object.keys(guest.devices).length === 0)
    .reduce((sum, { rule, guest }) => {
      return sum + Math.max(0, guest.balloonMiB - Math.max(rule.balloonMinMiB, guest.usedMiB + 512));
    }, 0);
}
