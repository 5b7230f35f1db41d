import type { Draft } from "./draft.ts";
import { act, nextArrival, say, tell } from "./draft.ts";
import { endHold, refuse } from "./holds.ts";
import type { Hold, Waiting } from "./state.ts";
import type { Service } from "./types.ts";

/** Takes a request in, or refuses it with the reason. Asking again with the same id changes nothing. */
export function onRequest(draft: Draft, lease: string, name: string): void {
  const { state, config } = draft;
  if (state.queue.some((each) => each.lease === lease)) return;
  if (holderOf(draft, lease) !== undefined) {
    draft.askedAgain.add(lease);
    return;
  }
  const service = draft.services.get(name);
  const why = service === undefined ? "no such service is configured" : refusal(draft, service);
  if (service === undefined || why !== undefined) return refuse(draft, lease, why ?? "", service?.name);
  if (state.queue.length >= config.queue.longest && !displace(draft, service)) {
    return refuse(draft, lease, `${String(config.queue.longest)} requests wait already`, name);
  }
  state.queue.push({ lease, service: name, seq: nextArrival(draft), sinceMs: draft.now });
  say(draft, "request", `rank ${String(service.rank)}`, { service: name, lease });
}

/** A full queue gives the place of its last one to a higher rank: no lower one can keep a human out by asking often. */
function displace(draft: Draft, newcomer: Service): boolean {
  const { state, services } = draft;
  const rankOf = (each: Waiting): number => services.get(each.service)?.rank ?? 9;
  const last = state.queue.toSorted((a, b) => rankOf(b) - rankOf(a) || b.seq - a.seq)[0];
  if (last === undefined || rankOf(last) <= newcomer.rank) return false;
  state.queue = state.queue.filter((each) => each !== last);
  refuse(draft, last.lease, `the queue is full, and ${newcomer.name} comes first`, last.service);
  return true;
}

/** Tells those that asked again what they hold, unless this call told them already. */
export function answerAgain(draft: Draft): void {
  for (const lease of draft.askedAgain) {
    const held = holderOf(draft, lease);
    if (held === undefined || held.hold.phase !== "running") continue;
    const told = draft.actions.some((each) => each.kind === "grant" && each.lease === lease);
    if (!told) act(draft, { kind: "grant", lease, service: held.service.name, token: held.hold.token });
  }
}

/** Why a request is not even taken in. */
function refusal(draft: Draft, service: Service): string | undefined {
  const { gpu } = draft.seen;
  if (service.kind === "batch") return "a batch is started by the Keeper, in its night";
  if (service.forbiddenInMarket && draft.gates.marketOpen) return "the market is open";
  if (gpu.kind === "known" && service.vramMiB > gpu.vramTotalMiB) {
    return `needs ${String(service.vramMiB)} MiB, and the card has ${String(gpu.vramTotalMiB)} MiB`;
  }
  return undefined;
}

/** Refuses those that may no longer wait: the market opened, or the service is no longer configured. */
export function sweepQueue(draft: Draft): void {
  const { state } = draft;
  if (state.queue.length === 0) return;
  state.queue = state.queue.filter(({ lease, service: name }) => {
    const service = draft.services.get(name);
    const why = service === undefined ? "no such service is configured" : refusal(draft, service);
    if (why !== undefined) refuse(draft, lease, why, name);
    return why === undefined;
  });
}

export function onRenew(draft: Draft, lease: string): void {
  if (draft.state.queue.some((each) => each.lease === lease)) return;
  const held = holderOf(draft, lease);
  if (held === undefined) refuse(draft, lease, "no such lease is held");
  else if (held.hold.phase === "running") held.hold.untilMs = draft.now + held.service.leaseMs;
}

export function onRelease(draft: Draft, lease: string): void {
  const { state } = draft;
  const waiting = state.queue.find((each) => each.lease === lease);
  if (waiting !== undefined) {
    state.queue = state.queue.filter((each) => each !== waiting);
    say(draft, "release", "no longer waits", { service: waiting.service, lease });
    tell(draft, `blocked:${waiting.service}`, "wait", undefined);
  }
  const held = holderOf(draft, lease);
  if (held === undefined) return;
  if (held.hold.phase === "running") return endHold(draft, held.service, "given back", true);
  // Lowered, or on its way: it is raised when its turn comes, so that nothing stays frozen, and then holds nothing. One
  // that still starts comes up, and holds nothing either.
  Object.assign(held.hold, { lease: null, granted: false, wants: false });
  say(draft, "release", "given back while lowered", { service: held.service.name, lease });
}

/** The hold that a lease is for, granted or about to be. */
function holderOf(draft: Draft, lease: string): { readonly service: Service; readonly hold: Hold } | undefined {
  for (const [name, hold] of Object.entries(draft.state.holds)) {
    const service = draft.services.get(name);
    if (service !== undefined && hold.lease === lease) return { service, hold };
  }
  return undefined;
}
