// What `hive agent` decides without asking anybody: orders, places, settings.
import assert from "node:assert/strict";
import fc from "fast-check";
import ssh2 from "ssh2";
import { formatDuration, parseDuration } from "../../cli/agents/duration.ts";
import { configuredBudget, sentinelServer, serverOfRegistry, serverOfSettings } from "../../cli/agents/budget.ts";
import { agentNetwork, offersIn, serverIdOf } from "../../cli/agents/ground.ts";
import { asFurnished, decideGround, type HostSeen } from "../../cli/agents/hostGround.ts";
import { type OrderGround, type OrderWords, readOrder } from "../../cli/agents/order.ts";
import { choosePlace } from "../../cli/agents/place.ts";
import { agentStackConfig, registrationSetting } from "../../cli/agents/stackConfig.ts";
import { usualZone, zoneFaults } from "../../cli/agents/zone.ts";
import { agentOfStack, stackOfAgent, stackProblem } from "../../cli/args/stacks.ts";
import { heldWords, renderAgents, standingOf } from "../../cli/commands/agent/list.ts";
import { sizeToBe } from "../../cli/commands/agent/resize.ts";
import { CommandFailure } from "../../cli/output/failure.ts";
import type { AgentSeen } from "../../cli/sentinel/answers.ts";
import { labAgentConfig } from "../../cli/targets/labAgent.ts";
import { commitmentsOf } from "../../components/shared/vps/budget.ts";
import { dnsLabel } from "../../components/shared/check.ts";
import { parseHost } from "../../components/shared/ipv4.ts";
import { SecretText } from "../../components/shared/secretText.ts";
import { parseAgentStackConfig } from "../../components/shared/vps/stackSettings.ts";

const ground: OrderGround = {
  offers: offersIn(usualZone),
  budget: { centsPerMonth: 5000 },
  estate: "home",
  nowMs: Date.UTC(2026, 11, 1),
};
const words: OrderWords = { name: "ghost-shopper", kind: "browser-light", idempotent: false };

describe("hive agent: orders", () => {
  it("reads times to live, and shows them", () => {
    for (const [text, sec] of [
      ["90m", 5400],
      ["24h", 86_400],
      ["7d", 604_800],
      ["2w", 1_209_600],
    ] as const)
      assert.equal(parseDuration(text), sec);
    for (const text of ["", "5", "h", "1.5h", "-1h", "1y", "1 h", "9999999999s"])
      assert.equal(parseDuration(text), undefined);
    assert.equal(formatDuration(93_600), "1 d 2 h");
    assert.equal(formatDuration(0), "0 s");
    fc.assert(
      fc.property(fc.nat(400 * 86_400), (sec) => {
        assert.equal(parseDuration(`${String(sec)}s`), sec);
        assert.match(formatDuration(sec), /^\d+ (d|h|min|s)( \d+ (h|min|s))?$/);
      }),
    );
  });

  it("gives an agent its kind's floor, a day, one start a signal, and a price", () => {
    const order = readOrder(words, ground);
    assert.ok(order.ok);
    const { size, ttlSec, mode, provider, offer } = order.value;
    assert.deepEqual([size, ttlSec, mode, provider, offer.centsPerMonth], ["S", 86_400, "job", "proxmox", 0]);
    assert.equal(order.value.created, "2026-12-01T00:00:00Z");
    const billed = readOrder({ ...words, provider: "lightsail" }, ground);
    assert.ok(billed.ok);
    assert.match(billed.value.price, /12\.00 USD a month, 0\.02 USD an hour/);
  });

  it("tells every fault at once, by the option it came from, each with its fix", () => {
    const wrong = { name: "Ghost_x", kind: "browser-lite", size: "XS", ttl: "5", mode: "jobb", provider: "aws" };
    const order = readOrder({ ...wrong, idempotent: false }, ground);
    assert.ok(!order.ok);
    const properties = order.faults.map(({ property }) => property).toSorted();
    assert.deepEqual(properties, ["--kind", "--mode", "--provider", "--ttl", "NAME"]);
    assert.match(order.faults.map(({ fix }) => fix).join("\n"), /mean browser-light\?[^]*mean job\?/);
  });

  const refused: readonly (readonly [Partial<OrderWords>, string, RegExp])[] = [
    [{ kind: undefined }, "--kind", /Choose one of them/],
    [{ size: "XS" }, "--size", /Write S: on less it would be killed/],
    [{ size: "L" }, "--size", /choose the kind of agent that needs L/],
    [{ ttl: "1m" }, "--ttl", /seconds/],
    [{ ttl: "99w" }, "--ttl", /seconds/],
    [{ mode: "resident", idempotent: true }, "--idempotent", /a resident agent has no runs/],
    [{ name: "a".repeat(60) }, "NAME", /shorter/],
  ];
  for (const [change, property, fix] of refused)
    it(`refuses ${JSON.stringify(change)}, and says what to do`, () => {
      const order = readOrder({ ...words, ...change }, ground);
      assert.ok(!order.ok);
      assert.deepEqual(
        order.faults.map((each) => each.property),
        [property],
      );
      assert.match(order.faults[0]?.fix ?? "", fix);
    });

  it("refuses what the budget does not pay beside the Sentinel, the other agents and what a person wrote", () => {
    const agent = { mode: "job", idempotent: false, createdMs: 0, expiresMs: 0, alive: false } as const;
    const agents = [
      { ...agent, name: "a", kind: "browser-light", size: "S", provider: { kind: "lightsail", id: "agent-a" } },
      { ...agent, name: "b", kind: "browser-light", size: "S", provider: { kind: "proxmox", id: "399" } },
    ] as const;
    const lightsail = { "hive:lightsail": { zone: usualZone } };
    const settings = { ...lightsail, "hive:agent": { name: "c", kind: "browser-light", size: "M" } };
    const servers = [
      sentinelServer(lightsail),
      serverOfSettings("c", settings),
      serverOfSettings("half-ordered", lightsail),
      sentinelServer({ "hive:proxmox": { vmId: 320 } }),
      ...agents.map((one) => serverOfRegistry(one)),
      // On its way to Lightsail.
      serverOfRegistry({ ...agents[1], name: "d", pending: { provider: { kind: "lightsail", id: "agent-d" } } }),
    ].flatMap((one) => one ?? []);
    const committed = commitmentsOf(servers, "agent ghost-shopper");
    assert.deepEqual(committed, [
      { what: "agent a", centsPerMonth: 1200 },
      { what: "agent c", centsPerMonth: 4400 },
      { what: "agent d", centsPerMonth: 1200 },
      { what: "the Sentinel", centsPerMonth: 700 },
    ]);
    assert.deepEqual(configuredBudget({}), { centsPerMonth: 5000, committedCents: 0 });
    const budget = configuredBudget({ "hive:budget": { centsPerMonth: 8600, committedCents: 100 } });
    const order = readOrder({ ...words, provider: "lightsail" }, { ...ground, budget: { ...budget, committed } });
    assert.ok(!order.ok);
    assert.equal(order.faults[0]?.property, "budget");
    assert.match(
      order.faults[0]?.value ?? "",
      /^10\.00 USD of 86\.00 USD; promised: 12\.00 USD to agent a, 44\.00 USD to agent c, 12\.00 USD to agent d, 7\.00 USD to the Sentinel, 1\.00 USD to others/,
    );
    assert.match(order.faults[0]?.fix ?? "", /Raise the budget, or destroy/);
  });
});

describe("hive agent: zones of Lightsail", () => {
  it("are those of the one region where the reaper looks", () => {
    assert.deepEqual(zoneFaults("--zone", "eu-west-3b", "eu-west-3"), []);
    assert.deepEqual(
      zoneFaults("--zone", "eu-central-1a", undefined),
      [],
      "it has no credentials, which is said elsewhere",
    );
    const [refused] = zoneFaults("--zone", "eu-central-1a", "eu-west-3");
    assert.match(
      JSON.stringify(refused),
      /--zone.*eu-central-1a.*a zone of eu-west-3.*watch\.reaper\.lightsail\.region/,
    );
  });
});

describe("hive agent: what the Sentinel says", () => {
  const seenAgent: AgentSeen = {
    ...{ name: "ghost", kind: "browser-light", size: "S", mode: "job", idempotent: true, alive: true },
    ...{ createdMs: 0, expiresMs: 90_000, registered: { atMs: 1 } },
  };

  it("is an id of the registration, which is written only where there is one", () => {
    assert.deepEqual(registrationSetting("hive", "0".repeat(32)), { "hive:registration": "0".repeat(32) });
    assert.deepEqual(registrationSetting("hive", ""), {}, "of an agent that was ordered at an older Sentinel");
  });

  it("is a proposal to move, which a named size overrules; nothing that does not fit the kind", () => {
    const proposal = { from: "S", to: "M", kills: 2 } as const;
    assert.equal(sizeToBe({ ...seenAgent, proposal }, undefined), "M");
    assert.equal(sizeToBe(seenAgent, "M"), "M");
    assert.throws(() => sizeToBe(seenAgent, undefined), /proposes no other size.*--size/);
    for (const size of ["L", "XS", "S", "huge"]) assert.throws(() => sizeToBe(seenAgent, size), CommandFailure);
    // Applied already, and cut off before the Sentinel was told.
    assert.equal(sizeToBe({ ...seenAgent, size: "M", proposal }, undefined), "M");
  });

  it("is shown in a word or a few", () => {
    const heard = (more: object): AgentSeen => ({
      ...seenAgent,
      heard: { heartbeat: { ready: true, running: null, queued: 0, crashLoop: false, ...more } },
    });
    const shown = [
      seenAgent,
      { ...seenAgent, alive: false },
      { ...seenAgent, registered: undefined },
      heard({}),
      heard({ ready: false }),
      heard({ running: "run_1", queued: 2 }),
      heard({ crashLoop: true }),
      { ...heard({}), handedOver: { why: "expired", atMs: 1 } },
    ].map((one) => standingOf(one));
    assert.deepEqual(shown, [
      ...["registered", "not heard", "not registered yet", "ready", "not ready", "running, 2 wait"],
      ...["stopped: it crashed in a loop", "to be deleted: expired"],
    ]);
    const handedOver = { why: "expired", atMs: 1 };
    const stranded = renderAgents([{ ...seenAgent, handedOver }], 60_000, ["ghost"]);
    assert.match(stranded, /to be deleted, and the reaper cannot: hive agent destroy/);
    const held = { provider: "lightsail", id: "agent-ghost", agent: "ghost" } as const;
    assert.match(
      heldWords(held),
      /^server agent-ghost at lightsail .*of ghost.*end in its tags.*docs\/antigravity\.md/,
    );
    const table = renderAgents([{ ...heard({}), proposal: { from: "S", to: "M", kills: 3 } }], 60_000);
    assert.match(table, /^ghost +browser-light +S +job, idempotent +ready +30 s +S to M: 3 OOM kills in 7 days$/m);
    assert.match(renderAgents([seenAgent], 90_000), / over /);
  });
});

describe("hive agent: stacks of agents", () => {
  it("are named after them, and no other name is one (property)", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[a-z0-9-]{0,70}$/)), (text) => {
        const agent = agentOfStack(stackOfAgent(text));
        assert.equal(agent, dnsLabel.test(text) && text.length <= 57 ? text : undefined);
        assert.equal(stackProblem(stackOfAgent(text)) === undefined, agent !== undefined);
      }),
    );
  });

  it("are not mistaken: each wrong name gets the one that was meant", () => {
    assert.equal(stackProblem("genesis"), undefined);
    assert.equal(stackProblem("sentinel"), undefined);
    assert.match(stackProblem("sentinle") ?? "", /did you mean sentinel\?/);
    assert.match(stackProblem("agent_Ghost Shopper") ?? "", /such as agent-ghost-shopper$/);
    assert.match(stackProblem("ghost-shopper") ?? "", /is agent-ghost-shopper$/);
    assert.match(stackProblem("agent-x", ["genesis"]) ?? "", /known: genesis$/);
  });
});

const seen: HostSeen = {
  ids: [100, 300, 399],
  diskStorages: ["local-zfs"],
  templates: ["local:vztmpl/alpine-3.22.tar.xz", "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst"],
  hasPool: true,
};

describe("hive agent: places on a Proxmox host", () => {
  const network = agentNetwork({}, "hive");

  it("gives every server an id, an address and a MAC of its own, as long as there are any (property)", () => {
    const taken = fc.uniqueArray(fc.integer({ min: 300, max: 399 }), { maxLength: 60 });
    fc.assert(
      fc.property(taken, (ids) => {
        const all = new Set(ids);
        const given = Array.from({ length: 40 }, () => {
          const place = choosePlace(network, all);
          assert.ok(place.ok && !all.has(place.value.vmId));
          all.add(place.value.vmId);
          return place.value;
        });
        const addresses = given.map(({ cidr }) => parseHost(cidr)?.address);
        assert.equal(new Set(addresses).size, given.length);
        assert.equal(new Set(given.map(({ mac }) => mac)).size, given.length);
      }),
      { numRuns: 30 },
    );
    const full = choosePlace(network, new Set(Array.from({ length: 100 }, (_, index) => 300 + index)));
    assert.ok(!full.ok);
    assert.match(full.faults[0]?.fix ?? "", /hive agent list/);
  });

  it("takes the LAN of genesis, an address in place of a network, and no id of a guest", () => {
    const lan = { bridge: "vmbr9", cidr: "10.9.0.4/16", gateway: "10.9.0.1", vlanId: 7, firstHost: 50 };
    const own = agentNetwork({ "hive:networks": { lan, domain: "x.internal" } }, "hive");
    assert.deepEqual(own, { ...lan, domain: "x.internal" });
    const place = choosePlace(own, new Set(seen.ids));
    assert.ok(place.ok);
    assert.equal(place.value.vmId, 398);
    assert.match(place.value.cidr, /^10\.9\.\d+\.\d+\/16$/);
  });

  it("names what the host lacks, with the command that brings it", () => {
    const found = decideGround(seen, {});
    assert.ok(found.ok);
    assert.deepEqual([found.value.storage, found.value.image], ["local-zfs", seen.templates[1]]);
    const bare = decideGround({ ids: [], diskStorages: [], templates: [], hasPool: false }, {});
    assert.ok(!bare.ok);
    assert.match(
      bare.faults.map(({ fix }) => fix).join("\n"),
      /allow Container[^]*pveam download[^]*pvesh create \/pools/,
    );
    // A token that may not see the pool does not prove that it is missing.
    assert.ok(decideGround({ ...seen, hasPool: undefined }, {}).ok);
    assert.ok(!decideGround(seen, { storage: "elsewhere" }).ok);
    assert.ok(decideGround({ ...asFurnished({ ...seen, templates: [] }) }, {}).ok);
  });
});

describe("hive agent: settings of its stack", () => {
  const order = readOrder({ ...words, idempotent: true }, ground);
  assert.ok(order.ok);
  const { private: sshPrivateKey } = ssh2.utils.generateKeyPairSync("ed25519");
  const place = { endpoint: "https://192.168.1.10:8006/", insecure: false, nodeName: "pve", storage: "local-zfs" };
  const config = agentStackConfig(
    "hive",
    order.value,
    "/srv/ghost",
    {
      release: { tarball: "/srv/hive-agent-1.0.0-linux-x64.tar.gz", sha256: "a".repeat(64), version: "1.0.0" },
      adminCidrs: ["192.168.1.0/24"],
      sentinel: { host: "192.168.1.30", port: 8944 },
      place: {
        ...place,
        image: "local:vztmpl/d.tar.zst",
        vmId: 399,
        mac: "02:60:de:a9:01:8f",
        cidr: "192.168.1.139/24",
      },
      connect: { host: "192.168.1.139", port: 2222 },
      runnerAddress: "192.168.1.139:8943",
    },
    ground.budget,
  );

  it("are those that its program takes", () => {
    const plain = Object.entries(config).map(([key, value]) => [key.replace(/^hive:/, ""), value] as const);
    const parsed = parseAgentStackConfig({
      ...Object.fromEntries<unknown>(plain),
      sshPrivateKey: new SecretText(sshPrivateKey),
      registrationKey: new SecretText("0f".repeat(32)),
      apiToken: new SecretText("user@pve!token=00000000-0000-0000-0000-000000000000"),
    });
    assert.ok(parsed.ok, JSON.stringify(parsed));
    assert.deepEqual([parsed.value.agent.name, parsed.value.agent.idempotent], ["ghost-shopper", true]);
    assert.equal(parsed.value.estate, "home");
    assert.equal(serverIdOf(order.value, { vmId: 399 }, "agent-x"), "399");
    assert.equal(serverIdOf({ provider: "lightsail" }, { zone: usualZone }, "agent-x"), "agent-x");
  });

  it("lead nowhere but to this machine on the lab, and follow the lab to its addresses", () => {
    const lab = { project: "hive", endpoint: "https://127.0.0.1:5000/", apiToken: "t" };
    const outside = labAgentConfig(config, lab);
    assert.ok(!outside.ok);
    const properties = outside.faults.map(({ property }) => property).toSorted();
    assert.deepEqual(properties, ["hive:connect.host", "hive:runnerAddress", "hive:sentinel.host"]);
    const network = { cidr: "127.42.0.0/16", outside: "127.42.255.1", sshPort: 30_022 };
    const inside = labAgentConfig({ ...config, "hive:registrationKey": { secure: "v1:x" } }, { ...lab, network });
    assert.ok(inside.ok);
    const { plain, secrets } = inside.value;
    assert.deepEqual(plain["hive:connect"], { host: "127.42.1.143", port: 30_022 });
    assert.equal(plain["hive:runnerAddress"], "127.42.1.143:8943");
    assert.deepEqual(plain["hive:sentinel"], { host: "127.42.255.1", port: 8944 });
    assert.deepEqual(secrets, { "hive:apiToken": "t" });
    assert.ok(!("hive:registrationKey" in plain));
    const elsewhere = { ...config, "hive:agent": { healthUrl: "http://10.0.0.1/health" } };
    assert.ok(!labAgentConfig(elsewhere, { ...lab, network }).ok);
  });
});
