import assert from "node:assert/strict";
import fc from "fast-check";
import { stringify } from "yaml";
import { keeperJsonSchema } from "../../components/shared/agent/keeperConfig.ts";
import { defaultWatchdogTimes } from "../../components/shared/agent/watchdogRules.ts";
import { checkKeeperConfig, parseKeeperConfig } from "../../components/shared/agent/parseKeeperConfig.ts";
import type { Fault } from "../../components/shared/faults.ts";
import { describeFault, valueOrThrow } from "../../components/shared/faults.ts";

const service = { name: "muse", rank: 4, kind: "batch", vram: "20 GB", cgroup: "/hive/muse" };
const arbiter = { version: 1, side: "arbiter", arbiter: { services: [service] } };
const host = {
  version: 1,
  side: "host",
  host: {
    proxmox: { url: "https://10.20.10.1:8006", tokenFile: "/etc/hive-agent/pve.token", node: "pve", caFile: "/etc/ca" },
    guests: [{ vmid: 100, role: "brain", priority: 1, balloonMin: "4 GB", essential: true }],
  },
};

function faultsOf(raw: unknown): readonly Fault[] {
  const checked = checkKeeperConfig(raw);
  return checked.ok ? [] : checked.faults;
}

function properties(raw: unknown): readonly string[] {
  return faultsOf(raw).map((fault) => fault.property);
}

describe("keeper configuration", () => {
  it("fills in the seed's numbers and parses units once", () => {
    const config = valueOrThrow("config", parseKeeperConfig(stringify(arbiter)));
    assert.deepEqual(config.market, { openMinute: 480, closeMinute: 1380, days: [1, 2, 3, 4, 5], holidays: [] });
    assert.equal(config.timeZone, "Europe/Paris");
    assert.equal(config.arbiter?.thermal.limitC, 80);
    assert.deepEqual(
      [config.arbiter?.power.ecoPercent, config.arbiter?.power.ecoClockOffsetMHz, config.arbiter?.muse.loadBelow],
      [60, 200, 0.5],
    );
    assert.deepEqual([config.arbiter?.muse.fromMinute, config.arbiter?.muse.toMinute], [23 * 60, 7 * 60]);
    const [muse] = config.arbiter?.services ?? [];
    assert.equal(muse?.vramMiB, 20_480);
    assert.equal(muse?.leaseMs, 30_000);
    assert.equal(muse?.forbiddenInMarket, true);
    assert.deepEqual(muse?.rungs, ["checkpoint", "freeze", "term", "kill"]);
    assert.equal(valueOrThrow("host", checkKeeperConfig(host)).host?.guests[0]?.balloonMinMiB, 4096);
  });

  it("takes the rungs that a service's identity allows: SIGSTOP where there is no cgroup, the API where there is one", () => {
    const application = { type: "comfyui", url: "http://127.0.0.1:8188" };
    const byPid = { ...service, cgroup: undefined, pidFile: "/run/sd.pid", application };
    const config = valueOrThrow("config", checkKeeperConfig({ ...arbiter, arbiter: { services: [byPid] } }));
    assert.deepEqual(config.arbiter?.services[0]?.rungs, ["application", "checkpoint", "stop", "term", "kill"]);
  });

  it("forbids rank 4 in market hours whatever its kind, and nobody else, unless the file says otherwise", () => {
    const kinds = { interactive: {}, scan: { start: ["true"] }, batch: { start: ["true"] } };
    for (const [kind, more] of Object.entries(kinds)) {
      for (const [rank, forbidden] of [
        [2, false],
        [3, false],
        [4, true],
      ] as const) {
        const one = { ...service, ...more, kind, rank };
        const read = (services: object[]): boolean | undefined =>
          valueOrThrow("config", checkKeeperConfig({ ...arbiter, arbiter: { services } })).arbiter?.services[0]
            ?.forbiddenInMarket;
        assert.equal(read([one]), forbidden, `${kind} of rank ${String(rank)}`);
        assert.equal(read([{ ...one, forbiddenInMarket: !forbidden }]), !forbidden);
      }
    }
  });

  it("tells every fault at once, of single properties and between them", () => {
    const raw = {
      version: 2,
      side: "arbiter",
      timezone: "Europe/Paris",
      market: { open: "09:00", close: "08:00", holidays: ["2026-02-30"] },
      arbiter: {
        services: [
          { ...service, vram: "20 XB", rank: 1, leaseSec: 0 },
          { ...service, pidFile: "/run/x", rungs: ["application", "freeze", "freeze"] },
        ],
        thermal: { capC: 90 },
        gpu: { index: 0, uuid: "GPU-00000000-0000-0000-0000-000000000000" },
        link: { listen: "10.20.10.100:70000" },
      },
    };
    assert.deepEqual(
      [...properties(raw)].toSorted(),
      [
        "version",
        "timezone",
        "market.holidays[0]",
        "market.close",
        "arbiter.services[0].vram",
        "arbiter.services[0].rank",
        "arbiter.services[0].leaseSec",
        "arbiter.services[1]",
        "arbiter.services[1].name",
        "arbiter.services[1].rungs",
        "arbiter.services[1].rungs",
        "arbiter.thermal",
        "arbiter.gpu",
        "arbiter.link.listen",
        "arbiter.link.pskFile",
      ].toSorted(),
    );
    for (const fault of faultsOf(raw)) assert.ok(fault.limit.length > 0 && fault.fix.length > 0, describeFault(fault));
  });

  it("refuses unknown keys at every depth, naming the one that was probably meant", () => {
    const raw = { ...arbiter, arbiter: { services: [{ ...service, vramm: 1 }], thermall: {} } };
    const told = new Map(faultsOf(raw).map((fault) => [fault.property, fault.fix]));
    assert.equal(told.get("arbiter.services[0].vramm"), "Did you mean vram?");
    assert.equal(told.get("arbiter.thermall"), "Did you mean thermal?");
    assert.equal(told.size, 2);
  });

  it("wants the section of its side, exactly one identity a service, and https towards Proxmox", () => {
    assert.deepEqual(properties({ version: 1, side: "host" }), ["host"]);
    const nowhere = { ...service, cgroup: undefined };
    assert.deepEqual(properties({ ...arbiter, arbiter: { services: [nowhere] } }), ["arbiter.services[0]"]);
    const plain = { ...host, host: { ...host.host, proxmox: { ...host.host.proxmox, url: "http://10.20.10.1" } } };
    assert.deepEqual(properties(plain), ["host.proxmox.url"]);
  });

  it("fills in the host side's numbers: The Brain's link, the seed's real-time class and roles, the firmware's period", () => {
    const link = { connect: "10.20.10.100:8741", pskFile: "/etc/hive-agent/secrets/link" };
    const watchdog = { type: "udp", address: "192.168.1.60:6060", keyFile: "/etc/hive-agent/secrets/esp32" };
    const guests = [
      { vmid: 300, role: "worker", priority: 6 },
      { vmid: 301, role: "worker", priority: 6 },
    ];
    const raw = { ...host, host: { ...host.host, guests, link, watchdog, pinning: { cpus: "1-2" } } };
    const section = valueOrThrow("host", checkKeeperConfig(raw)).host;
    assert.equal(section?.link?.vmid, 100);
    assert.equal(section?.watchdog?.periodSec, defaultWatchdogTimes.periodSec);
    assert.deepEqual([section?.pinning?.vmid, section?.pinning?.realtimePriority], [200, 1]);
    assert.deepEqual(section?.marketRoles, ["research", "render", "district"]);
  });

  it("refuses a watchdog that the firmware would not believe, and memory bounds without room between them", () => {
    const watchdogs: readonly [object, string][] = [
      [{ type: "http", url: "http://10.0.0.2/" }, "host.watchdog.type"],
      [{ type: "udp", address: "10.0.0.2:6060" }, "host.watchdog.keyFile"],
      [{ type: "serial", device: "/dev/ttyUSB0" }, "host.watchdog.keyFile"],
      [{ type: "serial", device: "/dev/ttyUSB0", keyFile: "/k", periodSec: 14 }, "host.watchdog.periodSec"],
    ];
    for (const [watchdog, property] of watchdogs)
      assert.deepEqual(properties({ ...host, host: { ...host.host, watchdog } }), [property]);
    for (const memoryPressure of [
      { availableBelow: "8 GB" },
      { availableAbove: "4096 MiB" },
      { availableBelow: "3 GB", availableAbove: "2 GB" },
    ])
      assert.deepEqual(properties({ ...host, host: { ...host.host, memoryPressure } }), [
        "host.memoryPressure.availableAbove",
      ]);
  });

  it("takes the heat of the room from a file with an absolute path", () => {
    const withRoom = (room: object): object => ({ ...host, host: { ...host.host, room } });
    const sensor = "/sys/bus/w1/devices/28-00000a1b2c3d/temperature";
    assert.equal(valueOrThrow("host", checkKeeperConfig(withRoom({ sensor }))).host?.room?.sensor, sensor);
    assert.equal(valueOrThrow("host", checkKeeperConfig(host)).host?.room, undefined);
    for (const [room, property] of [
      [{}, "host.room.sensor"],
      [{ sensor: "sys/class/hwmon/hwmon0/temp1_input" }, "host.room.sensor"],
      [{ sensor: "/sys/../etc/shadow" }, "host.room.sensor"],
      [{ sensor, sensors: [] }, "host.room.sensors"],
    ] as const)
      assert.deepEqual(properties(withRoom(room)), [property]);
  });

  it("names the place of a YAML mistake, refuses aliases, doubled keys and files beyond 1 MiB", () => {
    const at = (text: string): string => {
      const checked = parseKeeperConfig(text);
      return checked.ok ? "" : `${checked.faults[0]?.property ?? ""}: ${checked.faults[0]?.limit ?? ""}`;
    };
    assert.equal(at("version: 1\nside: 'arbiter"), "line 2, column 15: valid YAML 1.2");
    assert.equal(at("version: 1\nversion: 1\n").split(":")[0], "line 2, column 1");
    assert.equal(at("version: &a 1\nside: *a\n"), "(file): YAML without aliases");
    assert.equal(at(`#${"x".repeat(1024 * 1024)}`), "(file): at most 1 MiB of YAML");
    assert.equal(
      at(""),
      "(file): a mapping with the keys version, side, paths, log, api, metrics, timeZone, market, arbiter, host",
    );
  });

  it("shows no secret that was written where its file belongs", () => {
    const canary = "c4n4ry-5f2e9d";
    const raw = {
      ...host,
      [`token-${canary}!`]: 1,
      arbiter: {
        services: [{ ...service, tokenFile: canary, application: { type: "vllm", url: `http://u:${canary}@h/` } }],
      },
      host: {
        ...host.host,
        proxmox: { ...host.host.proxmox, tokenFile: canary, password: canary },
        link: { connect: "10.0.0.1:1", pskFile: canary },
        watchdog: { type: "udp", address: "10.0.0.2:6053", keyFile: canary },
      },
    };
    const told = faultsOf(raw).map(describeFault).join("\n");
    assert.ok(faultsOf(raw).length >= 7, told);
    assert.ok(!told.includes(canary), told);
  });

  it("never throws, whatever it is given (property)", () => {
    const key = fc.oneof(
      fc.constantFrom(
        "version",
        "side",
        "arbiter",
        "host",
        "services",
        "market",
        "thermal",
        "guests",
        "__proto__",
        "rungs",
      ),
      fc.string(),
    );
    const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
      tree: fc.oneof(
        { maxDepth: 5 },
        fc.constantFrom<unknown>(1, "arbiter", null, true, -0.5, Number.NaN, "20 GB", service, arbiter.arbiter),
        fc.string(),
        fc.array(tie("tree"), { maxLength: 4 }),
        fc.dictionary(key, tie("tree"), { maxKeys: 5 }),
      ),
    }));
    fc.assert(
      fc.property(tree, fc.string(), (raw, text) => {
        for (const checked of [
          checkKeeperConfig(raw),
          parseKeeperConfig(text),
          parseKeeperConfig(`version: 1\n${text}`),
        ]) {
          if (checked.ok) continue;
          assert.ok(checked.faults.length > 0);
          for (const fault of checked.faults) assert.ok(fault.property !== "" && fault.fix !== "");
        }
      }),
      { numRuns: 300 },
    );
  });

  it("finds any one broken value in a good file (property)", () => {
    const wrong = fc.oneof(fc.constant(-1), fc.constant({}), fc.constant([[]]), fc.constant("\0"));
    const place = fc.constantFrom(
      "name",
      "rank",
      "kind",
      "vram",
      "leaseSec",
      "cgroup",
      "start",
      "application",
      "rungs",
    );
    fc.assert(
      fc.property(place, wrong, (name, value) => {
        const raw = { ...arbiter, arbiter: { services: [{ ...service, [name]: value }] } };
        assert.ok(properties(raw).some((property) => property.startsWith(`arbiter.services[0].${name}`)));
      }),
    );
  });

  it("hands no card over where the arbiter is on the host itself", () => {
    const link = { connect: "127.0.0.1:8741", vmid: null, pskFile: "/etc/psk" };
    const linked = { ...host, host: { ...host.host, link } };
    assert.equal(valueOrThrow("config", checkKeeperConfig(linked)).host?.link?.vmid, null);
    const guests = [100, 101].map((vmid) => ({ vmid, role: "brain", priority: 1, gpuContender: true }));
    const moving = (vmid: number | null) => ({
      ...host,
      host: { ...host.host, guests, handoff: { enabled: true }, link: { ...link, vmid } },
    });
    assert.deepEqual(properties(moving(100)), []);
    assert.deepEqual(properties(moving(null)), ["host.handoff.enabled"]);
  });

  it("has a JSON schema that refuses unknown keys and needs no default to be written", () => {
    const schema = keeperJsonSchema();
    assert.equal(schema.additionalProperties, false);
    assert.deepEqual(schema.required, ["version", "side"]);
    const text = JSON.stringify(schema);
    for (const name of ["vram", "fingerprint", "loadBelow", "balloonMin"]) assert.ok(text.includes(`"${name}"`), name);
    assert.ok(!text.includes("vramMiB"), "the schema is that of the file, not of what comes out");
  });
});
