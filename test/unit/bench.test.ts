import assert from "node:assert/strict";
import fc from "fast-check";
import { readArguments } from "../bench/arguments.ts";
import { brokenLimits, documentOf, median, medianRatio, ratioRange } from "../bench/statistics.ts";
import { type StateResource, bareProgram, classOf, countByType, needsOf } from "../bench/up/bareProgram.ts";
import { bareImports, packagesOf } from "../bench/up/typecheck.ts";

const number = fc.double({ min: 0.001, max: 1e6, noNaN: true });

describe("benchmark statistics", () => {
  it("half of the values lie on either side of the median", () => {
    fc.assert(
      fc.property(fc.array(number, { minLength: 1 }), (values) => {
        const middle = median(values);
        assert.ok(values.filter((value) => value < middle).length <= values.length / 2);
        assert.ok(values.filter((value) => value > middle).length <= values.length / 2);
      }),
    );
    assert.equal(median([3, 1, 2]), 2);
    assert.equal(median([4, 1, 2, 3]), 2.5);
    assert.throws(() => median([]), RangeError);
  });

  it("a slow moment that hits both halves of a pair does not move the ratio", () => {
    const pairs = [
      { ours: 12, bare: 10 },
      { ours: 120, bare: 100 },
      { ours: 13, bare: 10 },
    ];
    assert.equal(medianRatio(pairs), 1.2);
    assert.deepEqual(ratioRange(pairs), { low: 1.2, high: 1.3 });
  });

  it("limits hold to the last digit, and a figure that is missing or no number breaks its own", () => {
    const limits = { timeRatio: { atMost: 1.3 }, helpMs: { below: 150 } };
    const share = { oracleShare: { atLeast: 0.55 } };
    assert.deepEqual(brokenLimits({ oracleShare: 0.55 }, share), []);
    assert.deepEqual(brokenLimits({ oracleShare: 0.5499 }, share), ["oracleShare"]);
    assert.deepEqual(brokenLimits({ timeRatio: 1.3, helpMs: 149.99 }, limits), []);
    assert.deepEqual(brokenLimits({ timeRatio: 1.3001, helpMs: 150 }, limits), ["timeRatio", "helpMs"]);
    assert.deepEqual(brokenLimits({ timeRatio: Number.NaN }, limits), ["timeRatio", "helpMs"]);
    const document = documentOf("up", { timeRatio: 1.30004, helpMs: 1 }, limits);
    assert.deepEqual(document, { name: "up", figures: { timeRatio: 1.3, helpMs: 1 }, limits, ok: false });
  });
});

describe("benchmark command line", () => {
  it("names what is known, and every fault at once", () => {
    assert.deepEqual(readArguments(["up", "--json", "--runs", "3"], ["up"]), {
      ok: { name: "up", json: true, runs: 3, count: undefined, series: undefined, traces: undefined },
    });
    const wrong = readArguments(["down", "more", "--fast", "--runs", "0"], ["up"]);
    assert.ok("faults" in wrong);
    assert.equal(wrong.faults.length, 4);
    assert.ok(wrong.faults.some((fault) => fault.includes("The benchmarks are: up")));
    assert.ok("faults" in readArguments([], ["up"]));
    const carbon = readArguments(["carbon", "--series", "fr.csv"], ["carbon"]);
    assert.equal("ok" in carbon && carbon.ok.series, "fr.csv");
    for (const bad of [
      ["carbon", "--series"],
      ["up", "--series", "fr.csv"],
      ["spot", "--traces"],
      ["up", "--traces", "spot"],
    ])
      assert.ok("faults" in readArguments(bad, ["up", "carbon", "spot"]), bad.join(" "));
  });
});

describe("bare program", () => {
  const secret = (value: unknown): unknown => ({
    "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
    plaintext: JSON.stringify(value),
  });
  const urn = (type: string, name: string): string => `urn:pulumi:genesis::hive::hive:index:X$${type}::${name}`;
  const resource = (type: string, name: string, rest: Partial<StateResource> = {}): StateResource => ({
    urn: urn(type, name),
    type,
    custom: true,
    ...rest,
  });
  const vmType = "proxmoxve:index/vmLegacy:VmLegacy";
  const bridge = resource("proxmoxve:network/linux/bridge:Bridge", "net-vmbr1", { inputs: { name: "vmbr1" } });
  const otherBridge = resource("proxmoxve:network/linux/bridge:Bridge", "net-vmbr2", { inputs: { name: "vmbr2" } });
  const vm = resource(vmType, "brain-vm", {
    inputs: { __defaults: ["acpi"], acpi: true, name: "brain", networkDevices: [{ __defaults: [], bridge: "vmbr1" }] },
  });
  const rules = resource("proxmoxve:firewall/rulesLegacy:RulesLegacy", "brain-rules", { dependencies: [vm.urn] });
  const options = resource("proxmoxve:firewall/optionsLegacy:OptionsLegacy", "brain-firewall", {
    dependencies: [vm.urn, rules.urn],
  });
  const step = resource("command:remote:Command", "brain-root", {
    inputs: { connection: secret({ host: "127.0.0.1" }), create: "true" },
    dependencies: [vm.urn],
  });
  const provider = resource("pulumi:providers:proxmoxve", "proxmox", {
    inputs: { version: "8.6.0", insecure: "true", endpoint: "https://127.0.0.1:1", apiToken: secret("a@pve!b=c") },
  });
  const component: StateResource = { urn: urn("hive:index:ProxmoxGuest", "brain"), type: "hive:index:ProxmoxGuest" };
  const all = [component, provider, step, options, rules, vm, otherBridge, bridge];

  it("finds the class behind a type", () => {
    assert.equal(classOf(vmType), "proxmox.VmLegacy");
    assert.equal(classOf(bridge.type), "proxmox.network.linux.Bridge");
    assert.equal(classOf("command:remote:Command"), "command.remote.Command");
  });

  it("counts neither components nor providers", () => {
    assert.deepEqual(Object.keys(countByType(all)).length, 5);
    assert.equal(countByType(all)[bridge.type], 2);
  });

  it("waits for what a literal names, and not for an order that only the components add", () => {
    assert.deepEqual(needsOf(vm, all), ["net-vmbr1"]);
    assert.deepEqual(needsOf(options, all), ["brain-vm"]);
  });

  it("declares every resource once, after those that it waits for, without the provider's defaults", () => {
    const text = bareProgram(all);
    const at = (name: string): number => text.indexOf(`("${name}"`);
    for (const { urn: each } of [vm, rules, options, step, bridge, otherBridge]) {
      const name = each.split("::").at(-1) ?? "";
      assert.equal(text.split(`("${name}"`).length, 2, name);
    }
    assert.ok(at("net-vmbr1") < at("brain-vm") && at("brain-vm") < at("brain-root"));
    assert.doesNotMatch(text, /acpi|__defaults|ProxmoxGuest/);
    assert.match(text, /connection: pulumi\.secret\(\{"host":"127\.0\.0\.1"\}\)/);
    assert.match(text, /"insecure": true/);
  });
});

describe("bare imports", () => {
  it("are the packages of a text, each once, and no file of the project", () => {
    const text = `import a from "a"; import type { B } from "@b/b/c.js"; import "./own.ts"; const d = await import("node:fs");`;
    assert.deepEqual(packagesOf(text).sort(), ["@b/b/c.js", "a", "node:fs"]);
    const bare = bareImports(["b", "a", "b"]);
    assert.equal(bare.match(/^import/gm)?.length, 2);
  });
});
