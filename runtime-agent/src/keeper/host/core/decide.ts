/** The host side's decision: pure and total. What it remembers is small enough to be journaled whole at each change. */
import type { Abandoned } from "./abandoned.ts";
import type { BalloonPolicy } from "./balloons.ts";
import type { HandoffPlan, HandoffPolicy } from "./handoffPlan.ts";
import type { Wish } from "./runPolicy.ts";
import type { GuestRule, GuestSeen, HostAction, HostDecision, HostEvent, HostObservation } from "./types.ts";
import { abandons, stillAbandoned } from "./abandoned.ts";
import { isShort, planBalloons } from "./balloons.ts";
import { isActive, planHandoff, resumeHandoff } from "./handoffPlan.ts";
import { stepHandoff } from "./handoffStep.ts";
import { planRuns } from "./runPolicy.ts";

export interface HostPolicy {
  readonly guests: readonly GuestRule[];
  readonly balloons: BalloonPolicy;
  readonly handoff: HandoffPolicy & { readonly enabled: boolean; readonly mapping: string };
  readonly marketRoles: readonly string[];
  /** A guest below this load of its CPUs is idle. */
  readonly idleCpu: number;
  /** It must have been so for this long, ms. */
  readonly idleMs: number;
  /** Memory must have been short for this long before a guest is stopped for it, ms. */
  readonly shortMs: number;
  /** How long a guest may take to power off before it is stopped by force, ms. */
  readonly shutdownMs: number;
  /** What the host keeps for itself when a guest is started, MiB. */
  readonly reserveMiB: number;
}

interface Pending {
  readonly id: string;
  readonly kind: HostAction["kind"];
  readonly vmid: number;
  readonly sinceMs: number;
}

/** What failed last on a guest, how often in a row, and until when it rests, ms. */
interface Failure {
  readonly kind: HostAction["kind"];
  readonly count: number;
  readonly untilMs: number;
}

export interface HostState {
  /** What survives a restart. */
  readonly kept: {
    /** Number of the next action. */
    readonly sequence: number;
    readonly wishes: Readonly<Record<number, Wish>>;
    readonly stoppedByUs: readonly number[];
    readonly pausedByUs: readonly number[];
    readonly handoff?: HandoffPlan;
    /** Handoffs whose release is given back to the arbiter. */
    readonly abandoned: readonly Abandoned[];
  };
  readonly pending: readonly Pending[];
  readonly idleSinceMs: Readonly<Record<number, number>>;
  readonly movedMs: Readonly<Record<number, number>>;
  readonly failures: Readonly<Record<number, Failure>>;
  readonly shortSinceMs?: number;
}

export interface HostOutcome {
  readonly state: HostState;
  readonly actions: readonly HostAction[];
  readonly decisions: readonly HostDecision[];
}

/** How long a moved balloon is left to settle, ms. */
const settleMs = 15_000;
/** After this an action whose end nobody reported counts as lost, ms. */
const lostMs = 600_000;
const firstRestMs = 15_000;
const mostRestMs = 600_000;

export const emptyHostState: HostState = {
  kept: { sequence: 1, wishes: {}, stoppedByUs: [], pausedByUs: [], abandoned: [] },
  pending: [],
  idleSinceMs: {},
  movedMs: {},
  failures: {},
};

/** The state of a new process: what the journal kept, and nothing that was measured on another process's clock. */
export function resumeHost(kept: HostState["kept"], nowMs: number): HostState {
  const { handoff, abandoned, ...rest } = kept;
  return {
    ...emptyHostState,
    kept: {
      ...rest,
      abandoned: abandoned.map(({ id }) => ({ id, sinceMs: nowMs })),
      ...(handoff === undefined ? {} : { handoff: resumeHandoff(handoff, nowMs) }),
    },
  };
}

/** Whether the arbiter is to be told that a handoff is planned. */
export function handoffPlanned(state: HostState): boolean {
  const plan = state.kept.handoff;
  return isActive(plan) && (plan.step === "ask" || plan.step === "stop-from");
}

export function decideHost(before: HostState, observation: HostObservation, policy: HostPolicy): HostOutcome {
  const nowMs = observation.monotonicMs;
  const decisions: HostDecision[] = [];
  const actions: HostAction[] = [];
  let { sequence, handoff } = before.kept;
  let wishes = { ...before.kept.wishes };
  let stoppedByUs = [...before.kept.stoppedByUs];
  let pausedByUs = [...before.kept.pausedByUs];
  let abandoned = stillAbandoned(before.kept.abandoned, observation);
  let pending = before.pending.filter(({ sinceMs }) => nowMs - sinceMs < lostMs);
  const failures = { ...before.failures };
  const movedMs = { ...before.movedMs };
  const forget = (list: readonly number[], vmid: number): number[] => list.filter((other) => other !== vmid);
  const ask = (vmid: number, reason: string, deed: Deed): void => {
    const id = `a${String(sequence)}`;
    sequence += 1;
    actions.push({ id, vmid, reason, ...deed });
    pending = [...pending, { id, kind: deed.kind, vmid, sinceMs: nowMs }];
    decisions.push({ what: deed.kind, vmid, reason });
  };

  for (const event of observation.events) {
    if (event.kind === "done") settle(event);
    else if (event.kind === "want") {
      const { [event.vmid]: _old, ...others } = wishes;
      wishes = event.state === "none" ? others : { ...others, [event.vmid]: event.state };
      stoppedByUs = forget(stoppedByUs, event.vmid);
      pausedByUs = forget(pausedByUs, event.vmid);
      decisions.push({ what: `want ${event.state}`, vmid: event.vmid, reason: "asked for" });
    } else if (event.kind === "kill") {
      if (isActive(handoff) && [handoff.fromVmid, handoff.toVmid].includes(event.vmid))
        decisions.push({ what: "refuse kill", vmid: event.vmid, reason: "a handoff moves it" });
      else {
        wishes = { ...wishes, [event.vmid]: "stopped" };
        ask(event.vmid, "asked for", { kind: "stop" });
      }
    } else if (isActive(handoff)) {
      if (handoff.id !== event.id)
        decisions.push({ what: "refuse handoff", vmid: event.toVmid, reason: `handoff ${handoff.id} is under way` });
    } else if (handoff?.id !== event.id) begin(event);
  }

  if (isActive(handoff)) {
    const was = handoff;
    const move = stepHandoff(was, observation, policy.handoff);
    handoff = move.plan;
    if (move.action !== undefined) actions.push(move.action);
    if (move.plan.step !== was.step)
      decisions.push({ what: `handoff ${move.plan.step}`, vmid: was.toVmid, reason: move.plan.why ?? was.id });
    if (abandons(was, move.plan, observation)) abandoned = [...abandoned, { id: was.id, sinceMs: nowMs }];
    if (move.plan.step === "done") finish(move.plan);
    if (move.plan.step === "undone") giveUp(move.plan.toVmid, move.plan.toWasRunning);
  }

  const guests = observation.guests;
  const idleSinceMs: Record<number, number> = {};
  for (const guest of guests ?? []) {
    if (guest.status === "running" && guest.cpu < policy.idleCpu)
      idleSinceMs[guest.vmid] = before.idleSinceMs[guest.vmid] ?? nowMs;
    if (guest.status !== "stopped") stoppedByUs = stopUnderWay(guest) ? stoppedByUs : forget(stoppedByUs, guest.vmid);
    if (guest.status !== "paused")
      pausedByUs = busyWith("suspend", guest.vmid) ? pausedByUs : forget(pausedByUs, guest.vmid);
  }
  const { memory } = observation;
  const short = memory !== undefined && isShort(memory, policy.balloons);
  const shortSinceMs = short ? (before.shortSinceMs ?? nowMs) : undefined;
  if (guests !== undefined) runGuests(guests);

  const state: HostState = {
    kept: { sequence, wishes, stoppedByUs, pausedByUs, abandoned, ...(handoff === undefined ? {} : { handoff }) },
    pending,
    idleSinceMs,
    movedMs,
    failures,
    ...(shortSinceMs === undefined ? {} : { shortSinceMs }),
  };
  return { state, actions, decisions };

  function busyWith(kind: HostAction["kind"], vmid: number): boolean {
    return pending.some((action) => action.kind === kind && action.vmid === vmid);
  }
  function stopUnderWay(guest: GuestSeen): boolean {
    return busyWith("shutdown", guest.vmid) || busyWith("stop", guest.vmid);
  }
  function settle(event: Extract<HostEvent, { kind: "done" }>): void {
    const action = pending.find(({ id }) => id === event.action);
    if (action === undefined) return;
    pending = pending.filter(({ id }) => id !== event.action);
    if (event.ok) {
      if (action.kind !== "balloon") delete failures[action.vmid];
      return;
    }
    const count = (failures[action.vmid]?.count ?? 0) + 1;
    failures[action.vmid] = {
      kind: action.kind,
      count,
      untilMs: nowMs + Math.min(mostRestMs, firstRestMs * 2 ** Math.min(count - 1, 10)),
    };
    decisions.push({ what: `${action.kind} failed`, vmid: action.vmid, reason: event.reason ?? "no reason given" });
    // A guest that does not power off in its time is ended by force; that is what "kill" means for a VM. One that was
    // never asked, because Proxmox refused or was not there, has had no such time: it is asked again after a rest.
    if (action.kind === "shutdown" && nowMs - action.sinceMs >= policy.shutdownMs)
      ask(action.vmid, "it did not power off in its time", { kind: "stop" });
  }
  function begin(event: Extract<HostEvent, { kind: "handoff" }>): void {
    const contenders = policy.guests.filter(({ gpuContender }) => gpuContender).map(({ vmid }) => vmid);
    const { mapping } = policy.handoff;
    const no = (reason: string) => ({ ok: false as const, reason });
    // A late answer to the old request would be taken for one to the new.
    const unheard = abandoned.some(({ id }) => id === event.id);
    const planned = unheard
      ? no("the arbiter has not heard yet that the handoff of this id has ended: name another id")
      : policy.handoff.enabled
        ? planHandoff({ id: event.id, toVmid: event.toVmid, mapping, contenders, observation, policy: policy.handoff })
        : no("handoffs are not enabled");
    if (planned.ok) {
      handoff = planned.plan;
      decisions.push({ what: "handoff ask", vmid: event.toVmid, reason: `asked for as ${event.id}` });
    } else {
      decisions.push({ what: "refuse handoff", vmid: event.toVmid, reason: planned.reason });
      giveUp(event.toVmid, false);
    }
  }
  /** The one that lost the GPU stays off, the one that has it stays on, until somebody says otherwise. */
  function finish(plan: HandoffPlan): void {
    wishes = { ...wishes, [plan.fromVmid]: "stopped", [plan.toVmid]: "running" };
  }
  /** No GPU for this VM: it renders on its CPUs, if it may and if it is a contender at all. */
  function giveUp(vmid: number, wasRunning: boolean): void {
    const contender = policy.guests.some((rule) => rule.vmid === vmid && rule.gpuContender);
    const has = observation.guests?.find((guest) => guest.vmid === vmid);
    const own = has !== undefined && Object.keys(has.devices).length > 0;
    if (!contender || own || (!wasRunning && (!policy.handoff.cpuFallback || observation.marketOpen))) return;
    // As one of those that start when there is room: nobody else is stopped for it.
    stoppedByUs = [...forget(stoppedByUs, vmid), vmid];
    decisions.push({ what: "cpu fallback", vmid, reason: "it cannot have the GPU" });
  }
  function runGuests(seen: readonly GuestSeen[]): void {
    const busyKinds: readonly string[] = ["start", "shutdown", "stop", "suspend", "resume"];
    const idleFor = (vmid: number): number => nowMs - (idleSinceMs[vmid] ?? nowMs);
    const resting = Object.entries(failures).filter(([, { untilMs }]) => untilMs > nowMs);
    const moving = new Set(
      Object.entries(movedMs).flatMap(([vmid, at]) => (nowMs - at < settleMs ? [Number(vmid)] : [])),
    );
    const idle = new Set(seen.filter(({ vmid }) => idleFor(vmid) >= policy.idleMs).map(({ vmid }) => vmid));
    const plan = planRuns({
      rules: policy.guests,
      guests: seen,
      memory,
      marketOpen: observation.marketOpen,
      marketRoles: policy.marketRoles,
      wishes,
      stoppedByUs,
      pausedByUs,
      reserved: isActive(handoff) ? [handoff.fromVmid, handoff.toVmid] : [],
      resting: new Set(resting.map(([vmid]) => Number(vmid))),
      unstoppable: new Map(
        resting.flatMap(([vmid, { kind, count }]) =>
          kind === "shutdown" || kind === "stop" ? [[Number(vmid), count]] : [],
        ),
      ),
      busy: new Set(pending.filter(({ kind }) => busyKinds.includes(kind)).map(({ vmid }) => vmid)),
      mustFree: shortSinceMs !== undefined && nowMs - shortSinceMs >= policy.shortMs && moving.size === 0,
      reserveMiB: policy.reserveMiB,
    });
    if (memory !== undefined) {
      const { wantedMiB } = plan;
      const input = { rules: policy.guests, guests: seen, memory, idle, moving, wantedMiB, policy: policy.balloons };
      const reserved = isActive(handoff) ? [handoff.fromVmid, handoff.toVmid] : [];
      for (const target of planBalloons(input)) {
        const rests = (failures[target.vmid]?.untilMs ?? 0) > nowMs;
        if (rests || reserved.includes(target.vmid) || busyWith("balloon", target.vmid)) continue;
        movedMs[target.vmid] = nowMs;
        ask(target.vmid, target.reason, { kind: "balloon", targetMiB: target.targetMiB });
      }
    }
    const ballooned = actions.some(({ kind }) => kind === "balloon");
    for (const deed of plan.deeds) {
      // A guest goes only when the balloons had nothing left to give.
      if (deed.makesRoom === true && ballooned) continue;
      if (deed.kind === "shutdown")
        ask(deed.vmid, deed.reason, { kind: "shutdown", timeoutSec: Math.ceil(policy.shutdownMs / 1000) });
      else ask(deed.vmid, deed.reason, { kind: deed.kind });
      if (deed.makesRoom === true) stoppedByUs = [...forget(stoppedByUs, deed.vmid), deed.vmid];
      if (deed.kind === "suspend" && wishes[deed.vmid] === undefined)
        pausedByUs = [...forget(pausedByUs, deed.vmid), deed.vmid];
    }
  }
}

type Deed =
  | { readonly kind: "start" | "stop" | "suspend" | "resume" }
  | { readonly kind: "shutdown"; readonly timeoutSec: number }
  | { readonly kind: "balloon"; readonly targetMiB: number };
