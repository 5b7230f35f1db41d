/** A world of servers for the reaper's thinking: looked at every minute, with a clock that a test sets. */
import {
  doomOf,
  placeKey,
  serverKey,
  strandedOf,
  type AgentLife,
  type ReapPolicy,
} from "../../runtime-agent/src/sentinel/reaper/doom.ts";
import {
  decideReap,
  emptyReap,
  type ReapState,
  type RemovalEnd,
} from "../../runtime-agent/src/sentinel/reaper/decide.ts";
import type { Look, ServerSeen } from "../../runtime-agent/src/sentinel/reaper/types.ts";

export const minute = 60_000;
export const hour = 60 * minute;
export const start = Date.UTC(2026, 10, 1);
export const policy: ReapPolicy = {
  estate: "home",
  registerWithinMs: 1000 * hour,
  graceMs: 10 * minute,
  pauseMs: 5 * minute,
  mostPerHour: 2,
  never: ["sentinel", "900"],
  providers: ["proxmox", "lightsail"],
};

export const server = (
  agent: string,
  id: string,
  expiresMs: number,
  provider: ServerSeen["provider"] = "proxmox",
): ServerSeen => ({
  provider,
  id,
  name: `vm-${id}`,
  tags: { estate: "home", agent, expiresSec: Math.floor(expiresMs / 1000) },
});
export const life = (name: string, changes: Partial<AgentLife> = {}): AgentLife => ({ name, life: 1, ...changes });
/** That its server did so. */
export const registered = {
  ...{ instance: "0".repeat(32), address: { host: "10.0.0.9", port: 8943 }, idempotent: false },
  ...{ version: "1.0.0", atMs: start },
};
export const handedOver = (why: "expired" | "unregistered" | "farewell" = "expired") => ({
  handedOver: { why, atMs: start },
});

/** A world that is looked at every minute; what is deleted is gone, unless it is protected. */
export class World {
  policy = policy;
  /** What calls itself ours and lacks a tag, by provider. */
  strangers: Partial<Record<ServerSeen["provider"], readonly string[]>> = {};
  servers: ServerSeen[] = [];
  agents: AgentLife[] = [];
  blind = new Set<ServerSeen["provider"]>();
  stuck = new Set<string>();
  state: ReapState = emptyReap;
  nowMs = 0;
  offsetMs = 0;
  readonly deleted: { readonly server: ServerSeen; readonly atMs: number; readonly doom: string | undefined }[] = [];
  readonly reaped: string[] = [];
  readonly news: string[] = [];
  /** Agents that the last step named as stranded. */
  stranded: string[] = [];
  #ends: RemovalEnd[] = [];
  #looks: Partial<Record<ServerSeen["provider"], Look>> = {};

  step(passMs = minute): void {
    this.nowMs += passMs;
    for (const kind of policy.providers) {
      if (this.blind.has(kind)) delete this.#looks[kind];
      else {
        const servers = this.servers.filter(({ provider }) => provider === kind);
        this.#looks[kind] = { atMs: this.nowMs, servers, strangers: this.strangers[kind] ?? [] };
      }
    }
    const wallMs = start + this.nowMs + this.offsetMs;
    const view = { monotonicMs: this.nowMs, wallMs, agents: this.agents, looks: this.#looks, ends: this.#ends };
    const outcome = decideReap(this.state, view, this.policy);
    this.state = outcome.state;
    this.stranded = strandedOf(this.agents, this.policy, this.#looks).map(({ agent }) => agent);
    this.#ends = outcome.removals.map(({ key, server: one }) => {
      this.deleted.push({ server: one, atMs: this.nowMs, doom: this.doomOf(one) });
      if (this.stuck.has(one.id)) return { key, ok: false, reason: "protected" };
      this.servers = this.servers.filter((other) => other !== one);
      return { key, ok: true };
    });
    this.reaped.push(...outcome.reaped.map(({ agent }) => agent));
    this.agents = this.agents.filter(({ name }) => !outcome.reaped.some(({ agent }) => agent === name));
    this.news.push(...outcome.news.map(({ kind }) => kind));
  }

  doomOf(one: ServerSeen): string | undefined {
    const wallMs = start + this.nowMs + this.offsetMs;
    const aloneMs = this.nowMs - (this.state.aloneMs[serverKey(one)] ?? this.nowMs);
    const held = this.state.held[placeKey(one)] !== undefined;
    return doomOf(one, this.agents, this.policy, wallMs, { aloneMs, held });
  }

  /** What a restart leaves; with `from`, what a backup of then brings back. */
  restart(from: Pick<ReapState, "begunMs" | "seenMs"> = this.state): void {
    const { begunMs, seenMs } = from;
    this.state = { ...emptyReap, begunMs, seenMs };
  }

  run(minutes: number): this {
    for (let n = 0; n < minutes; n += 1) this.step();
    return this;
  }
}
