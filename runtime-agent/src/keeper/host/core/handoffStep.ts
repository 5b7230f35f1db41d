/**
 * One look at a handoff: which step has reached its goal, what to do next, when to turn back. Every step is a goal that
 * can be seen (`stopped`, `has the device`, `the agent answers`), so that repeating it after a crash does no harm.
 *
 * Rules that hold in every state:
 * - a running VM with an arbiter is stopped only under a release of that arbiter that has not run out (design §5);
 * - the device is given to one VM only after the other was seen without it;
 * - while the market is open nothing moves forward before the device has reached its new VM: it goes back.
 */
import type { HandoffPlan, HandoffPolicy, HandoffStep } from "./handoffPlan.ts";
import type { GuestSeen, HostAction, HostObservation } from "./types.ts";
import { isActive, sameDevice } from "./handoffPlan.ts";

export interface HandoffMove {
  readonly plan: HandoffPlan;
  readonly action?: HostAction;
}

const next: Readonly<Partial<Record<HandoffStep, HandoffStep>>> = {
  ask: "stop-from",
  "stop-from": "stop-to",
  "stop-to": "detach",
  detach: "attach",
  attach: "start-to",
  "start-to": "verify",
  verify: "done",
  "undo-stop": "undo-detach",
  "undo-detach": "undo-attach",
  "undo-attach": "undo-start",
  "undo-start": "undone",
};
const beforeAttach: readonly HandoffStep[] = ["ask", "stop-from", "stop-to", "detach"];
const firstRetryMs = 2000;
const mostRetryMs = 60_000;
const askAgainMs = 2000;

interface Scene {
  readonly plan: HandoffPlan;
  readonly from: GuestSeen;
  readonly to: GuestSeen;
  readonly nowMs: number;
  readonly policy: HandoffPolicy;
  readonly observation: HostObservation;
}

const undoing = (step: HandoffStep): boolean => step.startsWith("undo-");

function enter(plan: HandoffPlan, step: HandoffStep, nowMs: number): HandoffPlan {
  const { waitingFor: _waiting, retryMs: _retry, ...rest } = plan;
  return { ...rest, step, enteredMs: nowMs, attempt: 0 };
}

/** What is under way is waited for: an order that lands later would undo the undoing. */
function turnBack({ plan, nowMs }: Scene, why: string): HandoffMove {
  const { waitingFor } = plan;
  return {
    plan: { ...enter(plan, "undo-stop", nowMs), why, ...(waitingFor === undefined ? {} : { waitingFor }) },
  };
}

const holds = (guest: GuestSeen, plan: HandoffPlan): boolean => sameDevice(guest.devices[plan.slot] ?? "", plan.device);

/**
 * Whether stopping the VM that has the GPU needs its arbiter's word. Where no link is set up nobody can know whether an
 * arbiter lives in it, so then it does, and the handoff ends there.
 */
function needsRelease({ from, observation }: Scene): boolean {
  return from.status !== "stopped" && (observation.arbiter === undefined || observation.arbiter.vmid === from.vmid);
}

function release({ plan, observation, nowMs }: Scene): { readonly token: number } | undefined {
  const answer = observation.arbiter?.answer;
  if (answer === undefined || "refused" in answer || answer.id !== plan.id) return undefined;
  return answer.untilMs > nowMs ? answer : undefined;
}

function reached(scene: Scene): boolean {
  const { plan, from, to } = scene;
  switch (plan.step) {
    case "ask":
      return !needsRelease(scene) || release(scene) !== undefined;
    case "stop-from":
      return from.status === "stopped";
    case "stop-to":
      return to.status === "stopped";
    case "detach":
      return !holds(from, plan);
    case "attach":
      return holds(to, plan);
    case "start-to":
      return to.status !== "stopped";
    case "verify":
      return to.agent === true;
    case "undo-stop":
      return to.status === "stopped" || !holds(to, plan);
    case "undo-detach":
      return !holds(to, plan);
    case "undo-attach":
      return holds(from, plan);
    case "undo-start":
      return !plan.fromWasRunning || from.status !== "stopped";
    case "done":
    case "undone":
      return false;
  }
}

type Deed =
  | { readonly kind: "wait" }
  | { readonly kind: "ask again" }
  | { readonly kind: "back"; readonly why: string }
  | HostAction["kind"];

/** What would bring the step to its goal. */
function deed(scene: Scene): Deed {
  const { plan, policy, nowMs, observation, from, to } = scene;
  const spentMs = nowMs - plan.enteredMs;
  switch (plan.step) {
    case "ask": {
      const answer = observation.arbiter?.answer;
      if (answer !== undefined && answer.id === plan.id && "refused" in answer)
        return { kind: "back", why: `the arbiter refused: ${answer.refused}` };
      if (observation.arbiter?.heard !== true) return { kind: "back", why: "the arbiter cannot be heard" };
      return spentMs > policy.askMs ? { kind: "back", why: "the arbiter did not release the GPU in time" } : "ask";
    }
    case "stop-from": {
      const free = !needsRelease(scene) || release(scene) !== undefined;
      if (spentMs > policy.shutdownMs && !free) return { kind: "back", why: "the release ran out before it was off" };
      // A new process has nobody's word: it asks again, or waits for what its predecessor may have begun.
      const heard = observation.arbiter?.heard === true;
      if (!free) return { kind: plan.stopping !== true && heard ? "ask again" : "wait" };
      if (plan.stopping !== true && needsRelease(scene) && !heard)
        return { kind: "back", why: "the arbiter cannot be heard any more" };
      return spentMs > policy.shutdownMs ? "stop" : "shutdown";
    }
    case "stop-to":
      return spentMs > policy.shutdownMs ? "stop" : "shutdown";
    case "undo-stop":
      return spentMs > policy.shutdownMs ? "stop" : "shutdown";
    case "detach":
    case "undo-detach":
      return "detach";
    case "attach":
      return holds(from, plan) ? { kind: "back", why: "the first VM has the device again" } : "attach";
    case "undo-attach":
      return holds(to, plan) ? { kind: "wait" } : "attach";
    case "start-to":
    case "undo-start":
      return "start";
    case "verify":
      if (to.status !== "running") return { kind: "back", why: "the VM that got the GPU stopped again" };
      return { kind: "wait" };
    case "done":
    case "undone":
      return { kind: "wait" };
  }
}

/** How long a step may last; undoing never gives up. */
function deadlineMs(step: HandoffStep, policy: HandoffPolicy): number {
  switch (step) {
    case "stop-from":
    case "stop-to":
      return 2 * policy.shutdownMs;
    case "detach":
    case "attach":
      return policy.rebindMs;
    case "start-to":
      return policy.startMs;
    case "verify":
      return policy.verifyMs;
    default:
      return Number.POSITIVE_INFINITY;
  }
}

function act(scene: Scene, kind: HostAction["kind"]): HandoffMove {
  const { plan, nowMs, policy } = scene;
  const target = plan.step === "undo-start" || plan.step === "undo-attach" ? plan.fromVmid : plan.toVmid;
  const forward = plan.step === "ask" || plan.step === "stop-from" || plan.step === "detach";
  const vmid = forward ? plan.fromVmid : target;
  const id = `${plan.id}/${plan.step}/${String(plan.attempt)}`;
  const { untouched, ...touched } = plan;
  const base = { id, vmid, reason: plan.why ?? `handoff ${plan.id}: ${plan.step}` };
  const moved: HandoffPlan = {
    ...touched,
    attempt: plan.attempt + 1,
    waitingFor: id,
    ...(plan.step === "stop-from" ? { stopping: true } : untouched === true ? { untouched } : {}),
  };
  switch (kind) {
    case "ask":
      // The answer comes over the link, not as the end of an action.
      return {
        plan: { ...plan, attempt: plan.attempt + 1, retryMs: nowMs + askAgainMs },
        action: { ...base, kind, plan: plan.id },
      };
    case "shutdown":
      return { plan: moved, action: { ...base, kind, timeoutSec: Math.ceil(policy.shutdownMs / 1000) } };
    case "detach":
    case "attach":
      return { plan: moved, action: { ...base, kind, slot: plan.slot, device: plan.device } };
    case "start":
    case "stop":
      return { plan: moved, action: { ...base, kind } };
    default:
      return { plan };
  }
}

/** Takes in how the awaited action ended. */
function settle(plan: HandoffPlan, observation: HostObservation): HandoffPlan {
  const end = observation.events.find((event) => event.kind === "done" && event.action === plan.waitingFor);
  if (end?.kind !== "done") return plan;
  const { waitingFor: _waiting, ...rest } = plan;
  // A success whose goal cannot be seen yet gets a moment; a failure backs off.
  const waitMs = end.ok ? firstRetryMs : Math.min(mostRetryMs, firstRetryMs * 2 ** Math.min(plan.attempt, 10));
  return { ...rest, retryMs: observation.monotonicMs + waitMs };
}

/** One look. Steps whose goals are reached are passed through at once; at most one action comes out. */
export function stepHandoff(before: HandoffPlan, observation: HostObservation, policy: HandoffPolicy): HandoffMove {
  const nowMs = observation.monotonicMs;
  let plan = settle(before, observation);
  for (;;) {
    const from = observation.guests?.find(({ vmid }) => vmid === plan.fromVmid);
    const to = observation.guests?.find(({ vmid }) => vmid === plan.toVmid);
    // A guest that cannot be seen is in no known state: wait for Proxmox.
    if (!isActive(plan) || from === undefined || to === undefined) return { plan };
    if (undoing(plan.step) && plan.waitingFor !== undefined && plan.attempt === 0) return { plan };
    if (plan.settleMs !== undefined && nowMs < plan.settleMs) return { plan };
    const scene: Scene = { plan, from, to, nowMs, policy, observation };
    if (observation.marketOpen && beforeAttach.includes(plan.step)) {
      plan = turnBack(scene, "the market opened").plan;
      continue;
    }
    if (reached(scene)) {
      const token = plan.step === "ask" ? release(scene)?.token : undefined;
      plan = { ...enter(plan, next[plan.step] ?? "undone", nowMs), ...(token === undefined ? {} : { token }) };
      continue;
    }
    const late = !undoing(plan.step) && nowMs - plan.enteredMs > deadlineMs(plan.step, policy);
    const wanted = late ? { kind: "back" as const, why: `${plan.step} took too long` } : deed(scene);
    if (typeof wanted === "object") {
      if (wanted.kind === "wait") return { plan };
      if (wanted.kind === "ask again") {
        plan = enter(plan, "ask", nowMs);
        continue;
      }
      plan = turnBack(scene, wanted.why).plan;
      continue;
    }
    // A shutdown that is still under way must not hold up the stop that follows it.
    const overdue = wanted === "stop" && plan.waitingFor !== undefined && nowMs - plan.enteredMs > policy.shutdownMs;
    if (plan.waitingFor !== undefined && !overdue) return { plan };
    if (plan.retryMs !== undefined && nowMs < plan.retryMs && !overdue) return { plan };
    if (overdue && plan.retryMs !== undefined && nowMs < plan.retryMs) return { plan };
    const move = act(scene, wanted);
    // So that the stop itself is not asked every second.
    return wanted === "stop" ? { ...move, plan: { ...move.plan, retryMs: nowMs + 10_000 } } : move;
  }
}
