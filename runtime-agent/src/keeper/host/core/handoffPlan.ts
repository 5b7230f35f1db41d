/**
 * Moving the GPU from one VM to another: stop → rebind → start, since a consumer NVIDIA card cannot change VMs while
 * they run (design §4). The plan is data; the journal holds it before each step is acted on.
 */
import type { GuestSeen, HostObservation } from "./types.ts";

/** Steps forward, steps back, and the two ends. */
export type HandoffStep =
  | "ask"
  | "stop-from"
  | "stop-to"
  | "detach"
  | "attach"
  | "start-to"
  | "verify"
  | "undo-stop"
  | "undo-detach"
  | "undo-attach"
  | "undo-start"
  | "done"
  | "undone";

export interface HandoffPlan {
  readonly id: string;
  readonly fromVmid: number;
  readonly toVmid: number;
  /** Where the device sits in both configurations, for example `hostpci0`. */
  readonly slot: string;
  /** Its value, for example `mapping=gpu,pcie=1`: kept here, for between two steps neither VM has it. */
  readonly device: string;
  readonly fromWasRunning: boolean;
  readonly toWasRunning: boolean;
  readonly step: HandoffStep;
  /** Monotonic ms at which this step was entered, by this process. */
  readonly enteredMs: number;
  /** Actions of this step so far. */
  readonly attempt: number;
  /** The action whose end is awaited. */
  readonly waitingFor?: string;
  /** Not before this monotonic ms is the step tried again. */
  readonly retryMs?: number;
  /** Not before this monotonic ms is anything judged: what an earlier process ordered may still land. */
  readonly settleMs?: number;
  /** Fencing token of the arbiter's release. */
  readonly token?: number;
  /** Whether this process has sent the shutdown of `fromVmid` under a valid release. */
  readonly stopping?: boolean;
  /**
   * No stop of `fromVmid` was ordered under this plan, by any process: a release may be given back. Plans of versions
   * before it do not have it, and so count as ordered.
   */
  readonly untouched?: true;
  /** Why it is being undone. */
  readonly why?: string;
}

export interface HandoffPolicy {
  /** Longest wait for the arbiter to give up the GPU. */
  readonly askMs: number;
  /** How long a guest may take to power off by itself. */
  readonly shutdownMs: number;
  /** Longest time for one change of a configuration, retries included. */
  readonly rebindMs: number;
  /** Longest time for a start, retries included. */
  readonly startMs: number;
  /** Longest wait for the guest agent of the VM that got the GPU. */
  readonly verifyMs: number;
  /** Start the VM without the GPU, to render on its CPUs, when it cannot have the GPU. */
  readonly cpuFallback: boolean;
}

export const defaultHandoffPolicy: HandoffPolicy = {
  askMs: 60_000,
  shutdownMs: 180_000,
  rebindMs: 60_000,
  startMs: 120_000,
  verifyMs: 300_000,
  cpuFallback: true,
};

/** Changes of a configuration take a second or two; tasks that take longer hold a lock that Proxmox shows. */
const settleAfterRestartMs = 5000;

/** The longest that a handoff can take, its undoing included: so long must the market stay closed when it begins. */
export function longestHandoffMs(policy: HandoffPolicy): number {
  const { askMs, shutdownMs, rebindMs, startMs, verifyMs } = policy;
  return askMs + 3 * shutdownMs + 4 * rebindMs + 2 * startMs + verifyMs;
}

/** The slot in which a guest has a resource mapping; undefined when it has not. */
export function slotOf(guest: GuestSeen, mapping: string): string | undefined {
  const named = (value: string): boolean => value.split(",").includes(`mapping=${mapping}`);
  return Object.entries(guest.devices).find(([, value]) => named(value))?.[0];
}

/** Whether two values of `hostpciN` say the same: Proxmox may write the parts in another order. */
export function sameDevice(a: string, b: string): boolean {
  const parts = (value: string): string => value.split(",").toSorted().join(",");
  return parts(a) === parts(b);
}

/** Whether a plan still has something to do. */
export function isActive(
  plan: HandoffPlan | undefined,
): plan is HandoffPlan & { readonly step: Exclude<HandoffStep, "done" | "undone"> } {
  return plan !== undefined && plan.step !== "done" && plan.step !== "undone";
}

/** A plan, or in words why there is none. */
export function planHandoff(input: {
  readonly id: string;
  readonly toVmid: number;
  readonly mapping: string;
  readonly contenders: readonly number[];
  readonly observation: HostObservation;
  readonly policy: HandoffPolicy;
}): { readonly ok: true; readonly plan: HandoffPlan } | { readonly ok: false; readonly reason: string } {
  const { id, toVmid, mapping, contenders, observation, policy } = input;
  const no = (reason: string): { ok: false; reason: string } => ({ ok: false, reason });
  const { guests, arbiter } = observation;
  const neededMs = longestHandoffMs(policy);
  if (observation.marketOpen) return no("the market is open");
  if (observation.marketOpensInMs <= neededMs)
    return no(`the market opens within the ${String(Math.ceil(neededMs / 60_000))} minutes that a handoff may take`);
  if (!contenders.includes(toVmid)) return no(`VM ${String(toVmid)} is no contender for the GPU`);
  if (guests === undefined) return no("Proxmox does not answer");
  const to = guests.find(({ vmid }) => vmid === toVmid);
  if (to?.kind !== "qemu") return no(`there is no VM ${String(toVmid)}`);
  const holders = guests.filter((guest) => slotOf(guest, mapping) !== undefined);
  const [from] = holders;
  if (from === undefined) return no(`no guest has the device "${mapping}"`);
  if (holders.length > 1) return no(`${String(holders.length)} guests have the device "${mapping}" configured`);
  if (from.vmid === toVmid) return no(`VM ${String(toVmid)} has the GPU already`);
  if (!contenders.includes(from.vmid)) return no(`VM ${String(from.vmid)}, which has the GPU, is no contender for it`);
  if (from.lock !== undefined || to.lock !== undefined) return no("a backup, migration or other operation has a lock");
  const arbiterThere = arbiter === undefined || arbiter.vmid === from.vmid;
  if (from.status !== "stopped" && arbiterThere && arbiter?.heard !== true)
    return no(`the arbiter of VM ${String(from.vmid)} cannot be heard`);
  const slot = slotOf(from, mapping) ?? "hostpci0";
  if (to.devices[slot] !== undefined) return no(`VM ${String(toVmid)} has another device in ${slot}`);
  return {
    ok: true,
    plan: {
      id,
      fromVmid: from.vmid,
      toVmid,
      slot,
      device: from.devices[slot] ?? "",
      fromWasRunning: from.status !== "stopped",
      toWasRunning: to.status !== "stopped",
      step: "ask",
      enteredMs: observation.monotonicMs,
      attempt: 0,
      untouched: true,
    },
  };
}

/** The plan as a new process takes it up: what it waited for is unknown, and a release is asked for again. */
export function resumeHandoff(plan: HandoffPlan, nowMs: number): HandoffPlan {
  const { waitingFor: _waiting, retryMs: _retry, stopping: _stopping, ...rest } = plan;
  return { ...rest, enteredMs: nowMs, settleMs: nowMs + settleAfterRestartMs };
}
