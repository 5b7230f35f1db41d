/** A turn of every extension: what it sees, and what it asks for. */
import type { JSONType } from "zod";
import type { Clock } from "../shared/clock.ts";
import type { Log } from "../shared/log.ts";
import { keyId } from "../shared/pskTls.ts";
import { isAlive } from "./core/registry.ts";
import type { Now, Policy } from "./core/events.ts";
import type { SentinelState } from "./core/state.ts";
import type { AgentView, Extension, ExtensionAction, News } from "./extension.ts";

interface Seen {
  readonly state: SentinelState;
  readonly policy: Policy;
  readonly clock: Clock;
}

/** With its key only named. */
function named<T extends { readonly key: string }>({ key, ...rest }: T): Omit<T, "key"> & { readonly keyId: string } {
  return { ...rest, keyId: keyId(Buffer.from(key, "hex")) };
}

/** The registry as it may be shown: without keys. */
export function agentViews({ state, policy, clock }: Seen): AgentView[] {
  const now: Now = { monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs(), random: () => 0 };
  return [...state.agents.values()].map((agent) => {
    const { pending, ...present } = agent;
    const heard = state.heard.get(agent.name);
    return {
      ...named(present),
      ...(pending === undefined ? {} : { pending: named(pending) }),
      alive: isAlive(state, agent, now, policy),
      ...(heard === undefined ? {} : { heard }),
    };
  });
}

/** Hands each extension what it kept before the last end of this process. */
export function startExtensions(extensions: readonly Extension[], kept: ReadonlyMap<string, JSONType>): void {
  for (const extension of extensions) extension.start(kept.get(extension.name));
}

export function runExtensions(
  seen: Seen & { readonly extensions: readonly Extension[]; readonly log: Log },
  news: readonly News[],
  ask: (extension: Extension, action: ExtensionAction) => void,
): void {
  if (seen.extensions.length === 0) return;
  const view = { monotonicMs: seen.clock.monotonicMs(), wallMs: seen.clock.wallMs(), agents: agentViews(seen), news };
  for (const extension of seen.extensions) {
    try {
      for (const action of extension.turn(view)) ask(extension, action);
    } catch (error) {
      // One that fails does not take the others, nor the signals, with it.
      seen.log.error("extension", { extension: extension.name, error });
    }
  }
}
