import type { ArbiterConfig } from "../../runtime-agent/src/keeper/arbiter/core/config.ts";
import type { Action, Event, Gpu, Observation, Rung } from "../../runtime-agent/src/keeper/arbiter/core/types.ts";

/** How long the simulated shell takes for each action, ms. */
const tookMs: Readonly<Record<string, number>> = {
  application: 1500,
  checkpoint: 3000,
  freeze: 8,
  stop: 1,
  term: 200,
  kill: 50,
  start: 400,
  raise: 10,
  power: 5,
};

/** A card, services and clients that behave as told; it carries out what the arbiter asks for. */
export class KeeperWorld {
  readonly vramMiB = new Map<string, number>();
  /** Grants seen: lease to service, with its token. */
  readonly leases = new Map<string, { readonly service: string; readonly token: number }>();
  readonly strangers = new Map<number, number>();
  readonly refusesRungs = new Set<string>();
  readonly hangs = new Set<string>();
  readonly silent = new Set<string>();
  readonly keepsVram = new Set<string>();
  gpu: "known" | "absent" | string = "known";
  sensor: "ok" | "stuck" | "none" = "ok";
  temperatureC: number;
  load1: number | undefined;
  ownLoad1: number | undefined;
  jumpMs = 0;
  link: { marketOpen: boolean; handoff: boolean; roomC: number | undefined } | undefined;
  #sample = 0;
  #reading: Gpu = { kind: "unknown", reason: "not read yet" };
  readonly #config: ArbiterConfig;
  readonly #vramTotalMiB: number;

  constructor(config: ArbiterConfig, start: { temperatureC: number; load1: number; vramTotalMiB: number }) {
    this.#config = config;
    this.temperatureC = start.temperatureC;
    this.load1 = start.load1;
    this.#vramTotalMiB = start.vramTotalMiB;
    if (config.linked) this.link = { marketOpen: false, handoff: false, roomC: undefined };
  }

  observe(monotonicMs: number, wallMs: number, events: readonly Event[]): Observation {
    const constraint = this.link === undefined ? undefined : { ...this.link, untilMonotonicMs: monotonicMs + 10_000 };
    const { load1, ownLoad1 } = this;
    return { monotonicMs, wallMs: wallMs + this.jumpMs, load1, ownLoad1, gpu: this.#gpu(), constraint, events };
  }

  #gpu(): Gpu {
    if (this.gpu === "absent") return { kind: "absent" };
    if (this.gpu !== "known") return { kind: "unknown", reason: this.gpu };
    return this.#reading;
  }

  /** Reads the card anew, as the sampler does once a second and the shell when a rung has freed VRAM. */
  takeSample(): void {
    if (this.sensor === "stuck") return;
    this.#sample += 1;
    this.#reading = this.#read();
  }

  #read(): Gpu {
    const ours = [...this.vramMiB].map(([service, vramMiB], index) => ({ pid: 1000 + index, vramMiB, service }));
    const others = [...this.strangers].map(([pid, vramMiB]) => ({ pid, vramMiB }));
    const processes = [...ours.filter(({ vramMiB }) => vramMiB > 0), ...others];
    return {
      kind: "known",
      sample: this.#sample,
      vramTotalMiB: this.#vramTotalMiB,
      vramUsedMiB: processes.reduce((sum, { vramMiB }) => sum + vramMiB, 0),
      temperatureC: this.sensor === "none" ? undefined : this.temperatureC,
      powerWatts: 100,
      processes,
    };
  }

  /** When an action ends, and what happens then; undefined for one that never answers, or needs no answer. */
  carryOut(action: Action): { readonly afterMs: number; end(): Event[] } | undefined {
    const name = action.kind === "lower" ? action.rung : action.kind;
    if (action.kind === "grant") {
      this.leases.set(action.lease, { service: action.service, token: action.token });
      this.#load(action.service);
      return undefined;
    }
    if (action.kind === "revoke" || action.kind === "refuse") {
      this.#unload(action.lease);
      return undefined;
    }
    const service = action.kind === "power" ? "card" : action.service;
    const key = `${service} ${name}`;
    if (this.hangs.has(key)) return undefined;
    const end = (): Event[] => {
      if (this.refusesRungs.has(key)) return [{ kind: "done", action: action.id, ok: false, reason: "simulated" }];
      if (action.kind === "lower") this.#lowered(service, action.rung);
      if (action.kind === "start") this.#load(service);
      if (action.kind === "raise" && action.rungs.some((rung) => rung === "application" || rung === "checkpoint")) {
        this.#load(service);
      }
      return [{ kind: "done", action: action.id, ok: true }];
    };
    return { afterMs: tookMs[name] ?? 1, end };
  }

  #lowered(service: string, rung: Rung): void {
    if (rung === "freeze" || rung === "stop") return;
    this.vramMiB.delete(service);
    this.takeSample();
  }

  #load(name: string): void {
    const service = this.#config.services.find((each) => each.name === name);
    if (service !== undefined) this.vramMiB.set(name, service.vramMiB);
  }

  #unload(lease: string): void {
    const held = this.leases.get(lease);
    this.leases.delete(lease);
    if (held !== undefined && !this.keepsVram.has(held.service)) this.vramMiB.delete(held.service);
  }

  /** Renewals that the live clients send now. */
  renewals(): Event[] {
    return [...this.leases.keys()].filter((id) => !this.silent.has(id)).map((id) => ({ kind: "renew", id }));
  }

  /** One event of a scenario; gives what the arbiter hears of it. */
  happen(words: readonly string[]): Event[] {
    const [verb, a = "", b = ""] = words;
    const rest = words.slice(1).join(" ");
    switch (verb) {
      case "request":
        return [{ kind: "request", service: a, id: b }];
      case "release":
        this.#unload(a);
        return [{ kind: "release", id: a }];
      case "renew":
        return [{ kind: "renew", id: a }];
      case "exit":
        this.vramMiB.delete(a);
        for (const [lease, held] of this.leases) if (held.service === a) this.leases.delete(lease);
        return [{ kind: "exited", service: a }];
      case "silence":
        this.silent.add(a);
        return [];
      case "keeps":
        this.keepsVram.add(a);
        return [];
      case "uses":
        this.vramMiB.set(a, Number(b));
        return [];
      case "heat":
        this.temperatureC = Number(a);
        return [];
      case "load":
        this.load1 = a === "unreadable" ? undefined : Number(a);
        this.ownLoad1 = words[2] === "own" ? Number(words[3]) : undefined;
        return [];
      case "gpu":
        this.gpu = rest;
        return [];
      case "sensor":
        if (a !== "ok" && a !== "stuck" && a !== "none") throw new Error(`no such sensor: ${a}`);
        this.sensor = a;
        return [];
      case "stranger":
        if (b === "gone") this.strangers.delete(Number(a));
        else this.strangers.set(Number(a), Number(b));
        return [];
      case "fail":
        this.refusesRungs.add(rest);
        return [];
      case "hang":
        this.hangs.add(rest);
        return [];
      case "works":
        this.refusesRungs.delete(rest);
        this.hangs.delete(rest);
        return [];
      case "jump":
        this.jumpMs += Number(a) * 1000;
        return [];
      case "link":
        this.#linked(a, b);
        return [];
      default:
        throw new Error(`no such event: ${words.join(" ")}`);
    }
  }

  #linked(what: string, value: string): void {
    const before = this.link ?? { marketOpen: false, handoff: false, roomC: undefined };
    if (what === "lost") this.link = undefined;
    else if (what === "market") this.link = { ...before, marketOpen: value === "open" };
    else if (what === "handoff") this.link = { ...before, handoff: value !== "over" };
    else if (what === "room") this.link = { ...before, roomC: Number(value) };
    else throw new Error(`no such link event: ${what}`);
  }
}
