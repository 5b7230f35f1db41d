import assert from "node:assert/strict";
import fc from "fast-check";
import { knownBundles, readBundlesPage, regionOf } from "../../components/shared/vps/lightsail.ts";
import { planServer, proxmoxOffers, type Opening, type ServerSpec } from "../../components/shared/vps/serverPlan.ts";
import { isOfSize, sizeFor, vpsSizes, type AgentKind } from "../../components/shared/vps/sizing.ts";
import {
  lightsailTags,
  proxmoxTagList,
  readLightsailTags,
  readProxmoxTags,
  type ServerTags,
} from "../../components/shared/vps/tags.ts";
import { formatUtc, parseUtc } from "../../components/shared/vps/utc.ts";

const nowMs = Date.UTC(2026, 10, 21, 12);
const created = "2026-11-21T11:00:00Z";
const ssh: Opening = { port: 22, from: ["203.0.113.7"], comment: "administration" };
const spec: ServerSpec = {
  name: "agent-x",
  provider: "lightsail",
  kind: "browser-light",
  life: { estate: "hive", agent: "x", created, ttlSec: 86_400 },
  offers: knownBundles("eu-west-3"),
  budget: { centsPerMonth: 5000 },
  openings: [ssh],
  nowMs,
};

function faultsOf(changed: Partial<ServerSpec>): readonly string[] {
  const planned = planServer({ ...spec, ...changed });
  return planned.ok ? [] : planned.faults.map(({ property }) => property);
}

const tagsOf = fc.record<ServerTags>(
  {
    estate: fc.constantFrom("hive", "x", "estate-2"),
    agent: fc.stringMatching(/^[a-z0-9](?:[a-z0-9-]{0,20}[a-z0-9])?$/),
    expiresSec: fc.integer({ min: 0, max: 253_402_300_799 }),
  },
  { noNullPrototype: true },
);

describe("tags of a throwaway server", () => {
  it("come back as they were, at both providers, in any order and among others (property)", () => {
    const words = fc.array(fc.constantFrom("hive", "role-worker", "owner-pulumi", "hive-throwawa", "agent-x"));
    fc.assert(
      fc.property(tagsOf, words, fc.boolean(), (tags, others, turned) => {
        assert.deepEqual(readLightsailTags({ Name: "x", ...lightsailTags(tags) }), tags);
        const list = [...others, ...proxmoxTagList(tags)];
        assert.deepEqual(readProxmoxTags(turned ? list.toReversed() : list), tags);
        // What Proxmox takes: lower case, and no colon.
        for (const word of proxmoxTagList(tags)) assert.match(word, /^[a-z0-9_][a-z0-9_+.-]*$/);
      }),
    );
  });

  it("say nothing when one is missing, doubled or no time", () => {
    const tags = { estate: "hive", agent: "x", expiresSec: 1_800_000_000 };
    const list = proxmoxTagList(tags);
    for (const word of list) {
      assert.equal(readProxmoxTags(list.filter((each) => each !== word)), undefined, word);
    }
    assert.equal(readProxmoxTags([...list, "hive-expires-1900000000"]), undefined);
    assert.equal(readProxmoxTags(["hive-throwaway", "hive-agent-x", "hive-expires-soon"]), undefined);
    for (const key of Object.keys(lightsailTags(tags))) {
      assert.equal(readLightsailTags({ ...lightsailTags(tags), [key]: "" }), undefined, key);
    }
  });

  it("have times that the calendar has (property)", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 253_402_300_799 }), (sec) => assert.equal(parseUtc(formatUtc(sec)), sec)),
    );
    for (const wrong of ["2026-02-30T00:00:00Z", "2026-01-01", "2026-01-01T00:00:00+01:00", "", "2026-01-01T24:00:00Z"])
      assert.equal(parseUtc(wrong), undefined, wrong);
  });
});

describe("server plan", () => {
  it("takes the cheapest server of the kind's floor, and tells price and budget before anything is made", () => {
    const planned = planServer(spec);
    assert.ok(planned.ok);
    assert.equal(planned.value.offer.id, "small_3_0");
    assert.equal(
      planned.value.price,
      "agent-x: small_3_0 at lightsail, 2 GiB and 2 vCPUs: at most 12.00 USD a month, 0.02 USD an hour; with it 12.00 USD of 50.00 USD a month are promised",
    );
    assert.equal(planned.value.expiresSec, Date.UTC(2026, 10, 22, 11) / 1000);
    assert.equal(planned.value.protect, false);
    const sentinel = planServer({ ...spec, life: "sentinel", kind: "micro-service" });
    assert.ok(sentinel.ok);
    assert.deepEqual([sentinel.value.protect, sentinel.value.expiresSec], [true, undefined]);
    assert.equal(readLightsailTags(sentinel.value.tags.lightsail), undefined);
    assert.equal(readProxmoxTags(sentinel.value.tags.proxmox), undefined);
  });

  it("has an offer of each size at both providers", () => {
    for (const [size, offers] of Object.keys(vpsSizes).flatMap((each) =>
      [proxmoxOffers, knownBundles("us-east-1")].map((list) => [each, list] as const),
    )) {
      const found = offers.filter((offer) => isOfSize(size as keyof typeof vpsSizes, offer));
      assert.ok(found.length > 0, size);
    }
  });

  it("names every fault at once", () => {
    assert.deepEqual(
      faultsOf({
        name: "Agent X",
        size: "XL",
        life: { estate: "hive", agent: "X", created: "yesterday", ttlSec: 1 },
        budget: { centsPerMonth: 0.5 },
        openings: [
          { port: 0, from: [], comment: "" },
          { port: 22, from: ["0.0.0.0/0", "example.org"], comment: "" },
        ],
      }),
      [
        "name",
        "size",
        "budget.centsPerMonth",
        "agent",
        "ttlSec",
        "created",
        "openings[0].port",
        "openings[0].from",
        "openings[1].from[0]",
        "openings[1].from[1]",
      ],
    );
  });

  it("never plans above what is left of the budget (property)", () => {
    const kinds = fc.constantFrom<AgentKind>(
      "micro-service",
      "browser-light",
      "browser-heavy",
      "batch",
      "experimental",
    );
    const cents = fc.integer({ min: 0, max: 60_000 });
    fc.assert(
      fc.property(kinds, cents, cents, (kind, centsPerMonth, committedCents) => {
        const planned = planServer({ ...spec, kind, budget: { centsPerMonth, committedCents } });
        if (planned.ok) {
          assert.ok(planned.value.offer.centsPerMonth + committedCents <= centsPerMonth);
          assert.equal(planned.value.size, sizeFor(kind));
        } else assert.deepEqual([...new Set(planned.faults.map(({ property }) => property))], ["budget"]);
      }),
    );
  });

  it("counts the time to live from the last renewal: years after it was asked for, too", () => {
    const renewed = "2031-05-01T00:00:00Z";
    const nowMs = Date.parse(renewed) + 1000;
    const life = { estate: "hive", agent: "x", created, renewed, ttlSec: 366 * 86_400 };
    const planned = planServer({ ...spec, life, nowMs });
    assert.ok(planned.ok, JSON.stringify(planned));
    assert.equal(planned.value.expiresSec, Date.parse(renewed) / 1000 + 366 * 86_400);
    const early = planServer({ ...spec, life: { ...life, renewed: "2032-01-01T00:00:00Z" }, nowMs });
    assert.ok(!early.ok);
    assert.deepEqual(
      early.faults.map(({ property }) => property),
      ["renewed"],
    );
  });

  it("refuses a server whose time to live is over, from that second on, and says what to do (property)", () => {
    fc.assert(
      fc.property(fc.integer({ min: 600, max: 31_622_400 }), fc.integer({ min: -5, max: 5 }), (ttlSec, offset) => {
        const at = Date.parse(created) + (ttlSec + offset) * 1000;
        const planned = planServer({ ...spec, life: { estate: "hive", agent: "x", created, ttlSec }, nowMs: at });
        assert.equal(planned.ok, offset < 0);
        if (!planned.ok) assert.match(planned.faults[0]?.fix ?? "", /hive agent renew x.*hive agent destroy x/);
      }),
    );
    assert.deepEqual(
      faultsOf({ life: { estate: "hive", agent: "x", created: "2026-11-21T12:10:00Z", ttlSec: 3600 } }),
      ["created"],
    );
  });

  it("opens a port to the world on the Sentinel alone, and there only the one that wants a key from everybody", () => {
    const everybody = (port: number): Opening => ({ port, from: ["0.0.0.0/0"], comment: "" });
    assert.deepEqual(faultsOf({ openings: [everybody(8943)] }), ["openings[0].from[0]"]);
    const sentinel = { life: "sentinel", kind: "micro-service" } as const;
    assert.deepEqual(faultsOf({ ...sentinel, openings: [everybody(22)] }), ["openings[0].from[0]"]);
    assert.deepEqual(faultsOf({ ...sentinel, openings: [ssh, everybody(8944)] }), []);
    assert.deepEqual(faultsOf({ openings: [ssh, ssh] }), ["openings[1].port"]);
  });

  it("writes each network once, as a network, whatever the form it was given in", () => {
    const from = ["10.1.2.3", "10.1.2.3/32", "10.1.2.3/8"];
    const planned = planServer({ ...spec, openings: [{ ...ssh, from }] });
    assert.ok(planned.ok);
    assert.deepEqual(planned.value.openings[0]?.from, ["10.0.0.0/8", "10.1.2.3/32"]);
  });
});

describe("what Lightsail sells", () => {
  it("is known where the table holds: list prices, hours rounded up as they are billed", () => {
    const prices = knownBundles("us-east-1").map(({ id, centsPerMonth, centsPerHour }) => [
      id,
      centsPerMonth,
      centsPerHour,
    ]);
    assert.deepEqual(prices.slice(0, 5), [
      ["nano_3_0", 500, 1],
      ["micro_3_0", 700, 1],
      ["small_3_0", 1200, 2],
      ["medium_3_0", 2400, 4],
      ["large_3_0", 4400, 6],
    ]);
    assert.deepEqual(knownBundles("ap-south-1"), []);
    assert.deepEqual(knownBundles("toString"), []);
    assert.equal(regionOf("eu-west-3a"), "eu-west-3");
    for (const wrong of ["eu-west-3", "eu-west-3aa", "", "a"]) assert.equal(regionOf(wrong), undefined, wrong);
  });

  it("is read from its API: what is still sold for Linux, x86-64 and IPv4, whatever else it is told", () => {
    const bundle = { bundleId: "micro_9_0", price: 7, cpuCount: 2, ramSizeInGb: 1, isActive: true, power: 500 };
    const others = [
      { ...bundle, isActive: false },
      { ...bundle, supportedPlatforms: ["WINDOWS"] },
      { ...bundle, supportedAppCategories: ["LfR"] },
      { ...bundle, publicIpv4AddressCount: 0 },
      { ...bundle, bundleId: "micro_arm_1_0" },
    ];
    assert.deepEqual(readBundlesPage({ bundles: [bundle, ...others], nextPageToken: "t" }), {
      offers: [{ id: "micro_9_0", ramMiB: 1024, vcpus: 2, centsPerMonth: 700, centsPerHour: 1 }],
      nextPageToken: "t",
    });
    assert.equal(readBundlesPage({ bundles: [{ bundleId: "x" }] }), undefined);
    fc.assert(fc.property(fc.jsonValue(), (json) => void readBundlesPage(json)));
  });
});
