import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import { SecretText } from "../../components/shared/secretText.ts";
import { readGenesisConfig } from "../../stacks/genesis.config.ts";
import { canaries, genesisSettings, rawGenesis } from "../support/genesisSettings.ts";

/** Sets the configuration as the engine does: texts under `hive:`, with the names of those stored as secrets. */
function setConfig(raw: Readonly<Record<string, unknown>>): void {
  const entries = Object.entries(raw).map(([key, value]): [string, string] => {
    const text =
      value instanceof SecretText ? value.reveal() : typeof value === "string" ? value : JSON.stringify(value);
    return [`hive:${key}`, text];
  });
  const secrets = Object.entries(raw).flatMap(([key, value]) => (value instanceof SecretText ? [`hive:${key}`] : []));
  pulumi.runtime.setAllConfig({ ...Object.fromEntries(entries), "other:key": "ignored" }, secrets);
}

describe("readGenesisConfig", () => {
  afterEach(() => {
    pulumi.runtime.setAllConfig({}, []);
  });

  it("reads settings from the project's namespace, and keeps the secrets secret", async () => {
    setConfig(rawGenesis());
    const { settings, secrets } = readGenesisConfig(new pulumi.Config("hive"));
    assert.deepEqual(settings, genesisSettings());
    assert.equal(await pulumi.isSecret(secrets.apiToken), true);
    assert.equal(await pulumi.isSecret(secrets.sshPrivateKey), true);
  });

  it("throws an error that Pulumi prints without a stack trace, with every fault and no secret", () => {
    const token = rawGenesis()["apiToken"];
    setConfig({
      ...rawGenesis(),
      apiToken: token instanceof SecretText ? token.reveal() : "",
      workers: -1,
      nodeNam: "pve",
    });
    assert.throws(
      () => readGenesisConfig(new pulumi.Config("hive")),
      (error: unknown) => {
        assert.ok(pulumi.RunError.isInstance(error));
        for (const property of ["hive:apiToken", "hive:workers", "hive:nodeNam"])
          assert.ok(error.message.includes(`- ${property} is`), property);
        for (const canary of canaries) assert.ok(!error.message.includes(canary));
        return true;
      },
    );
  });
});
