import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { parse } from "yaml";
import { parseCpuList } from "../../components/shared/cpuList.ts";
import { keeperOfGenesis } from "../../components/shared/agent/keeperOfGenesis.ts";
import type { KeeperSettings } from "../../components/shared/agent/keeperSettings.ts";
import { checkKeeperConfig } from "../../components/shared/agent/parseKeeperConfig.ts";
import { describeFault, valueOrThrow } from "../../components/shared/faults.ts";
import { parseGenesisConfig } from "../../components/shared/genesisConfig.ts";
import { planGenesis } from "../../components/shared/genesisPlan.ts";
import type { GenesisSettings } from "../../components/shared/genesisSettings.ts";
import { SecretText } from "../../components/shared/secretText.ts";
import { host as topologies } from "../support/arbitraries.ts";
import { genesisSettings, rawGenesis } from "../support/genesisSettings.ts";

const linkKey = "0123456789abcdef".repeat(4);
const keeperToken = "keeper@pve!agent=5ec7e700-cafe-4bad-8dad-fedcba987654";
const keeper: KeeperSettings = {
  tarball: "hive-agent-0.1.0-linux-x64.tar.gz",
  sha256: "ab".repeat(32),
  version: "0.1.0",
};
const settings = genesisSettings();

function planned(changed: Partial<GenesisSettings> = {}, section: KeeperSettings = keeper) {
  return valueOrThrow("plan", planGenesis({ ...settings, ...changed, keeper: section }));
}

/** Hosts, workers, overrides, networks and devices as people have them; those that genesis itself refuses are left out. */
const estates: fc.Arbitrary<GenesisSettings> = fc
  .record({
    topology: fc.oneof(fc.constant(settings.host.topology), topologies),
    workers: fc.integer({ min: 0, max: 60 }),
    council: fc.record({ vcpus: fc.integer({ min: 1, max: 8 }), ramMiB: fc.constantFrom(16_384, 24_576) }),
    second: fc.integer({ min: 0, max: 255 }),
    gpu: fc.boolean(),
    nodeName: fc.constantFrom("pve", "hive-1"),
    ramMiB: fc.constantFrom(131_072, 262_144),
  })
  .map(({ topology, workers, council, second, gpu, nodeName, ramMiB }) => ({
    ...settings,
    nodeName,
    workers,
    host: { ...settings.host, topology, ramMiB },
    machines: { 101: council },
    networks: { ...settings.networks, private: { ...settings.networks.private, cidr: `10.${String(second)}.10.0/24` } },
    devices: { ...settings.devices, gpu: gpu ? settings.devices.gpu : undefined },
  }));
const sections: fc.Arbitrary<KeeperSettings> = fc.constantFrom<KeeperSettings>(
  keeper,
  { ...keeper, market: { holidays: ["2026-12-25"] }, timeZone: "America/New_York", healthSec: 120 },
  { ...keeper, watchdog: { type: "udp", address: "192.168.1.60:6060" }, muse: { loadBelow: 1 } },
  { ...keeper, watchdog: { type: "serial", device: "/dev/ttyUSB0", periodSec: 10 }, services: [] },
);

describe("the Keeper of genesis", () => {
  it("writes both sides so that the agent takes them, addresses agree, and the trading cores are nobody else's (property)", function () {
    this.timeout(20_000);
    let seen = 0;
    fc.assert(
      fc.property(estates, sections, (estate, section) => {
        const plan = planGenesis({ ...estate, keeper: section });
        const without = planGenesis(estate);
        assert.equal(plan.ok, without.ok, plan.ok ? "" : plan.faults.map(describeFault).join("\n"));
        if (!plan.ok || plan.value.keeper === undefined) return;
        seen += 1;
        const { keeper: made, pins, addresses, machines } = plan.value;
        const [host, arbiter] = [made.host, made.arbiter].map(({ config }) =>
          valueOrThrow("configuration", checkKeeperConfig(config)),
        );
        const link = host?.host?.link;
        // The card's VM is the arbiter's; a card of no VM is the host's.
        const { vm } = made;
        assert.equal(vm === undefined, estate.devices.gpu === undefined);
        const inner = addresses.nics.find(({ machine, network }) => machine === vm?.vmid && network === "private");
        assert.deepEqual(link?.connect, arbiter?.arbiter?.link?.listen);
        assert.equal(link?.connect.host, vm === undefined ? "127.0.0.1" : inner?.address);
        assert.equal(link?.vmid, vm?.vmid ?? null);
        const hostAddresses = addresses.networks.filter(({ name }) => name === "private" && vm !== undefined);
        assert.deepEqual(
          made.arbiter.allow.map((address) => `${address}/24`),
          hostAddresses.map(({ hostAddress }) => hostAddress),
        );
        assert.deepEqual(arbiter?.market, host?.market);
        assert.equal(arbiter?.timeZone, host?.timeZone);
        assert.deepEqual(
          host?.host?.guests.map(({ vmid }) => vmid),
          machines.map(({ id }) => id),
        );
        const cores = host?.host?.pinning?.cpus ?? [];
        assert.ok(cores.length >= 2 && host?.host?.pinning?.vmid === 200);
        const others = pins.guests.filter(({ id }) => id !== 200).flatMap(({ cpus }) => cpus);
        for (const cpu of cores) assert.ok(![...others, ...pins.host, ...pins.shared].includes(cpu), String(cpu));
      }),
      { numRuns: 60 },
    );
    assert.ok(seen > 15, `${String(seen)} estates that genesis takes`);
  });

  it("gives ranks, floors, contenders and real time as the seeds say", () => {
    const { keeper: made } = planned();
    const host = valueOrThrow("host", checkKeeperConfig(made?.host.config)).host;
    const rows = host?.guests.map((guest) => [
      guest.vmid,
      guest.priority,
      guest.essential,
      guest.gpuContender,
      guest.balloonMinMiB,
    ]);
    assert.deepEqual(rows, [
      [100, 3, true, true, undefined],
      [101, 5, false, true, 8192],
      [200, 2, true, false, undefined],
      [300, 6, false, false, undefined],
      [301, 6, false, false, undefined],
      [400, 1, true, false, 2048],
      [401, 4, false, false, undefined],
    ]);
    assert.deepEqual([host?.handoff.enabled, host?.handoff.mapping], [true, "gpu-rtx3090"]);
    assert.equal(host?.pinning?.realtimePriority, 1);
    assert.deepEqual(parseCpuList("", "12-15,28-31"), { ok: true, value: host?.pinning?.cpus });
    const arbiter = valueOrThrow("arbiter", checkKeeperConfig(made?.arbiter.config)).arbiter;
    assert.deepEqual(
      arbiter?.services.map(({ name, rank, forbiddenInMarket }) => [name, rank, forbiddenInMarket]),
      [
        ["eva", 2, false],
        ["sentinel", 3, false],
        ["muse", 4, true],
      ],
    );
    // A 3090 holds all three at once, so that EVA is granted before anything moves.
    assert.ok((arbiter?.services.reduce((sum, { vramMiB }) => sum + vramMiB, 0) ?? 0) <= 24 * 1024);
    assert.equal(arbiter?.gpu.index, 0);
  });

  it("renders the ESP32's firmware with the port, the period and the times of the settings, and no secret", () => {
    const firmware = { name: "dog", board: "esp32-s3", resetPin: 4, bootGraceSec: 300, shutdownSec: 900 } as const;
    const udp = { type: "udp", address: "192.168.1.60:6060", periodSec: 10, firmware } as const;
    const made = planned(
      {},
      { ...keeper, watchdog: udp, room: { sensor: "/sys/class/hwmon/hwmon3/temp1_input" } },
    ).keeper;
    const text = made?.watchdogFirmware ?? "";
    for (const part of ["name: dog\n", "board: esp32-s3\n", "GPIO4\n", "port: 6060\n", "300000u", "1200000u"])
      assert.ok(text.includes(part), part);
    assert.match(text, /^ {2}watchdog_key: !secret watchdog_key$/m);
    const host = valueOrThrow("host", checkKeeperConfig(made?.host.config)).host;
    assert.deepEqual([host?.watchdog?.type, host?.watchdog?.periodSec], ["udp", 10]);
    assert.equal(host?.room?.sensor, "/sys/class/hwmon/hwmon3/temp1_input");
    const serial = planned({}, { ...keeper, watchdog: { type: "serial", device: "/dev/ttyUSB0" } }).keeper;
    assert.match(serial?.watchdogFirmware ?? "", /name: hive-watchdog\n[^]*baud_rate: 115200\n[^]*GPIO25\n/);
    assert.equal(planned().keeper?.watchdogFirmware, undefined);
  });

  it("has the arbiter on the host, which looks for a card itself, and hands nothing over, where no VM is given one", () => {
    const made = planned({ devices: { gpu: undefined, tpu: undefined } }).keeper;
    const host = valueOrThrow("host", checkKeeperConfig(made?.host.config)).host;
    assert.equal(host?.handoff.enabled, false);
    assert.ok(host?.guests.every(({ gpuContender }) => !gpuContender));
    assert.equal(valueOrThrow("arbiter", checkKeeperConfig(made?.arbiter.config)).arbiter?.gpu.index, undefined);
    assert.equal(made?.vm, undefined);
    const pskFile = made?.arbiter.config.arbiter?.link?.pskFile;
    assert.equal(pskFile, "/etc/hive-agent-arbiter/secrets/link.key");
  });

  it("hands nothing over where The Brain is the only contender, and tells what both sides refuse once", () => {
    const plan = planned();
    const devices = plan.devices.map((row) => ({ ...row, contenders: row.device === "gpu" ? [100] : [] }));
    const alone = valueOrThrow("plan", keeperOfGenesis(settings, keeper, { ...plan, devices }));
    assert.equal(checkKeeperConfig(alone.host.config).ok, true);
    assert.equal(alone.host.config.host?.handoff?.enabled, false);
    const refused = planGenesis({ ...settings, keeper: { ...keeper, sha256: "x", market: { open: "24:61" } } });
    assert.deepEqual(refused.ok ? [] : refused.faults.map(({ property }) => property).toSorted(), [
      "keeper.market.open",
      "keeper.sha256",
    ]);
  });

  it("refuses an estate in which the arbiter's VM is not on the host's private network", () => {
    const plan = planned();
    const nics = plan.addresses.nics.filter(({ network }) => network !== "private");
    const refused = keeperOfGenesis(settings, keeper, { ...plan, addresses: { ...plan.addresses, nics } });
    assert.deepEqual(refused.ok ? [] : refused.faults.map(({ property }) => property), ["keeper"]);
  });
});

describe("hive:keeper", () => {
  const raw = (section: unknown, secrets: Record<string, unknown> = {}): Record<string, unknown> => ({
    ...rawGenesis(),
    keeperLinkKey: new SecretText(linkKey),
    keeperProxmoxToken: new SecretText(keeperToken),
    keeper: section,
    ...secrets,
  });
  const faultsOf = (given: Record<string, unknown>) => {
    const read = parseGenesisConfig(given);
    return read.ok ? [] : read.faults;
  };
  const properties = (given: Record<string, unknown>): string[] =>
    faultsOf(given)
      .map(({ property }) => property)
      .toSorted();

  it("is not installed unless it is there, and read from JSON text as from an object", () => {
    for (const section of [undefined, "null"])
      assert.equal(valueOrThrow("settings", parseGenesisConfig(raw(section))).keeper, undefined);
    for (const section of [keeper, JSON.stringify(keeper)])
      assert.deepEqual(valueOrThrow("settings", parseGenesisConfig(raw(section))).keeper, keeper);
  });

  it("tells every fault at once, of the section, between its properties, and of its secrets", () => {
    const section = {
      ...keeper,
      sha256: "0",
      servicess: [],
      services: [
        { name: "muse", rank: 1, kind: "batch", vram: "12 GX", unit: "muse.service", pidFile: "/run/x" },
        { name: "muse", rank: 4, kind: "batch", vram: "12 GB", unit: "muse.service" },
      ],
      market: { open: "23:00", close: "08:00" },
      thermal: { capC: 90 },
      watchdog: { type: "udp", address: "esp32.local:6060" },
    };
    const given = raw(section, { keeperLinkKey: new SecretText("aa".repeat(32)), keeperProxmoxToken: undefined });
    assert.deepEqual(properties(given), [
      "hive:keeper.market.close",
      "hive:keeper.services[0]",
      "hive:keeper.services[0].rank",
      "hive:keeper.services[0].vram",
      "hive:keeper.services[1].name",
      "hive:keeper.servicess",
      "hive:keeper.sha256",
      "hive:keeper.thermal",
      "hive:keeper.watchdog.address",
      "hive:keeperLinkKey",
      "hive:keeperProxmoxToken",
      "hive:keeperWatchdogKey",
    ]);
    assert.ok(faultsOf(given).every(({ limit, fix }) => limit !== "" && fix !== ""));
  });

  it("has an example in the stack's file that works once it is uncommented", () => {
    const file = readFileSync(new URL("../../Pulumi.genesis.yaml", import.meta.url), "utf8");
    const [, block = ""] = /\n( {2}# hive:keeper:\n(?: {2}#.*\n)+)/.exec(file) ?? [];
    const text = block.replaceAll(/^ {2}# /gm, "").replace("sha256: ...", `sha256: ${"ab".repeat(32)}`);
    const { "hive:keeper": section } = parse(text) as Record<string, unknown>;
    assert.deepEqual(faultsOf(raw(section, { keeperWatchdogKey: new SecretText(linkKey) })), []);
    assert.ok(typeof section === "object" && section !== null && "watchdog" in section && "services" in section);
  });

  it("names what the installation would refuse, and shows no secret", () => {
    const start = ["/usr/bin/python3", "muse.py"];
    const services = [
      { name: "muse", rank: 4 as const, kind: "batch" as const, vram: "12 GB", unit: "m.service", start },
    ];
    assert.deepEqual(properties(raw({ ...keeper, services })), ["hive:keeper.services[0].start"]);
    const watchdog = {
      ...{ type: "udp", address: "192.168.1.60:80", periodSec: 10 },
      firmware: { resetPin: 6, timeoutSec: 20, name: "x".repeat(40) },
    };
    const key = { keeperWatchdogKey: new SecretText("a1".repeat(16) + "b2".repeat(16)) };
    assert.deepEqual(properties(raw({ ...keeper, watchdog }, key)), [
      "hive:keeper.watchdog.address",
      "hive:keeper.watchdog.firmware.name",
      "hive:keeper.watchdog.firmware.resetPin",
      "hive:keeper.watchdog.firmware.timeoutSec",
    ]);
    const seldom = { type: "serial", device: "/dev/ttyUSB0", periodSec: 14 };
    assert.deepEqual(properties(raw({ ...keeper, watchdog: seldom }, key)), ["hive:keeper.watchdog.periodSec"]);
    assert.deepEqual(properties(raw(new SecretText(JSON.stringify(keeper)))), ["hive:keeper"]);
    const clear = faultsOf(raw(keeper, { keeperLinkKey: linkKey, keeperProxmoxToken: keeperToken }));
    assert.deepEqual(clear.map(({ property }) => property).toSorted(), [
      "hive:keeperLinkKey",
      "hive:keeperProxmoxToken",
    ]);
    const told = clear.map(describeFault).join("\n");
    assert.ok(!told.includes(linkKey) && !told.includes(keeperToken), told);
    for (const section of [7, "x", [], { tarball: linkKey }]) assert.ok(properties(raw(section)).length > 0);
  });
});
