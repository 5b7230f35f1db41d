import assert from "node:assert/strict";
import fc from "fast-check";
import {
  doomOf,
  serverKey,
  strandedOf,
  type AgentLife,
  type ReapPolicy,
} from "../../runtime-agent/src/sentinel/reaper/doom.ts";
import { decideReap, emptyReap } from "../../runtime-agent/src/sentinel/reaper/decide.ts";
import type { ServerSeen } from "../../runtime-agent/src/sentinel/reaper/types.ts";
import { handedOver, hour, life, minute, policy, registered, server, start, World } from "../support/reaperWorld.ts";

describe("Sentinel, reaper: what is decided", () => {
  it("deletes what was handed over, after it asked twice, and says when it is gone", () => {
    const world = new World();
    world.servers = [server("a", "1", start + 99 * hour), server("b", "2", start + 99 * hour)];
    world.agents = [life("a", handedOver()), life("b")];
    world.run(5);
    assert.equal(world.deleted.length, 0);
    assert.deepEqual(world.news, ["asked"]);
    world.run(1);
    assert.deepEqual(
      world.deleted.map((one) => one.server.id),
      ["1"],
    );
    assert.deepEqual(world.reaped, []);
    world.run(10);
    assert.deepEqual(world.reaped, ["a"]);
    assert.equal(world.servers.length, 1);
  });

  it("believes the registry before the tags, and the tags where no agent answers", () => {
    const past = start - hour;
    const of = (one: ServerSeen, agents: readonly AgentLife[]): string | undefined =>
      doomOf(one, agents, policy, start, { aloneMs: 0, held: false });
    assert.equal(of(server("a", "1", past), [life("a")]), undefined, "renewed");
    assert.match(of(server("a", "1", past), []) ?? "", /no agent answers/);
    assert.equal(of(server("a", "1", start - minute), []), undefined, "within its grace");
    const bound = life("a", { provider: { kind: "proxmox", id: "1" }, ...handedOver("unregistered") });
    assert.match(of(server("a", "1", start + hour), [bound]) ?? "", /never registered/);
    assert.equal(of(server("a", "2", start + hour), [bound]), undefined, "another server of the same agent");
    assert.match(of(server("a", "2", past), [bound]) ?? "", /no agent answers/);
    assert.equal(of(server("a", "900", past), []), undefined, "never, by its number");
    assert.equal(of({ ...server("a", "1", past), name: "sentinel" }, []), undefined, "never, by its name");
  });

  it("holds at the brake, tells people, and goes on with the hour", () => {
    const world = new World();
    world.servers = ["1", "2", "3", "4"].map((id) => server(`a${id}`, id, start - hour));
    world.run(20);
    assert.equal(world.deleted.length, 2);
    assert.equal(world.news.filter((kind) => kind === "braked").length, 1);
    // A restart forgets no brake.
    world.restart();
    world.run(30);
    assert.equal(world.deleted.length, 2);
    world.run(30);
    assert.equal(world.deleted.length, 4);
  });

  it("tries again what cannot be deleted, more and more rarely, and lets it hold up nobody", () => {
    const world = new World();
    world.servers = [server("a", "1", start - hour), server("b", "2", start - hour)];
    world.stuck.add("1");
    world.run(6 * 60);
    const tries = world.deleted.filter((one) => one.server.id === "1").map(({ atMs }) => atMs);
    assert.ok(tries.length >= 5 && tries.length < 15, String(tries.length));
    assert.ok((tries.at(-1) ?? 0) - (tries.at(-2) ?? 0) >= hour);
    assert.deepEqual(
      world.servers.map(({ id }) => id),
      ["1"],
    );
  });

  it("asks anew when the wall clock was set, when the server is another one, and not while it is blind", () => {
    const world = new World();
    world.servers = [server("a", "1", start + 10 * hour)];
    world.offsetMs = 24 * hour;
    world.run(4);
    world.offsetMs = 0;
    world.run(30);
    assert.deepEqual(world.deleted, [], "the clock was right again");
    world.servers = [server("c", "3", start - hour)];
    world.run(4);
    world.offsetMs = hour;
    world.run(5);
    assert.deepEqual(world.deleted, [], "the first question counts no more");
    world.run(1);
    assert.equal(world.deleted.splice(0).length, 1);
    world.offsetMs = 0;
    world.servers = [server("a", "1", start - hour)];
    world.run(4);
    world.servers = [server("a", "1", start - 2 * hour)];
    world.run(4);
    assert.deepEqual(world.deleted, []);
    world.blind.add("proxmox");
    world.run(30);
    assert.deepEqual(world.deleted, []);
    world.blind.clear();
    world.run(1);
    assert.equal(world.deleted.length, 1);
  });

  it("does not call a server gone that a provider may still have", () => {
    const world = new World();
    world.agents = [
      life("a", handedOver("unregistered")),
      life("b", { ...handedOver(), provider: { kind: "lightsail", id: "b" } }),
    ];
    world.blind.add("lightsail");
    world.run(30);
    assert.deepEqual(world.reaped, []);
    world.blind.clear();
    world.run(30);
    assert.deepEqual(world.reaped.toSorted(), ["a", "b"]);
    const nobody = decideReap(
      emptyReap,
      { monotonicMs: 0, wallMs: start, agents: [life("a", handedOver())], looks: {}, ends: [] },
      { ...policy, providers: [] },
    );
    assert.deepEqual(nobody.reaped, []);
  });

  const inTime: ReapPolicy = { ...policy, registerWithinMs: 30 * minute };

  it("leaves another Hive's server alone, whatever its tags and the registry say", () => {
    const world = new World();
    const mine = server("a", "1", start - hour);
    world.servers = [{ ...mine, tags: { ...mine.tags, estate: "other" } }];
    world.agents = [life("a", handedOver())];
    world.run(30);
    assert.deepEqual([world.deleted, world.news, world.state.seenMs], [[], [], {}]);
    assert.deepEqual(world.reaped, ["a"], "it is not the server of this agent");
    world.servers = [mine];
    world.policy = { ...policy, estate: undefined };
    world.run(30);
    assert.deepEqual(world.deleted, [], "without a name none is its own");
  });

  const live = start + 99 * hour;
  const known = { registered };

  it("deletes one whose registration had lapsed before it came up, 30 minutes after nobody answered for it", () => {
    const world = new World();
    world.policy = inTime;
    world.step();
    const [b, c] = [server("b", "2", live), server("c", "3", live)];
    world.servers = [server("a", "agent-a", live, "lightsail"), b, c];
    world.agents = [life("b", known), life("c", known)];
    world.run(10);
    world.agents = [life("c", known)];
    world.run(20);
    assert.deepEqual(world.news, []);
    world.run(7);
    assert.deepEqual(
      world.deleted.map((one) => [one.server.id, one.doom]),
      [["agent-a", "no agent answers for it, and it never registered"]],
    );
    // It is known after a restart, and its time begins anew.
    world.restart();
    world.run(30);
    assert.equal(world.deleted.length, 1);
    world.run(7);
    assert.deepEqual(
      world.deleted.map((one) => one.server.id),
      ["agent-a", "2"],
    );
    world.run(1);
    assert.deepEqual(Object.keys(world.state.seenMs), [serverKey(c)]);
  });

  for (const memory of ["last night's", "no"] as const)
    it(`holds healthy servers that ${memory} memory does not know, and tells people; the end in their tags counts`, () => {
      const world = new World();
      world.policy = inTime;
      const [a, b, c] = [server("a", "1", live), server("b", "agent-b", live, "lightsail"), server("c", "3", live)];
      world.servers = [a];
      world.agents = [life("a", known)];
      world.step();
      const backup = memory === "no" ? emptyReap : world.state;
      // Made since: all are healthy. Then the machine is set back.
      world.servers = [a, b, c];
      world.agents = ["a", "b", "c"].map((name) => life(name, known));
      world.run(60);
      world.restart(backup);
      const before = memory === "no" ? [] : [life("a", known)];
      // Ordered before the backup, and registered after it.
      const ordered = life("c", { ...handedOver("unregistered"), provider: { kind: "proxmox", id: "3" } });
      world.agents = [...before, ordered];
      world.run(9 * 60);
      assert.equal(world.deleted.length, 0);
      const held = memory === "no" ? 3 : 2;
      assert.deepEqual([new Set(world.news), world.news.length], [new Set(["held"]), held], "once each");
      // Another restart does not make them known.
      world.restart();
      world.run(9 * 60);
      assert.equal(world.deleted.length, 0);
      // A person took one off, and ordered it anew; its own registration lapses.
      world.servers = [a, c];
      world.step();
      world.servers = [a, c, server("b", "agent-b", live + hour, "lightsail")];
      world.agents = [...before, ordered, life("b")];
      world.step();
      world.agents = [...before, ordered];
      world.run(40);
      assert.deepEqual(
        world.deleted.map((one) => one.server.id),
        ["agent-b"],
      );
      world.offsetMs = 99 * hour;
      world.run(120);
      assert.equal(world.deleted.length, held);
    });

  it("leaves a server alone that an agent moved to, and the one that it moved from until the other registered", () => {
    const world = new World();
    world.policy = inTime;
    const from = { kind: "proxmox", id: "105" } as const;
    const to = { kind: "lightsail", id: "agent-a" } as const;
    world.servers = [server("a", "105", live)];
    world.agents = [life("a", { ...known, provider: from })];
    world.step();
    world.agents = [life("a", { ...known, provider: from, pending: { provider: to } })];
    world.servers.push(server("a", "agent-a", live, "lightsail"));
    world.run(120);
    assert.deepEqual(world.news, []);
    world.agents = [life("a", { ...known, life: 2, provider: to })];
    world.run(36);
    assert.deepEqual(
      world.deleted.map((one) => one.server.id),
      ["105"],
    );
  });

  it("does not call a server gone that lacks a tag, and says that it cannot delete it", () => {
    const world = new World();
    const at = { kind: "lightsail", id: "agent-a" } as const;
    world.agents = [
      life("a", { ...handedOver(), provider: at }),
      life("b", { ...handedOver(), provider: { ...at, id: "b" } }),
    ];
    world.strangers = { lightsail: ["agent-a"], proxmox: ["b"] };
    world.run(30);
    assert.deepEqual([world.reaped, world.stranded], [["b"], ["a"]]);
    world.strangers = {};
    world.run(10);
    assert.deepEqual([world.reaped, world.stranded], [["b", "a"], []]);
  });

  it("names the agents whose servers are to be deleted where nobody may look", () => {
    const at = (kind: "proxmox" | "lightsail") => ({ provider: { kind, id: "1" } });
    const agents = [
      life("a", { ...at("lightsail"), ...handedOver() }),
      life("b", { ...at("proxmox"), ...handedOver() }),
      life("c", at("lightsail")),
      life("d", handedOver()),
    ];
    assert.deepEqual(strandedOf(agents, { providers: ["proxmox"] }, {}), [
      { agent: "a", provider: "lightsail", lacks: "credentials" },
    ]);
    assert.deepEqual(
      strandedOf(agents, { providers: [] }, {}).map(({ agent }) => agent),
      ["a", "b", "d"],
    );
    assert.deepEqual(strandedOf(agents, { providers: ["proxmox", "lightsail"] }, {}), []);
  });

  const names = fc.constantFrom("a", "b", "c");
  const change = fc.oneof(
    fc.record({
      kind: fc.constant("server" as const),
      name: names,
      id: fc.constantFrom("1", "2", "3", "900"),
      estate: fc.constantFrom("home", "home", "other"),
      hours: fc.integer({ min: -3, max: 3 }),
      at: fc.constantFrom("proxmox" as const, "lightsail" as const),
    }),
    fc.record({
      kind: fc.constant("agent" as const),
      name: names,
      handed: fc.boolean(),
      why: fc.constantFrom("expired" as const, "unregistered" as const),
      bound: fc.option(fc.constantFrom("1", "2"), { nil: undefined }),
    }),
    fc.record({
      kind: fc.constant("blind" as const),
      at: fc.constantFrom("proxmox" as const, "lightsail" as const),
      blind: fc.boolean(),
    }),
    fc.record({ kind: fc.constant("clock" as const), hours: fc.integer({ min: -5, max: 5 }) }),
    fc.record({ kind: fc.constant("restart" as const) }),
    fc.record({ kind: fc.constant("time" as const), minutes: fc.integer({ min: 1, max: 40 }) }),
  );

  it("property: only what is doomed now, after a pause, never the forbidden, never more than the brake lets through", () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 40 }), (changes) => {
        const world = new World();
        world.policy = { ...policy, registerWithinMs: 30 * minute };
        const doomedSince = new Map<string, number>();
        let clockSet = false;
        const watch = (): void => {
          for (const one of world.servers) {
            const key = serverKey(one);
            if (world.doomOf(one) === undefined) doomedSince.delete(key);
            else if (!doomedSince.has(key)) doomedSince.set(key, world.nowMs);
          }
          const before = world.deleted.length;
          world.step();
          for (const { server: one, atMs, doom } of world.deleted.slice(before)) {
            assert.ok(doom !== undefined && !policy.never.includes(one.id) && one.tags.estate === "home");
            assert.ok(atMs - (doomedSince.get(serverKey(one)) ?? Infinity) >= policy.pauseMs);
          }
        };
        for (const one of changes) {
          if (one.kind === "server") {
            world.servers = world.servers.filter(({ id, provider }) => id !== one.id || provider !== one.at);
            const nowMs = start + world.nowMs;
            const made = server(one.name, one.id, nowMs + one.hours * hour, one.at);
            world.servers.push({ ...made, tags: { ...made.tags, estate: one.estate } });
          } else if (one.kind === "agent") {
            world.agents = world.agents.filter(({ name }) => name !== one.name);
            world.agents.push(
              life(one.name, {
                ...(one.handed ? handedOver(one.why) : {}),
                ...(one.bound === undefined ? {} : { provider: { kind: "proxmox", id: one.bound } }),
              }),
            );
          } else if (one.kind === "blind") {
            if (one.blind) world.blind.add(one.at);
            else world.blind.delete(one.at);
          } else if (one.kind === "clock") {
            world.offsetMs = one.hours * hour;
            clockSet = true;
          } else if (one.kind === "restart") world.restart();
          else for (let n = 0; n < one.minutes; n += 1) watch();
        }
        if (clockSet) return;
        for (const { atMs } of world.deleted) {
          const keys = world.deleted.filter((one) => one.atMs <= atMs && one.atMs > atMs - hour);
          assert.ok(new Set(keys.map((one) => serverKey(one.server))).size <= policy.mostPerHour);
        }
      }),
    );
  });
});
