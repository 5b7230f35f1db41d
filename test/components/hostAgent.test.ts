import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import { HiveAgent, type HiveAgentArgs } from "../../components/host/index.ts";
import { isRegisteredSecret, recordProgram, type Registration } from "../support/recordedProgram.ts";

const canary = "canary-psk-5d1c";
const keyCanary = "canary-ssh-key-77aa";
const args: HiveAgentArgs = {
  connection: { host: "10.20.10.100", port: 22, user: "admin", privateKey: keyCanary, hostKey: "ssh-ed25519 AAAA" },
  side: "arbiter",
  config: {
    version: 1,
    side: "arbiter",
    arbiter: { link: { listen: "10.20.10.100:8741", pskFile: "/etc/hive-agent/secrets/psk" } },
  },
  tarball: { path: import.meta.filename, sha256: "0".repeat(64) },
  version: "1.4.0",
  secrets: { psk: pulumi.secret(canary) },
  allow: ["10.20.10.1"],
};

class Machine extends pulumi.CustomResource {
  constructor(name: string) {
    super("test:index:Machine", name, {});
  }
}

function named(seen: readonly Registration[], name: string): Registration {
  const found = seen.find((registration) => registration.name === name);
  assert.ok(found, `${name} among ${seen.map((registration) => registration.name).join(", ")}`);
  return found;
}

describe("HiveAgent", () => {
  const children = ["keeper-prepare", "keeper-tarball", "keeper-install"];

  it("prepares, uploads, and then installs", async () => {
    const seen = await recordProgram(() => new HiveAgent("keeper", args));
    assert.equal(named(seen, "keeper").type, "hive:index:HiveAgent");
    assert.deepEqual(
      seen.filter(({ parent }) => parent.endsWith("::keeper")).map(({ name }) => name),
      children,
    );
    const waitsFor = (name: string): string[] =>
      named(seen, name).dependencies.map((urn) => urn.split("::").at(-1) ?? "");
    assert.ok(waitsFor("keeper-tarball").includes("keeper-prepare"));
    assert.ok(waitsFor("keeper-install").includes("keeper-tarball"));
  });

  it("lets no secret be seen: not in arguments, scripts or inputs in clear", async () => {
    const seen = await recordProgram(() => new HiveAgent("keeper", args));
    for (const { name, inputs } of seen) {
      const text = JSON.stringify({ ...inputs, stdin: undefined, connection: undefined });
      for (const secret of [canary, Buffer.from(canary).toString("base64"), keyCanary]) {
        assert.ok(!text.includes(secret), `${name} shows a secret`);
      }
      if (inputs["connection"] !== undefined) assert.ok(isRegisteredSecret(inputs["connection"]), name);
    }
    assert.ok(isRegisteredSecret(named(seen, "keeper-prepare").inputs["stdin"]));
  });

  it("works by sudo where the login is not root, and leaves its undoing first", async () => {
    const seen = await recordProgram(() => new HiveAgent("keeper", args));
    const create = String(named(seen, "keeper-install").inputs["create"]);
    assert.match(create, /^exec sudo -n /);
    assert.ok(create.indexOf("/var/lib/hive/undo/hive~genesis~keeper-install.sh") < create.indexOf("HIVE_RELEASE"));
    const { connection } = args;
    const asRoot = await recordProgram(
      () => new HiveAgent("k", { ...args, connection: { ...connection, user: "root" } }),
    );
    assert.doesNotMatch(String(named(asRoot, "k-install").inputs["create"]), /sudo/);
  });

  it("goes with the machine it lives in", async () => {
    const seen = await recordProgram(() => {
      const machine = new Machine("vm");
      return new HiveAgent("keeper", { ...args, deletedWith: machine });
    });
    for (const name of children) {
      const { deletedWith, deleteBeforeReplace, type } = named(seen, name);
      assert.match(deletedWith, /::vm$/);
      assert.equal(deleteBeforeReplace, true, type);
    }
  });

  it("names every fault of its arguments at once", async () => {
    let thrown: unknown;
    await recordProgram(() => {
      try {
        return new HiveAgent("keeper", { ...args, version: "latest", healthSec: 0, allow: [] });
      } catch (error) {
        thrown = error;
        return undefined;
      }
    });
    assert.ok(thrown instanceof Error);
    for (const property of ["version", "healthSec", "allow"]) assert.match(thrown.message, new RegExp(property));
  });
});
