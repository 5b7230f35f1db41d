import type { Draft } from "./draft.ts";
import { act, occupant, say } from "./draft.ts";
import type { ArbiterState } from "./state.ts";

type Mode = NonNullable<ArbiterState["power"]["mode"]>;

/** Eco when the card has been idle for a while, full while somebody works, capped while it is hot (seed `000_…` §4). */
export function decidePower(draft: Draft): void {
  const { state, seen, now } = draft;
  if (seen.gpu.kind !== "known") return;
  const busy = occupant(draft) !== undefined;
  const idleSinceMs = busy ? null : (state.power.idleSinceMs ?? now);
  if (idleSinceMs !== state.power.idleSinceMs) state.power = { ...state.power, idleSinceMs };
  const { mode, reason } = wanted(draft, busy, idleSinceMs);
  const retry = state.power.retryAtMs !== null && now >= state.power.retryAtMs;
  if (mode === undefined || (mode === state.power.mode && !retry)) return;
  const action = act(draft, { kind: "power", mode, reason });
  say(draft, "power", `${mode}: ${reason}`);
  state.power = { ...state.power, mode, action, retryAtMs: null };
}

function wanted(
  draft: Draft,
  busy: boolean,
  idleSinceMs: number | null,
): { readonly mode: Mode | undefined; readonly reason: string } {
  const { state, config, gates, now } = draft;
  if (gates.handoff && !busy) return { mode: "restore", reason: "the card is about to move" };
  if (idleSinceMs !== null && now - idleSinceMs >= config.power.idleMs) return { mode: "eco", reason: "idle" };
  const hot = state.thermal.capped;
  if (busy) return hot ? { mode: "capped", reason: "heat" } : { mode: "full", reason: "work" };
  // Between work and idle the card stays as it is, but for heat.
  return { mode: hot && state.power.mode !== "eco" ? "capped" : (state.power.mode ?? undefined), reason: "heat" };
}

/** A change that failed is asked for again later. */
export function powerDone(draft: Draft, action: string, ok: boolean, reason: string | undefined): boolean {
  const { power } = draft.state;
  if (power.action !== action) return false;
  draft.state.power = { ...power, action: null, retryAtMs: ok ? null : draft.now + draft.config.power.retryMs };
  if (!ok) say(draft, "power", `failed: ${reason ?? "no reason given"}`);
  return true;
}
