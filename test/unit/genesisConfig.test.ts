import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { parse } from "yaml";
import type { Fault } from "../../components/shared/faults.ts";
import { describeFault } from "../../components/shared/faults.ts";
import { parseGenesisConfig } from "../../components/shared/genesisConfig.ts";
import { SecretText } from "../../components/shared/secretText.ts";
import { type FaultyConfig, faultyConfigs, singleFaults } from "../support/faultyConfigs.ts";
import { canaries, genesisSettings, rawGenesis } from "../support/genesisSettings.ts";

function faultsOf(raw: Readonly<Record<string, unknown>>): readonly Fault[] {
  const result = parseGenesisConfig(raw);
  return result.ok ? [] : result.faults;
}

function checkRefusal({ raw, expected, mutations }: FaultyConfig): void {
  const faults = faultsOf(raw);
  const told = faults.map(describeFault).join("\n");
  const properties = new Set(faults.map(({ property }) => property));
  for (const property of expected)
    assert.ok(properties.has(property), `${property} is missing for ${mutations.join(", ")}:\n${told}`);
  for (const { property, limit, fix } of faults) {
    assert.match(property, /^hive:[a-zA-Z]/);
    assert.ok(limit !== "" && fix !== "", property);
  }
  for (const canary of canaries) assert.ok(!told.includes(canary), `a secret in the faults of ${mutations.join(", ")}`);
}

/** The keys of a stack file as Pulumi hands them to a program: texts, structured values as JSON. */
function asPulumi(file: string): Record<string, unknown> {
  const { config } = parse(readFileSync(new URL(`../../${file}`, import.meta.url), "utf8")) as {
    config: Record<string, unknown>;
  };
  return Object.fromEntries(
    Object.entries(config).map(([key, value]) => [
      key.replace(/^hive:/, ""),
      typeof value === "object" ? JSON.stringify(value) : String(value),
    ]),
  );
}

describe("parseGenesisConfig", () => {
  it("fills in every default", () => {
    const { endpoint, apiToken, sshPrivateKey, adminCidrs, admin, devices } = rawGenesis();
    const given = { endpoint, apiToken, sshPrivateKey, adminCidrs, admin, devices };
    assert.deepEqual(parseGenesisConfig(given), { ok: true, value: genesisSettings() });
  });

  it("reads structured values from JSON text as from objects", () => {
    const texts = Object.entries(rawGenesis()).map(([key, value]) => [
      key,
      value instanceof SecretText || typeof value === "string" ? value : JSON.stringify(value),
    ]);
    assert.deepEqual(parseGenesisConfig(Object.fromEntries(texts) as Record<string, unknown>), {
      ok: true,
      value: genesisSettings(),
    });
  });

  it("accepts a host without GPU and TPU, and then gives no machine one", () => {
    const result = parseGenesisConfig({ ...rawGenesis(), devices: { gpu: null, tpu: null } });
    assert.ok(result.ok);
    assert.deepEqual(result.value.devices, { gpu: undefined, tpu: undefined });
  });

  it("asks for nothing but keys and secrets in the tracked stack file", () => {
    assert.deepEqual(
      faultsOf(asPulumi("Pulumi.genesis.yaml")).map(({ property }) => property),
      ["hive:apiToken", "hive:sshPrivateKey", "hive:admin.publicKeys"],
    );
  });

  it("has the same defaults as Pulumi.yaml", () => {
    const { config } = parse(readFileSync(new URL("../../Pulumi.yaml", import.meta.url), "utf8")) as {
      config: Record<string, { default: unknown }>;
    };
    const settings = new Map<string, unknown>(Object.entries(genesisSettings()));
    for (const [key, { default: value }] of Object.entries(config))
      assert.equal(value, settings.get(key.replace(/^hive:/, "")), key);
  });

  it("says how to set what is missing in an empty configuration", () => {
    assert.deepEqual(
      faultsOf({}).map(({ property }) => property),
      [
        "hive:apiToken",
        "hive:sshPrivateKey",
        "hive:endpoint",
        "hive:adminCidrs",
        "hive:admin.publicKeys",
        "hive:devices.gpu",
      ],
    );
  });

  it("suggests the nearest name for an unknown key, and does not show its value", () => {
    const [fault] = faultsOf({ ...rawGenesis(), apitoken: canaries[0] });
    assert.equal(fault?.fix, "Did you mean hive:apiToken?");
    assert.equal(fault.value, "an unknown key");
  });

  it("refuses a token in clear without showing it", () => {
    const [fault] = faultsOf({ ...rawGenesis(), apiToken: `hive@pve!pulumi=${canaries[0]}` });
    assert.equal(fault?.property, "hive:apiToken");
    assert.match(describeFault(fault), /stored in clear/);
    assert.ok(!describeFault(fault).includes(canaries[0]));
  });

  it("names the property of every single known mistake, and that one only", () => {
    for (const faulty of singleFaults()) {
      checkRefusal(faulty);
      const properties = [...new Set(faultsOf(faulty.raw).map(({ property }) => property))];
      const [expected = ""] = faulty.expected;
      assert.deepEqual(properties, [expected], faulty.mutations.join(", "));
    }
  });

  it("refuses generated faulty configurations, all faults at once, without a secret", () => {
    for (const faulty of faultyConfigs(100, 20261121)) checkRefusal(faulty);
  });

  it("is total: whatever the values are, it returns", () => {
    const keys = fc.constantFrom(...Object.keys(rawGenesis()), "machines", "other");
    fc.assert(
      fc.property(fc.dictionary(keys, fc.anything(), { maxKeys: 5 }), (changes) => {
        const result = parseGenesisConfig({ ...rawGenesis(), ...changes });
        assert.equal(typeof result.ok, "boolean");
      }),
      { numRuns: 500, seed: 11 },
    );
  });
});
