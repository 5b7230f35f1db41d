import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SecretText } from "../../components/shared/secretText.ts";
import { formatUtc } from "../../components/shared/vps/utc.ts";
import { runStack } from "../../stacks/programs.ts";
import { isRegisteredSecret, recordProgram, type Registration } from "../support/recordedProgram.ts";
import { agentStackConfig, proxmoxPlace, sentinelStackConfig, sshKeyPair } from "../support/vpsSettings.ts";

type Raw = Readonly<Record<string, unknown>>;

const environmentCanary = "canary-environment-91c2";
const createdAt = "2026-11-22T01:00:00Z";
const pinnedKey = `ssh-ed25519 ${"P".repeat(68)}`;
const outputs = (type: string): Record<string, unknown> => {
  if (type.includes("lightsail/instance:")) return { publicIpAddress: "203.0.113.50", createdAt };
  return type.startsWith("command:local:") ? { stdout: pinnedKey } : { ipAddress: "203.0.113.60" };
};

/** What a stack registers; its outputs are told. */
async function stackOf(
  stack: string,
  raw: Raw,
  told: (outputs: Record<string, unknown>) => void = () => undefined,
): Promise<readonly Registration[]> {
  const given = Object.entries(raw).filter(([, value]) => value !== undefined);
  const config = Object.fromEntries(
    given.map(([key, value]) => [`hive:${key}`, value instanceof SecretText ? value.reveal() : String(value)]),
  );
  const secretKeys = given.flatMap(([key, value]) => (value instanceof SecretText ? [`hive:${key}`] : []));
  const program = async (): Promise<void> => told(await runStack(stack));
  return recordProgram(program, config, undefined, { stack, secretKeys, outputs });
}

function named(seen: readonly Registration[], name: string): Registration {
  const found = seen.find((registration) => registration.name === name);
  assert.ok(found, `${name} among ${seen.map((registration) => registration.name).join(", ")}`);
  return found;
}

describe("stacks of seed 004", function () {
  this.timeout(60_000);
  const { privateKey } = sshKeyPair();
  let folder = "";
  let agent: Raw = {};
  let sentinel: Raw = {};
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "vps-stacks-"));
    const tarball = join(folder, "hive-agent.tar.gz");
    writeFileSync(tarball, "");
    const sources = join(folder, "x");
    mkdirSync(sources);
    writeFileSync(join(sources, "run"), "#!/usr/bin/env node\n");
    const release = JSON.stringify({ tarball, sha256: "ab".repeat(32), version: "1.4.0" });
    const base = agentStackConfig(privateKey);
    const spec: unknown = JSON.parse(String(base["agent"]));
    assert.ok(typeof spec === "object" && spec !== null);
    const created = formatUtc(Math.floor(Date.now() / 1000) - 60);
    const environment = new SecretText(JSON.stringify({ TOKEN: environmentCanary }));
    agent = { ...base, release, environment, agent: JSON.stringify({ ...spec, sources, created }) };
    sentinel = {
      ...sentinelStackConfig(privateKey),
      release,
      config: JSON.stringify({ hooks: { listen: "127.0.0.1:8945" } }),
      secrets: new SecretText(JSON.stringify({ "ntfy.topic": "canary-topic" })),
    };
  });
  after(() => rmSync(folder, { recursive: true }));

  describe("agent-x", () => {
    let seen: readonly Registration[] = [];
    let stackOutputs: Record<string, unknown> = {};
    before(async () => {
      seen = await stackOf("agent-x", agent, (told) => (stackOutputs = told));
    });

    it("places the agent before the runner, which the Sentinel may use at once, and then sees that it does", () => {
      const needs = (name: string): string[] =>
        named(seen, name).dependencies.map((urn) => urn.split("::").at(-1) ?? "");
      assert.ok(needs("agent-account").includes("agent-server-ports"));
      assert.ok(needs("agent-sources").includes("agent-account"));
      assert.ok(needs("agent-unit").includes("agent-sources"));
      assert.ok(needs("agent-runner-install").includes("agent-unit"));
      assert.ok(needs("agent-runner-tarball").includes("agent-server-ports"));
      assert.ok(!needs("agent-runner-tarball").includes("agent-unit"), "the upload goes on meanwhile");
      assert.ok(needs("agent-ready").includes("agent-runner-install"));
    });

    it("installs the runner with the address that the server has got, and the key as a secret file", () => {
      const create = String(named(seen, "agent-runner-install").inputs["create"]);
      assert.match(create, /\baddress: 203\.0\.113\.50:8943$/m);
      assert.match(create, /IPAddressAllow=localhost 198\.51\.100\.4$/m);
      assert.match(create, /exec sudo -n /);
      const unit = String(named(seen, "agent-unit").inputs["create"]);
      // 90 % of both CPUs of an S.
      assert.match(unit, /CPUQuota=180%/);
      assert.match(unit, /AssertPathExists=/);
    });

    it("takes nothing back from the server and protects nothing, so that it may be gone when it is destroyed", () => {
      for (const { name, type, inputs, deletedWith, protect } of seen) {
        assert.equal(protect, false, name);
        if (!type.startsWith("command:remote:")) continue;
        assert.equal(inputs["delete"], undefined, name);
        assert.match(deletedWith, /::agent-server-instance$/, name);
      }
      const farewell = named(seen, "agent-farewell");
      assert.equal(farewell.type, "command:local:Command");
      assert.equal(farewell.deletedWith, "");
      assert.match(String(farewell.inputs["delete"]), /hive-agent farewell[^]*exit 0\n$/);
    });

    it("demands one host key of the server from its first connection on, kept as long as the server is", () => {
      const pinned = named(seen, "agent-host-key");
      const { environment, update, delete: undo } = pinned.inputs;
      assert.deepEqual(environment, {
        HIVE_HOST: "203.0.113.50",
        HIVE_PORT: "22",
        HIVE_HOST_KEY: "",
        HIVE_CONTAINER: "",
      });
      // The instance's name outlives it: another one of the same name was created at another time.
      assert.deepEqual(pinned.inputs["triggers"], [createdAt]);
      assert.match(String(update), /PULUMI_COMMAND_STDOUT/);
      assert.equal(undo, undefined);
      assert.match(pinned.deletedWith, /::agent-server-instance$/);
      const remote = seen.filter(({ type }) => type.startsWith("command:remote:"));
      for (const { name, dependencies } of remote)
        assert.ok(
          dependencies.some((urn) => urn.endsWith("::agent-host-key")),
          name,
        );
    });

    it("uploads to a server with another host key anew: on it there is nothing yet", () => {
      for (const name of ["agent-sources", "agent-runner-tarball"])
        assert.deepEqual(named(seen, name).inputs["triggers"], [pinnedKey]);
    });

    it("lets the Sentinel in by SSH alone where it was asked for, before the runner tells of it", async () => {
      const spec: unknown = JSON.parse(String(agent["agent"]));
      const key = `ssh-ed25519 ${"A".repeat(68)}`;
      const bySsh = {
        ...agent,
        agent: JSON.stringify({ ...Object(spec), transport: "ssh" }),
        sentinel: JSON.stringify({ host: "198.51.100.4", sshKey: key }),
      };
      const made = await stackOf("agent-x", bySsh);
      const door = String(named(made, "agent-ssh").inputs["create"]);
      assert.match(door, /restrict,command=.*signal --name x.*from=.*198\.51\.100\.4/);
      const shut = /rm -rf \/var\/lib\/hive-signal/;
      assert.doesNotMatch(String(named(made, "agent-unit").inputs["create"]), shut);
      assert.match(String(named(seen, "agent-unit").inputs["create"]), shut, "back from it the door is shut again");
      const install = named(made, "agent-runner-install");
      assert.ok(install.dependencies.some((urn) => urn.endsWith("::agent-ssh")));
      const create = String(install.inputs["create"]);
      assert.match(create, /^ssh:\n {2}address: 203\.0\.113\.50:22\n {2}user: hive-signal$/m);
      assert.match(create, /^listen: 127\.0\.0\.1:8943$/m);
      const { portInfos } = named(made, "agent-server-ports").inputs;
      const ports: unknown[] = Array.isArray(portInfos) ? portInfos : [];
      assert.deepEqual(
        ports.map((one) => [Reflect.get(Object(one), "fromPort"), Reflect.get(Object(one), "cidrs")]),
        [[22, ["198.51.100.4/32", "203.0.113.7/32"]]],
      );
      await assert.rejects(
        stackOf("agent-x", { ...bySsh, sentinel: JSON.stringify({ host: "198.51.100.4" }) }),
        /sshKey/,
      );
    });

    it("shows no secret in a script, an argument or an output", () => {
      const key = privateKey.split("\n").slice(1, -2).join("");
      for (const { name, inputs } of seen) {
        const text = JSON.stringify({ ...inputs, stdin: undefined, connection: undefined });
        for (const secret of [environmentCanary, "0123456789abcdef".repeat(4), key.slice(40, 120)])
          assert.ok(!text.includes(secret), `${name} shows a secret`);
        for (const place of ["connection", "stdin"])
          if (inputs[place] !== undefined) assert.ok(isRegisteredSecret(inputs[place]), `${name}.${place}`);
      }
    });

    it("exports address, price and end", () => {
      const keys = ["address", "centsPerHour", "centsPerMonth", "expires", "provider", "serverId"];
      assert.deepEqual(Object.keys(stackOutputs).toSorted(), keys);
    });

    it("runs on the Proxmox host too, as root in a container", async () => {
      const proxmox = JSON.stringify(proxmoxPlace);
      const apiToken = new SecretText("hive@pve!agent=00000000-0000-0000-0000-000000000000");
      const onHost = await stackOf("agent-x", { ...agent, lightsail: undefined, proxmox, apiToken });
      const create = String(named(onHost, "agent-runner-install").inputs["create"]);
      assert.doesNotMatch(create, /^exec sudo/);
      assert.match(create, /\baddress: 10\.20\.20\.31:8943$/m);
      assert.equal(named(onHost, "agent-server-guest-container").inputs["poolId"], "hive-throwaway");
    });

    it("is refused before anything is made: time over, sources without entry point, another stack's name", async () => {
      const spec: unknown = JSON.parse(String(agent["agent"]));
      const changed = (more: Raw): Raw => ({ ...agent, agent: JSON.stringify({ ...Object(spec), ...more }) });
      const refused = async (raw: Raw, told: RegExp, stack = "agent-x"): Promise<void> => {
        await assert.rejects(stackOf(stack, raw), told);
      };
      await refused(
        changed({ created: "2026-01-01T00:00:00Z" }),
        /time to live is over\. Renew it with `hive agent renew x`/,
      );
      await refused(changed({ sources: folder }), /sources\/run is missing/);
      await refused(changed({ sources: join(folder, "none") }), /hive:agent\.sources/);
      await refused(changed({ kind: "browser-hevy" }), /Did you mean browser-heavy\?/);
      await refused(changed({ size: "XS" }), /Write S: on less it would be killed/);
      await refused(changed({ limits: { tasksMax: 1 } }), /tasksMax is 1/);
      await refused(agent, /hive:agent\.name is "x"; allowed: the one of stack agent-y/, "agent-y");
    });
  });

  it("sentinel: is protected, told of runners alone, upgraded in place, and missed from outside", async () => {
    const seen = await stackOf("sentinel", sentinel);
    const instance = named(seen, "sentinel-server-instance");
    assert.deepEqual([instance.protect, instance.inputs["bundleId"]], [true, "micro_3_0"]);
    const { portInfos } = named(seen, "sentinel-server-ports").inputs;
    assert.deepEqual(portInfos, [
      { fromPort: 22, toPort: 22, protocol: "tcp", cidrs: ["203.0.113.7/32"] },
      { fromPort: 8944, toPort: 8944, protocol: "tcp", cidrs: ["0.0.0.0/0"] },
    ]);
    const install = named(seen, "sentinel-agent-install");
    assert.match(String(install.inputs["create"]), /role: sentinel/);
    assert.equal(install.protect, false);
    assert.match(String(install.inputs["delete"]), /remove/);
    const deadMan = named(seen, "sentinel-dead-man");
    assert.ok(isRegisteredSecret(deadMan.inputs["stdin"]));
    const shown = JSON.stringify(seen.map(({ inputs }) => ({ ...inputs, stdin: undefined, connection: undefined })));
    for (const secret of ["hc-ping.com/canary", "canary-topic"]) assert.ok(!shown.includes(secret));
  });

  it("are known by name, each agent by its prefix", async () => {
    await assert.rejects(runStack("sentinell"), /Stacks: genesis, sentinel, agent-<name>/);
  });
});
