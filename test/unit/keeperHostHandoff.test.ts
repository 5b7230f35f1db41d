import assert from "node:assert/strict";
import fc from "fast-check";
import type { HostPolicy } from "../../runtime-agent/src/keeper/host/core/decide.ts";
import {
  decideHost,
  emptyHostState,
  handoffPlanned,
  resumeHost,
} from "../../runtime-agent/src/keeper/host/core/decide.ts";
import { defaultBalloonPolicy } from "../../runtime-agent/src/keeper/host/core/balloons.ts";
import { defaultHandoffPolicy, isActive } from "../../runtime-agent/src/keeper/host/core/handoffPlan.ts";
import type { ArbiterSeen, HostAction, HostEvent } from "../../runtime-agent/src/keeper/host/core/types.ts";
import { World, worldGuest } from "./keeperHostWorld.ts";

const gpu = "mapping=gpu,pcie=1";
const policy: HostPolicy = {
  guests: [
    { vmid: 100, role: "ai", priority: 2, essential: true, balloonMinMiB: 65_536, gpuContender: true },
    { vmid: 102, role: "district", priority: 6, essential: false, balloonMinMiB: 16_384, gpuContender: true },
    { vmid: 200, role: "trading", priority: 1, essential: true, balloonMinMiB: 8192, gpuContender: false },
  ],
  balloons: { ...defaultBalloonPolicy, lowMiB: 4096, highMiB: 8192 },
  handoff: { ...defaultHandoffPolicy, enabled: true, mapping: "gpu" },
  marketRoles: ["district"],
  idleCpu: 0.05,
  idleMs: 60_000,
  shortMs: 30_000,
  shutdownMs: 120_000,
  reserveMiB: 2048,
};

/** The estate, its link and its clock, one decision a second. */
class Run {
  readonly world = new World();
  state = emptyHostState;
  nowMs = 1_000_000;
  marketOpen = false;
  marketOpensInMs = Number.POSITIVE_INFINITY;
  heard = true;
  pveUp = true;
  /** What the arbiter answers to a request, and for how long its release holds; undefined: nothing. */
  reply: { kind: "release"; validMs: number } | { kind: "refuse" } | undefined = { kind: "release", validMs: 600_000 };
  answer: ArbiterSeen["answer"];
  events: HostEvent[] = [];
  /** Actions under way, with the time at which they end. */
  flying: { action: HostAction; endsMs: number }[] = [];
  delayMs = 0;
  log: string[] = [];
  askedMs = 0;
  readonly token = 7;

  constructor() {
    this.world.guests.set(100, worldGuest({ maxMiB: 65_536, balloonMiB: 65_536, devices: { hostpci0: gpu } }));
    this.world.guests.set(102, worldGuest({ status: "stopped", maxMiB: 16_384, balloonMiB: 16_384 }));
    this.world.guests.set(200, worldGuest());
  }

  tick(): void {
    this.nowMs += 1000;
    for (const { action } of this.flying.filter(({ endsMs }) => endsMs <= this.nowMs))
      this.events.push(this.world.perform(action));
    this.flying = this.flying.filter(({ endsMs }) => endsMs > this.nowMs);
    const arbiterRuns = this.world.guests.get(100)?.status === "running";
    const heard = this.heard && arbiterRuns;
    const outcome = decideHost(
      this.state,
      {
        monotonicMs: this.nowMs,
        wallMs: this.nowMs,
        marketOpen: this.marketOpen,
        marketOpensInMs: this.marketOpensInMs,
        guests: this.pveUp ? this.world.seen() : undefined,
        memory: { totalMiB: this.world.totalMiB, availableMiB: this.world.availableMiB() },
        arbiter: { vmid: 100, heard, ...(this.answer === undefined ? {} : { answer: this.answer }) },
        events: this.events,
      },
      policy,
    );
    this.events = [];
    this.state = outcome.state;
    this.log.push(...outcome.decisions.map(({ what, reason }) => `${what}: ${reason}`));
    for (const action of outcome.actions) this.carry(action, heard);
  }

  carry(action: HostAction, heard: boolean): void {
    if (action.kind === "ask") {
      if (!heard || this.reply === undefined) return;
      this.answer =
        this.reply.kind === "refuse"
          ? { id: action.plan, refused: "EVA speaks" }
          : { id: action.plan, token: this.token, untilMs: this.nowMs + this.reply.validMs };
      return;
    }
    const plan = this.state.kept.handoff;
    // The rule of all rules: a VM with an arbiter goes down in a handoff only under its valid word.
    const taking = isActive(plan) && plan.fromVmid === 100 && action.vmid === 100;
    if (taking && (action.kind === "shutdown" || action.kind === "stop") && plan.step === "stop-from") {
      const released =
        this.answer !== undefined &&
        !("refused" in this.answer) &&
        this.answer.id === plan.id &&
        this.answer.untilMs > this.nowMs;
      if (!released) this.world.wrongs.push(`${action.kind} of VM 100 without a release`);
    }
    const forward = /\/(ask|stop-from|stop-to|detach)\//.test(action.id);
    if (this.marketOpen && forward) this.world.wrongs.push(`${action.id} while the market is open`);
    // A change of a configuration is one short call; the rest are tasks.
    const short = action.kind === "detach" || action.kind === "attach";
    this.flying.push({ action, endsMs: this.nowMs + (short ? Math.min(4000, this.delayMs) : this.delayMs) });
  }

  /** SIGKILL and a new process: only what was journaled survives; what was sent to Proxmox goes on. */
  crash(): void {
    this.state = resumeHost(structuredClone(this.state.kept), this.nowMs);
    this.answer = undefined;
    this.events = [];
  }

  step(): string | undefined {
    return this.state.kept.handoff?.step;
  }

  until(steps: readonly string[], mostTicks = 3000): void {
    for (let n = 0; n < mostTicks; n += 1) {
      if (steps.includes(this.step() ?? "")) return;
      this.tick();
    }
    assert.fail(`stays in ${String(this.step())}: ${this.log.slice(-6).join(" | ")}`);
  }

  devices(vmid: number): Record<string, string> {
    return this.world.guests.get(vmid)?.devices ?? {};
  }

  status(vmid: number): string | undefined {
    return this.world.guests.get(vmid)?.status;
  }

  ask(toVmid = 102, id = "h1"): void {
    this.events.push({ kind: "handoff", id, toVmid });
    this.tick();
  }

  back(): void {
    assert.deepEqual(
      [this.devices(100), this.devices(102), this.status(100)],
      [{ hostpci0: gpu }, {}, "running"],
      this.log.join("\n"),
    );
    assert.deepEqual(this.world.wrongs, []);
  }
}

describe("Keeper, host side: GPU handoff", () => {
  it("moves the GPU from 100 to 102 and back again", () => {
    const run = new Run();
    run.ask();
    run.until(["done"]);
    assert.deepEqual([run.status(100), run.status(102)], ["stopped", "running"]);
    assert.deepEqual([run.devices(100), run.devices(102)], [{}, { hostpci0: gpu }]);
    assert.equal(run.state.kept.handoff?.token, 7);
    assert.deepEqual(
      run.world.done.map(({ kind, vmid }) => `${kind} ${String(vmid)}`),
      ["shutdown 100", "detach 100", "attach 102", "start 102"],
    );
    // VM 100 is essential, yet it stays off: it lost the GPU on purpose.
    for (let n = 0; n < 100; n += 1) run.tick();
    assert.equal(run.status(100), "stopped");
    run.ask(100, "h2");
    run.until(["done"]);
    run.back();
    assert.equal(run.status(102), "stopped");
  });

  const refusals: readonly (readonly [string, (run: Run) => void, RegExp])[] = [
    ["an open market", (run) => (run.marketOpen = true), /the market is open/],
    ["a market that opens soon", (run) => (run.marketOpensInMs = 600_000), /market opens within/],
    ["an arbiter that cannot be heard", (run) => (run.heard = false), /cannot be heard/],
    ["a guest that is no contender", (run) => run.ask(200, "x"), /no contender/],
    ["a guest that has it already", (run) => run.ask(100, "x"), /has the GPU already/],
    ["a Proxmox that does not answer", (run) => (run.pveUp = false), /does not answer/],
    ["a refusal of the arbiter", (run) => (run.reply = { kind: "refuse" }), /EVA speaks/],
    ["an arbiter that answers nothing", (run) => (run.reply = undefined), /did not release/],
  ];
  for (const [what, change, words] of refusals) {
    it(`leaves everything where it is on ${what}`, () => {
      const run = new Run();
      change(run);
      run.ask();
      for (let n = 0; n < 120; n += 1) run.tick();
      assert.match(run.log.join("\n"), words);
      const touched = run.world.done.filter(({ vmid }) => vmid === 100);
      if (what !== "a guest that is no contender" && what !== "a guest that has it already")
        assert.deepEqual(touched, []);
    });
  }

  it("renders on the CPU when the GPU cannot be had and the memory allows it", () => {
    const run = new Run();
    run.heard = false;
    run.ask();
    for (let n = 0; n < 5; n += 1) run.tick();
    assert.deepEqual([run.status(102), run.devices(102)], ["running", {}]);
    run.back();
  });

  it("goes back when the VM that got the GPU never becomes healthy", () => {
    const run = new Run();
    const district = run.world.guests.get(102);
    if (district !== undefined) district.healthy = false;
    run.ask();
    run.until(["verify"]);
    run.until(["undone"]);
    run.back();
    assert.match(run.log.join("\n"), /verify took too long/);
  });

  it("goes back when the market opens before the device has moved", () => {
    const run = new Run();
    run.delayMs = 30_000;
    run.ask();
    run.until(["stop-from"]);
    run.marketOpen = true;
    run.until(["undone"]);
    run.until(["undone"]);
    for (let n = 0; n < 60; n += 1) run.tick();
    run.back();
  });

  for (const crash of [false, true]) {
    it(`waits for a change that is under way before it turns back${crash ? ", also in a new process" : ""}`, () => {
      const run = new Run();
      run.delayMs = 4000;
      run.ask();
      run.until(["detach"]);
      if (run.flying.length === 0) run.tick();
      assert.equal(run.flying[0]?.action.kind, "detach");
      run.marketOpen = true;
      if (crash) run.crash();
      run.until(["undone"]);
      for (let n = 0; n < 60; n += 1) run.tick();
      run.back();
    });
  }

  it("stops a guest that does not power off only while the release holds", () => {
    const run = new Run();
    const brain = run.world.guests.get(100);
    if (brain !== undefined) brain.obeys = false;
    run.reply = { kind: "release", validMs: 60_000 };
    run.ask();
    run.until(["undone"]);
    run.back();
    const again = new Run();
    const stubborn = again.world.guests.get(100);
    if (stubborn !== undefined) stubborn.obeys = false;
    again.ask();
    again.until(["done"]);
    assert.ok(again.world.done.some(({ kind, vmid }) => kind === "stop" && vmid === 100));
    assert.deepEqual(again.world.wrongs, []);
  });

  it("tells the arbiter of a planned handoff from the asking until its VM is off", () => {
    const run = new Run();
    run.delayMs = 5000;
    assert.equal(handoffPlanned(run.state), false);
    run.ask();
    assert.equal(handoffPlanned(run.state), true);
    run.until(["detach"]);
    assert.equal(handoffPlanned(run.state), false);
  });

  it("property: whatever fails, whenever it is killed, it ends in one of two whole states", () => {
    const disturbance = fc.record({
      atTick: fc.integer({ min: 0, max: 700 }),
      kind: fc.constantFrom("crash", "silent", "heard", "pveDown", "pveUp", "fail", "mend", "open", "close", "jump"),
    });
    fc.assert(
      fc.property(
        fc.array(disturbance, { maxLength: 12 }),
        fc.integer({ min: 0, max: 40_000 }),
        fc.boolean(),
        fc.boolean(),
        fc.integer({ min: 1000, max: 600_000 }),
        (disturbances, delayMs, obeys, healthy, validMs) => {
          const run = new Run();
          run.delayMs = delayMs;
          run.reply = { kind: "release", validMs };
          for (const vmid of [100, 102]) {
            const guest = run.world.guests.get(vmid);
            if (guest !== undefined) Object.assign(guest, { obeys, healthy: vmid === 100 || healthy });
          }
          run.ask();
          for (let n = 0; n < 700; n += 1) {
            for (const { kind } of disturbances.filter(({ atTick }) => atTick === n)) {
              if (kind === "crash") run.crash();
              else if (kind === "silent" || kind === "heard") run.heard = kind === "heard";
              else if (kind === "pveDown" || kind === "pveUp") run.pveUp = kind === "pveUp";
              else if (kind === "fail") run.world.fails = () => true;
              else if (kind === "mend") run.world.fails = () => false;
              else if (kind === "jump") run.nowMs += 600_000;
              else run.marketOpen = kind === "open";
            }
            run.tick();
          }
          // The world calms down: nothing may stay half done.
          run.world.fails = () => false;
          run.pveUp = true;
          run.heard = true;
          run.marketOpen = false;
          for (let n = 0; n < 1500; n += 1) run.tick();
          assert.deepEqual(run.world.wrongs, []);
          const step = run.step();
          const whole = { 100: run.devices(100), 102: run.devices(102) };
          if (step === "done") {
            assert.deepEqual(whole, { 100: {}, 102: { hostpci0: gpu } });
            assert.equal(run.status(102), "running");
          } else {
            assert.ok(step === "undone" || step === undefined, String(step));
            assert.deepEqual(whole, { 100: { hostpci0: gpu }, 102: {} });
            assert.equal(run.status(100), "running");
          }
        },
      ),
      { numRuns: 60 },
    );
  });
});
