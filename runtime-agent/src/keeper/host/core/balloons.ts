/**
 * Balloons of idle guests (seed 001 §3): when the host runs short of memory, idle guests give some up, the least
 * important first; when there is plenty again they get it back, the most important first.
 */
import type { GuestRule, GuestSeen, MemorySeen } from "./types.ts";

export interface BalloonPolicy {
  /** Below this much available memory on the host guests are asked to give up some, MiB. */
  readonly lowMiB: number;
  /** So much is to be available afterwards, MiB; above it memory is given back. */
  readonly highMiB: number;
  /** Share of time that tasks wait for memory above which the host is short of it whatever is free, percent. */
  readonly stalledPercent: number;
  /** What a guest keeps above what it uses, MiB: a guest that is squeezed swaps, and that costs more than it frees. */
  readonly marginMiB: number;
  /** Smaller changes are not worth an action, MiB. */
  readonly stepMiB: number;
}

export const defaultBalloonPolicy: Omit<BalloonPolicy, "lowMiB" | "highMiB"> = {
  stalledPercent: 10,
  marginMiB: 512,
  stepMiB: 64,
};

export interface BalloonTarget {
  readonly vmid: number;
  readonly targetMiB: number;
  readonly reason: string;
}

/** Whether the host is short of memory now. */
export function isShort(memory: MemorySeen, policy: BalloonPolicy): boolean {
  return memory.availableMiB < policy.lowMiB || (memory.stalledPercent ?? 0) > policy.stalledPercent;
}

/** Whether a balloon of this guest can move: a passed-through device pins all of a guest's memory (anchors). */
export function canBalloon(rule: GuestRule, guest: GuestSeen): boolean {
  return (
    guest.kind === "qemu" &&
    guest.status === "running" &&
    guest.ballooning &&
    guest.lock === undefined &&
    Object.keys(guest.devices).length === 0 &&
    rule.balloonMinMiB < guest.maxMiB
  );
}

/** The least that a guest may be left with, MiB. */
export function floorMiB(rule: GuestRule, guest: GuestSeen, policy: BalloonPolicy): number {
  return Math.min(guest.maxMiB, Math.max(rule.balloonMinMiB, guest.usedMiB + policy.marginMiB));
}

export interface BalloonInput {
  readonly rules: readonly GuestRule[];
  readonly guests: readonly GuestSeen[];
  readonly memory: MemorySeen;
  /** Guests that have been idle for long enough. */
  readonly idle: ReadonlySet<number>;
  /** Guests whose balloon was moved moments ago: what they hold now is not yet what they will hold. */
  readonly moving: ReadonlySet<number>;
  /** Memory wanted besides, to start a guest, MiB. */
  readonly wantedMiB: number;
  readonly policy: BalloonPolicy;
}

/** New targets, each within floor and maximum; nothing for guests that should stay as they are. */
export function planBalloons(input: BalloonInput): BalloonTarget[] {
  const { memory, policy, idle, moving } = input;
  const movable = input.rules
    .flatMap((rule) => {
      const guest = input.guests.find(({ vmid }) => vmid === rule.vmid);
      return guest !== undefined && canBalloon(rule, guest) && !moving.has(rule.vmid) ? [{ rule, guest }] : [];
    })
    .toSorted((a, b) => a.rule.priority - b.rule.priority || a.rule.vmid - b.rule.vmid);
  const targets: BalloonTarget[] = [];
  const short = isShort(memory, policy);
  if (short || input.wantedMiB > 0) {
    let needMiB = policy.highMiB + input.wantedMiB - memory.availableMiB;
    // Short by stalls alone, with memory to spare on paper: one step at a time.
    if (short) needMiB = Math.max(needMiB, policy.stepMiB);
    for (const { rule, guest } of movable.toReversed()) {
      if (needMiB <= 0) break;
      if (!idle.has(rule.vmid)) continue;
      const floor = floorMiB(rule, guest, policy);
      const targetMiB = Math.ceil(Math.max(floor, guest.balloonMiB - needMiB));
      const freedMiB = guest.balloonMiB - targetMiB;
      if (freedMiB < policy.stepMiB) continue;
      needMiB -= freedMiB;
      const reason = `${String(Math.round(memory.availableMiB))} MiB available on the host, and it is idle`;
      targets.push({ vmid: rule.vmid, targetMiB, reason });
    }
    return targets;
  }
  let spareMiB = memory.availableMiB - policy.highMiB;
  for (const { rule, guest } of movable) {
    const given = Math.floor(Math.min(guest.maxMiB - guest.balloonMiB, spareMiB));
    if (given < policy.stepMiB) continue;
    spareMiB -= given;
    const reason = `${String(Math.round(memory.availableMiB))} MiB available on the host`;
    targets.push({ vmid: rule.vmid, targetMiB: Math.floor(guest.balloonMiB) + given, reason });
  }
  return targets;
}
