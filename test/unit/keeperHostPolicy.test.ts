import assert from "node:assert/strict";
import fc from "fast-check";
import type { BalloonPolicy } from "../../runtime-agent/src/keeper/host/core/balloons.ts";
import {
  canBalloon,
  defaultBalloonPolicy,
  floorMiB,
  planBalloons,
} from "../../runtime-agent/src/keeper/host/core/balloons.ts";
import type { HostPolicy } from "../../runtime-agent/src/keeper/host/core/decide.ts";
import { decideHost, emptyHostState } from "../../runtime-agent/src/keeper/host/core/decide.ts";
import { defaultHandoffPolicy } from "../../runtime-agent/src/keeper/host/core/handoffPlan.ts";
import type { GuestRule, GuestSeen, HostAction, HostEvent } from "../../runtime-agent/src/keeper/host/core/types.ts";
import { World, worldGuest, type WorldGuest } from "./keeperHostWorld.ts";

const balloons: BalloonPolicy = { ...defaultBalloonPolicy, lowMiB: 4096, highMiB: 8192 };

describe("Keeper, host side: balloons", () => {
  const guest = fc.record({
    kind: fc.constantFrom("qemu" as const, "lxc" as const),
    status: fc.constantFrom("running" as const, "paused" as const, "stopped" as const),
    maxMiB: fc.integer({ min: 512, max: 65_536 }),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
    used: fc.double({ min: 0, max: 1, noNaN: true }),
    floor: fc.integer({ min: 128, max: 65_536 }),
    passed: fc.boolean(),
    ballooning: fc.boolean(),
    idle: fc.boolean(),
    priority: fc.integer({ min: 1, max: 9 }),
  });
  const input = fc
    .record({
      guests: fc.array(guest, { maxLength: 12 }),
      availableMiB: fc.integer({ min: 0, max: 32_768 }),
      stalledPercent: fc.option(fc.double({ min: 0, max: 100, noNaN: true }), { nil: undefined }),
      wantedMiB: fc.constantFrom(0, 0, 2000),
    })
    .map(({ guests, availableMiB, stalledPercent, wantedMiB }) => ({
      rules: guests.map((g, n): GuestRule => ({
        vmid: 100 + n,
        role: "x",
        priority: g.priority,
        essential: false,
        balloonMinMiB: Math.min(g.floor, g.maxMiB),
        gpuContender: false,
      })),
      guests: guests.map((g, n): GuestSeen => ({
        vmid: 100 + n,
        kind: g.kind,
        status: g.status,
        maxMiB: g.maxMiB,
        balloonMiB: Math.min(g.floor, g.maxMiB) + g.share * (g.maxMiB - Math.min(g.floor, g.maxMiB)),
        usedMiB: g.used * g.maxMiB,
        cpu: 0,
        devices: g.passed ? { hostpci0: "mapping=gpu" } : {},
        ballooning: g.ballooning,
      })),
      memory: {
        totalMiB: 131_072,
        availableMiB,
        ...(stalledPercent === undefined ? {} : { stalledPercent }),
      },
      idle: new Set(guests.flatMap((g, n) => (g.idle ? [100 + n] : []))),
      moving: new Set<number>(),
      wantedMiB,
      policy: balloons,
    }));

  it("property: never under a floor or over a maximum, never a passed-through device, no more than is needed", () => {
    fc.assert(
      fc.property(input, (given) => {
        const targets = planBalloons(given);
        assert.equal(new Set(targets.map(({ vmid }) => vmid)).size, targets.length);
        let freed = 0;
        for (const { vmid, targetMiB } of targets) {
          const seen = given.guests.find((g) => g.vmid === vmid);
          const rule = given.rules.find((r) => r.vmid === vmid);
          assert.ok(seen !== undefined && rule !== undefined && canBalloon(rule, seen));
          assert.ok(Number.isInteger(targetMiB) && targetMiB <= seen.maxMiB);
          if (targetMiB < seen.balloonMiB) {
            assert.ok(targetMiB >= floorMiB(rule, seen, balloons) && given.idle.has(vmid));
            freed += seen.balloonMiB - targetMiB;
          } else freed -= targetMiB - seen.balloonMiB;
        }
        const need = balloons.highMiB + given.wantedMiB - given.memory.availableMiB;
        if (freed > 0) assert.ok(freed <= Math.max(need, balloons.stepMiB) + 1, `${String(freed)} of ${String(need)}`);
        // Giving back never brings the host below what it wants to keep.
        if (freed < 0) assert.ok(given.memory.availableMiB + freed >= balloons.highMiB - 1);
      }),
      { numRuns: 500 },
    );
  });

  it("takes from the least important first, and gives back to the most important first", () => {
    const rules: GuestRule[] = [1, 5].map((priority) => ({
      vmid: 100 + priority,
      role: "x",
      priority,
      essential: false,
      balloonMinMiB: 1024,
      gpuContender: false,
    }));
    const world = new World();
    for (const { vmid } of rules) world.guests.set(vmid, worldGuest({ usedMiB: 100 }));
    const idle = new Set([101, 105]);
    const base = { rules, idle, moving: new Set<number>(), wantedMiB: 0, policy: balloons };
    const low = planBalloons({ ...base, guests: world.seen(), memory: { totalMiB: 1, availableMiB: 3000 } });
    assert.deepEqual(
      low.map(({ vmid, targetMiB }) => [vmid, targetMiB]),
      [[105, 3000]],
    );
    // What a guest uses it keeps, and half a GiB more.
    Object.assign(world.guests.get(105) ?? {}, { usedMiB: 6000 });
    const used = planBalloons({ ...base, guests: world.seen(), memory: { totalMiB: 1, availableMiB: 3000 } });
    assert.deepEqual(
      used.map(({ vmid, targetMiB }) => [vmid, targetMiB]),
      [
        [105, 6512],
        [101, 4680],
      ],
    );
    for (const vmid of [101, 105]) Object.assign(world.guests.get(vmid) ?? {}, { balloonMiB: 2048 });
    const high = planBalloons({ ...base, guests: world.seen(), memory: { totalMiB: 1, availableMiB: 10_192 } });
    assert.deepEqual(
      high.map(({ vmid, targetMiB }) => [vmid, targetMiB]),
      [[101, 4048]],
    );
  });
});

const rule = (vmid: number, priority: number, more: Partial<GuestRule> = {}): GuestRule => ({
  vmid,
  role: `role-${String(vmid)}`,
  priority,
  essential: false,
  balloonMinMiB: 1024,
  gpuContender: false,
  ...more,
});
const policyOf = (guests: readonly GuestRule[]): HostPolicy => ({
  guests,
  balloons,
  handoff: { ...defaultHandoffPolicy, enabled: false, mapping: "gpu" },
  marketRoles: ["research"],
  idleCpu: 0.05,
  idleMs: 10_000,
  shortMs: 20_000,
  shutdownMs: 60_000,
  reserveMiB: 1024,
});

/** The world and the core, one turn a second. */
class Estate {
  readonly world = new World();
  state = emptyHostState;
  nowMs = 0;
  marketOpen = false;
  events: HostEvent[] = [];
  actions: HostAction[] = [];
  readonly policy: HostPolicy;
  /** Memory that something else on the host has taken, MiB. */
  takenMiB = 0;
  proxmox = true;
  /** How long a shutdown takes that is not obeyed, s: Proxmox waits for the guest before it says so. */
  #late: { readonly atMs: number; readonly event: HostEvent }[] = [];

  constructor(guests: readonly (readonly [GuestRule, Partial<WorldGuest>])[]) {
    this.policy = policyOf(guests.map(([each]) => each));
    for (const [{ vmid }, changes] of guests) this.world.guests.set(vmid, worldGuest(changes));
  }

  run(seconds: number): string[] {
    const from = this.actions.length;
    for (let n = 0; n < seconds; n += 1) {
      this.nowMs += 1000;
      const outcome = decideHost(
        this.state,
        {
          monotonicMs: this.nowMs,
          wallMs: this.nowMs,
          marketOpen: this.marketOpen,
          marketOpensInMs: 0,
          guests: this.proxmox ? this.world.seen() : undefined,
          memory: { totalMiB: this.world.totalMiB, availableMiB: this.world.availableMiB() - this.takenMiB },
          arbiter: undefined,
          events: this.events,
        },
        this.policy,
      );
      this.state = outcome.state;
      this.actions.push(...outcome.actions);
      for (const action of outcome.actions) {
        const waits = action.kind === "shutdown" && this.world.guests.get(action.vmid)?.obeys === false;
        const spentMs = waits && !this.world.fails(action) ? this.policy.shutdownMs : 0;
        this.#late.push({ atMs: this.nowMs + spentMs, event: this.world.perform(action) });
      }
      this.events = this.#late.filter(({ atMs }) => atMs <= this.nowMs).map(({ event }) => event);
      this.#late = this.#late.filter(({ atMs }) => atMs > this.nowMs);
    }
    return this.actions.slice(from).map(({ kind, vmid }) => `${kind} ${String(vmid)}`);
  }
}

describe("Keeper, host side: which guests run", () => {
  it("starts essential guests, the important first, one after the other, and leaves others stopped", () => {
    const estate = new Estate([
      [rule(400, 3, { essential: true }), { status: "stopped" }],
      [rule(200, 1, { essential: true }), { status: "stopped" }],
      [rule(300, 2), { status: "stopped" }],
    ]);
    assert.deepEqual(estate.run(10), ["start 200", "start 400"]);
  });

  it("does nothing about guests that it cannot see", () => {
    const estate = new Estate([[rule(200, 1, { essential: true }), { status: "stopped" }]]);
    estate.proxmox = false;
    assert.deepEqual(estate.run(30), []);
  });

  it("pauses research while the market is open, and only what it paused comes back", () => {
    const estate = new Estate([
      [rule(300, 5, { role: "research" }), {}],
      [rule(301, 5, { role: "web" }), { status: "paused" }],
    ]);
    estate.marketOpen = true;
    assert.deepEqual(estate.run(5), ["suspend 300"]);
    estate.marketOpen = false;
    assert.deepEqual(estate.run(5), ["resume 300"]);
  });

  it("balloons first, then stops the least important, never an essential one, and brings it back", () => {
    const estate = new Estate([
      [rule(200, 1, { essential: true, balloonMinMiB: 8192 }), {}],
      [rule(300, 4, { balloonMinMiB: 8000 }), {}],
      [rule(301, 6), {}],
    ]);
    estate.run(15);
    estate.takenMiB = estate.world.availableMiB() + 4000;
    const deeds = estate.run(200);
    assert.equal(deeds[0], "balloon 301");
    assert.ok(deeds.includes("shutdown 301"), deeds.join());
    assert.ok(!deeds.includes("shutdown 200"));
    estate.takenMiB = 0;
    assert.ok(estate.run(120).includes("start 301"));
    assert.equal(estate.world.guests.get(301)?.status, "running");
  });

  it("ends a guest by force that does not power off, and rests after failed starts", () => {
    const estate = new Estate([[rule(300, 4), { obeys: false }]]);
    estate.events.push({ kind: "want", vmid: 300, state: "stopped" });
    assert.deepEqual(estate.run(60), ["shutdown 300"]);
    assert.deepEqual(estate.run(5), ["stop 300"]);
    estate.world.fails = ({ kind }) => kind === "start";
    estate.events.push({ kind: "want", vmid: 300, state: "running" });
    const tries = estate.run(100).length;
    assert.ok(tries >= 3 && tries <= 5, String(tries));
    estate.world.fails = () => false;
    assert.deepEqual(estate.run(200), ["start 300"]);
    estate.events.push({ kind: "kill", vmid: 300 });
    assert.deepEqual(estate.run(5), ["stop 300"]);
  });

  it("ends nobody by force whose shutdown failed before its time was over: it asks again, ever more slowly", () => {
    const estate = new Estate([[rule(300, 4), {}]]);
    estate.world.fails = ({ kind }) => kind === "shutdown";
    estate.events.push({ kind: "want", vmid: 300, state: "stopped" });
    const tries = estate.run(100);
    assert.deepEqual(new Set(tries), new Set(["shutdown 300"]));
    assert.ok(tries.length >= 3 && tries.length <= 4, tries.join());
    estate.world.fails = () => false;
    assert.deepEqual(estate.run(200), ["shutdown 300"]);
    assert.equal(estate.world.guests.get(300)?.status, "stopped");
  });

  it("waits after one failed shutdown, and stops the next one only when the first cannot be", () => {
    const estate = new Estate([
      [rule(300, 4), {}],
      [rule(301, 6), {}],
    ]);
    for (const guest of estate.world.guests.values()) guest.usedMiB = guest.maxMiB;
    estate.world.fails = ({ kind, vmid }) => kind === "shutdown" && vmid === 301;
    estate.takenMiB = estate.world.availableMiB() - 1000;
    const deeds = estate.run(60).filter((deed) => deed.startsWith("shutdown"));
    assert.deepEqual(deeds, ["shutdown 301", "shutdown 301", "shutdown 300"]);
  });

  it("lets one whose shutdown fails hold up nobody else's", () => {
    const estate = new Estate([
      [rule(300, 4), {}],
      [rule(301, 6), {}],
    ]);
    estate.world.fails = ({ kind, vmid }) => kind === "shutdown" && vmid === 300;
    for (const vmid of [300, 301]) estate.events.push({ kind: "want", vmid, state: "stopped" });
    assert.deepEqual(estate.run(10), ["shutdown 300", "shutdown 301"]);
  });

  it("makes room for what is asked for by stopping what matters less, never what matters more", () => {
    const big = { maxMiB: 60_000, balloonMiB: 60_000, usedMiB: 59_000, cpu: 0.5 };
    const estate = new Estate([
      [rule(100, 2), { ...big, status: "stopped" }],
      [rule(101, 1), big],
      [rule(102, 5), big],
    ]);
    estate.events.push({ kind: "want", vmid: 100, state: "running" });
    assert.deepEqual(estate.run(20), ["shutdown 102", "start 100"]);
    assert.equal(estate.world.guests.get(101)?.status, "running");
  });
});
