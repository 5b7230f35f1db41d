import assert from "node:assert/strict";
import fc from "fast-check";
import type { ArbiterConfig } from "../../runtime-agent/src/keeper/arbiter/core/config.ts";
import { arbiterConfig } from "../../runtime-agent/src/keeper/arbiter/core/config.ts";
import { decide, initialState } from "../../runtime-agent/src/keeper/arbiter/core/decide.ts";
import type { ArbiterState } from "../../runtime-agent/src/keeper/arbiter/core/state.ts";
import type {
  Action,
  Event,
  Gpu,
  Observation,
  Outcome,
  Service,
} from "../../runtime-agent/src/keeper/arbiter/core/types.ts";

function service(name: string, rank: Service["rank"], kind: Service["kind"], more: Partial<Service>): Service {
  const rungs: Service["rungs"] = ["checkpoint", "freeze", "term"];
  return { name, rank, kind, vramMiB: 4096, forbiddenInMarket: false, leaseMs: 30_000, rungs, ...more };
}

/** Two services of each rank from 2 to 4; some fit beside each other, some do not. */
export const modelConfig: ArbiterConfig = arbiterConfig({
  linked: true,
  services: [
    service("eva", 2, "interactive", { vramMiB: 16384, rungs: ["application", "checkpoint", "freeze", "term"] }),
    service("eva2", 2, "interactive", { startable: true }),
    service("sentinel", 3, "scan", { everyMs: 120_000, leaseMs: 60_000 }),
    service("research", 3, "interactive", { forbiddenInMarket: true, rungs: ["stop"] }),
    service("muse", 4, "batch", { vramMiB: 12288, forbiddenInMarket: true }),
    service("dream", 4, "batch", { rungs: ["freeze"] }),
  ],
  load: { holdMs: 0 },
  queue: { longest: 8, turnMs: 60_000, restartMs: 60_000 },
});

/** Night of a Tuesday in Paris. */
export const nightMs = Date.UTC(2026, 10, 17, 22, 30);

/** What happens between two calls. */
export interface Moment {
  readonly passMs: number;
  readonly gpu: "known" | "unknown" | "absent";
  readonly fresh: boolean;
  readonly temperatureC: number | undefined;
  readonly strangerMiB: number;
  readonly market: "open" | "closed" | "lost";
  readonly handoff: boolean;
  readonly load1: number;
  readonly ownLoad1: number | undefined;
  readonly jumpMs: number;
  readonly events: readonly Event[];
  /** Which of the actions that wait for an answer get which. */
  readonly answers: readonly { readonly pick: number; readonly ok: boolean }[];
}

const names = modelConfig.services.map((each) => each.name);
const id = fc.constantFrom("a", "b", "c", "d", "e");
const event: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("request" as const), id, service: fc.constantFrom(...names, "nobody") }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("renew" as const), id }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("release" as const), id }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("exited" as const), service: fc.constantFrom(...names) }) },
);

/** Mostly a quiet night, with everything that may go wrong now and then. */
export const moment: fc.Arbitrary<Moment> = fc.record({
  passMs: fc.oneof(
    fc.integer({ min: 0, max: 20 }),
    fc.integer({ min: 100, max: 2000 }),
    fc.integer({ min: 10_000, max: 90_000 }),
  ),
  gpu: fc.oneof(
    { weight: 12, arbitrary: fc.constant("known" as const) },
    fc.constantFrom("unknown" as const, "absent" as const),
  ),
  fresh: fc.oneof({ weight: 5, arbitrary: fc.constant(true) }, fc.constant(false)),
  temperatureC: fc.oneof(
    { weight: 12, arbitrary: fc.integer({ min: 40, max: 70 }) },
    { weight: 2, arbitrary: fc.integer({ min: 70, max: 90 }) },
    fc.constant(undefined),
  ),
  strangerMiB: fc.oneof({ weight: 8, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 24576 })),
  market: fc.oneof(
    { weight: 12, arbitrary: fc.constant("closed" as const) },
    fc.constantFrom("open" as const, "lost" as const),
  ),
  handoff: fc.oneof({ weight: 15, arbitrary: fc.constant(false) }, fc.constant(true)),
  load1: fc.oneof({ weight: 5, arbitrary: fc.constant(0.1) }, fc.double({ min: 0, max: 9, noNaN: true })),
  ownLoad1: fc.option(fc.double({ min: 0, max: 4, noNaN: true }), { nil: undefined }),
  jumpMs: fc.oneof({ weight: 15, arbitrary: fc.constant(0) }, fc.constantFrom(3_600_000, -3_600_000)),
  events: fc.array(event, { maxLength: 3 }),
  answers: fc.array(
    fc.record({ pick: fc.nat(), ok: fc.oneof({ weight: 5, arbitrary: fc.constant(true) }, fc.constant(false)) }),
    {
      maxLength: 3,
    },
  ),
});

type Answerable = Extract<Action, { kind: "start" | "lower" | "raise" }>;

/**
 * Plays moments against the core, and knows by the actions alone who really uses the card: from a grant, a start or a
 * raise until the lease ends, the processes are gone, or the shell has confirmed that they are down.
 */
export class KeeperModel {
  state: ArbiterState = initialState();
  nowMs = 1_000_000;
  jumpMs = 0;
  sample = 1;
  readonly running = new Set<string>();
  readonly vramMiB = new Map<string, number>();
  pending: Answerable[] = [];
  greatestToken = 0;
  tokenOwner = "";
  last: Observation | undefined;
  outcome: Outcome | undefined;
  readonly #leases = new Map<string, string>();
  /** Services whose lease was given back while they were down: raised, they use nothing. */
  readonly #given = new Set<string>();
  readonly #shiftMs: number;

  constructor(shiftMs = 0) {
    this.#shiftMs = shiftMs;
  }

  play(now: Moment): Outcome {
    this.nowMs += now.passMs;
    this.jumpMs += now.jumpMs;
    if (now.fresh) this.sample += 1;
    const events: Event[] = [...now.events];
    for (const each of now.events) this.#hear(each);
    for (const { pick, ok } of now.answers) {
      const action = this.pending[pick % Math.max(1, this.pending.length)];
      if (action === undefined) continue;
      this.#answer(action, ok);
      events.push({ kind: "done", action: action.id, ok, reason: "model" });
    }
    const constraint =
      now.market === "lost"
        ? undefined
        : {
            marketOpen: now.market === "open",
            handoff: now.handoff,
            roomC: undefined,
            untilMonotonicMs: this.nowMs + 1,
          };
    const wallMs = nightMs + this.#shiftMs + this.nowMs - 1_000_000 + this.jumpMs;
    const { load1, ownLoad1 } = now;
    this.last = { monotonicMs: this.nowMs, wallMs, load1, ownLoad1, gpu: this.#gpu(now), constraint, events };
    const outcome = decide(this.state, this.last, modelConfig);
    this.state = outcome.state;
    this.#giveUp();
    for (const action of outcome.actions) this.#asked(action);
    this.outcome = outcome;
    return outcome;
  }

  #gpu(now: Moment): Gpu {
    if (now.gpu === "absent") return { kind: "absent" };
    if (now.gpu === "unknown") return { kind: "unknown", reason: "model" };
    const processes = [...this.vramMiB].map(([name, vramMiB], i) => ({ pid: 100 + i, vramMiB, service: name }));
    const used = processes.reduce((sum, { vramMiB }) => sum + vramMiB, now.strangerMiB);
    return {
      kind: "known",
      sample: this.sample,
      vramTotalMiB: 24576,
      vramUsedMiB: Math.min(24576, used),
      temperatureC: now.temperatureC,
      powerWatts: 100,
      processes: now.strangerMiB > 0 ? [...processes, { pid: 9, vramMiB: now.strangerMiB }] : processes,
    };
  }

  /** A client that releases stops by itself; processes that are gone run no more. */
  #hear(heard: Event): void {
    if (heard.kind === "exited") {
      this.running.delete(heard.service);
      this.vramMiB.delete(heard.service);
    }
    if (heard.kind !== "release") return;
    const about = Object.entries(this.state.holds).find(([, hold]) => hold.lease === heard.id);
    const name = this.#leases.get(heard.id) ?? about?.[0];
    if (name === undefined) return;
    this.#leases.delete(heard.id);
    const lowering = this.state.holds[name];
    if (lowering?.lease === heard.id && lowering.phase === "running") this.#stop(name);
    else this.#given.add(name);
  }

  #stop(name: string): void {
    this.running.delete(name);
    this.vramMiB.delete(name);
  }

  #answer(action: Answerable, ok: boolean): void {
    const later = this.pending.filter(
      (each) => each.service === action.service && each !== action && number(each) > number(action),
    );
    // Actions of a service are carried out in order: those before this one are over too.
    this.pending = this.pending.filter((each) => each.service !== action.service || later.includes(each));
    if (action.kind === "start" && !ok) this.#stop(action.service);
    const hold = this.state.holds[action.service];
    const rests = this.#given.has(action.service) || (hold?.lease === null && !hold.wants);
    // Its client has stopped: back on the card, or not to be got down from it, it only rests there.
    if (rests && ok === (action.kind !== "lower")) this.running.delete(action.service);
    if (action.kind === "lower" && ok) {
      if (!later.some((each) => each.kind !== "lower")) this.running.delete(action.service);
      if (action.rung !== "freeze" && action.rung !== "stop") this.vramMiB.delete(action.service);
    }
  }

  /** Getting one down took too long whose client has stopped: it rests where it is, as after an answer that says so. */
  #giveUp(): void {
    for (const name of this.#given) {
      const hold = this.state.holds[name];
      if (hold?.phase === "lowered" && hold.lease === null && !hold.wants) this.running.delete(name);
    }
  }

  #asked(action: Action): void {
    if (action.kind === "revoke" || action.kind === "refuse") {
      const name = this.#leases.get(action.lease);
      if (action.kind === "revoke" && name !== undefined) this.running.delete(name);
      this.#leases.delete(action.lease);
    }
    if (action.kind === "start" || action.kind === "raise" || action.kind === "grant") {
      assert.ok(action.token >= this.greatestToken, "tokens never fall");
      if (action.token === this.greatestToken) assert.equal(action.service, this.tokenOwner, "a token has one holder");
      this.greatestToken = action.token;
      this.tokenOwner = action.service;
      const others = [...this.running].filter((name) => name !== action.service);
      assert.deepEqual(others, [], `${action.kind} of ${action.service} while others run`);
      this.running.add(action.service);
      const needs = modelConfig.services.find((each) => each.name === action.service)?.vramMiB ?? 0;
      this.vramMiB.set(action.service, needs);
    }
    if (action.kind === "grant" || action.kind === "start") this.#given.delete(action.service);
    if (action.kind === "grant") this.#leases.set(action.lease, action.service);
    if (action.kind === "start" || action.kind === "raise" || action.kind === "lower") this.pending.push(action);
  }
}

function number(action: Action): number {
  return Number(action.id.slice(1));
}

/** A moment in which all is well and every action is answered. */
export function calm(model: KeeperModel, passMs: number, events: readonly Event[] = []): Moment {
  const answers = model.pending.map(() => ({ pick: 0, ok: true }));
  const jumpMs = -model.jumpMs;
  return {
    ...{ passMs, gpu: "known", fresh: true, temperatureC: 50, strangerMiB: 0, market: "closed", handoff: false },
    ...{ load1: 0.1, ownLoad1: undefined, jumpMs, events, answers },
  };
}
