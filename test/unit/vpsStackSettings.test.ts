import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import ssh2 from "ssh2";
import { parse } from "yaml";
import { SecretText } from "../../components/shared/secretText.ts";
import { publicKeyOf } from "../../components/shared/sshKey.ts";
import { parseAgentStackConfig, parseSentinelStackConfig } from "../../components/shared/vps/stackSettings.ts";
import { agentStackConfig, proxmoxPlace, sentinelStackConfig, sshKeyPair } from "../support/vpsSettings.ts";

type Raw = Readonly<Record<string, unknown>>;

describe("configuration of the servers' stacks", () => {
  const { privateKey, publicKey } = sshKeyPair();
  const agent = agentStackConfig(privateKey);
  const faultsOf = (raw: Raw) => {
    const read = parseAgentStackConfig(raw);
    return read.ok ? [] : read.faults.map(({ property, value }) => `${property}: ${value ?? "missing"}`);
  };

  it("fills in the defaults, and takes the public key from the private one", () => {
    const read = parseAgentStackConfig(agent);
    assert.ok(read.ok, JSON.stringify(read));
    const { agent: spec, sentinel, connect, lightsail, registerSec, release } = read.value;
    assert.equal(`${read.value.publicKey} canary comment`, publicKey);
    assert.deepEqual([spec.mode, spec.runtime, spec.browserSandbox], ["job", "node", false]);
    assert.deepEqual([sentinel.port, connect.port, registerSec, release.healthSec], [8944, 22, 60, 60]);
    assert.equal(lightsail?.blueprint, "debian_12");
    const own = parseSentinelStackConfig(sentinelStackConfig(privateKey));
    assert.ok(own.ok, JSON.stringify(own));
    assert.deepEqual(own.value.runnerCidrs, ["0.0.0.0/0"]);
  });

  it("names every fault at once, in all keys, with a guess at mistyped ones", () => {
    const faulty = {
      ...agent,
      agent: JSON.stringify({ name: "X Y", kind: "batch", mode: "jobs", created: "x", ttlSec: 1, sorces: "x" }),
      sentinel: JSON.stringify({ host: "sentinel.example" }),
      release: JSON.stringify({ tarball: "x", sha256: "12", version: "new" }),
      lightsail: JSON.stringify({ zone: "eu-west-3" }),
      regsterSec: 5,
      registrationKey: new SecretText("canary-short"),
    };
    const told = faultsOf(faulty);
    assert.deepEqual(told.toSorted(), [
      'hive:agent.mode: "jobs"',
      'hive:agent.name: "X Y"',
      "hive:agent.sorces: an unknown key",
      "hive:agent.sources: missing",
      'hive:lightsail.zone: "eu-west-3"',
      "hive:registrationKey: a secret of another form (not shown)",
      "hive:regsterSec: an unknown key",
      'hive:release.sha256: "12"',
      'hive:release.version: "new"',
      'hive:sentinel.host: "sentinel.example"',
    ]);
  });

  it("wants a place for the server, and one alone, with what belongs to it", () => {
    const place = JSON.stringify(proxmoxPlace);
    assert.deepEqual(faultsOf({ ...agent, proxmox: place, apiToken: new SecretText("x") }), [
      "hive:proxmox: both",
      "hive:apiToken: a secret of another form (not shown)",
    ]);
    assert.deepEqual(faultsOf({ ...agent, lightsail: undefined }), ["hive:proxmox: neither"]);
    assert.deepEqual(faultsOf({ ...agent, lightsail: undefined, proxmox: place }), ["hive:apiToken: missing"]);
    const own = { ...sentinelStackConfig(privateKey), lightsail: undefined, proxmox: place };
    const token = new SecretText("hive@pve!agent=00000000-0000-0000-0000-000000000000");
    const read = parseSentinelStackConfig({ ...own, apiToken: token });
    assert.ok(!read.ok);
    assert.deepEqual(
      read.faults.map(({ property }) => property),
      ["hive:proxmox.backupStorage"],
    );
    const backup = JSON.stringify({ ...proxmoxPlace, backupStorage: "none" });
    assert.ok(parseSentinelStackConfig({ ...own, apiToken: token, proxmox: backup }).ok);
  });

  it("takes secrets as secrets alone, and shows none, wherever somebody wrote one", () => {
    const canary = "canary".repeat(11).slice(0, 64);
    const shown = [
      ...faultsOf({ ...agent, sshPrivateKey: privateKey, registrationKey: canary, environment: `{"A":"${canary}"}` }),
      ...faultsOf({ ...agent, environment: new SecretText(`["${canary}"]`), secrets: new SecretText(canary) }),
      ...faultsOf({ ...agent, agent: new SecretText(canary), sentinel: new SecretText(canary) }),
    ].join("\n");
    assert.match(shown, /hive:registrationKey: stored in clear \(not shown\)/);
    assert.match(shown, /hive:environment: another form \(not shown\)/);
    assert.match(shown, /hive:secrets: an unknown key/);
    for (const secret of [canary, ...privateKey.split("\n").slice(1, 3)]) assert.ok(!shown.includes(secret));
    const named = parseSentinelStackConfig({
      ...sentinelStackConfig(privateKey),
      secrets: new SecretText(JSON.stringify({ "ntfy.topic": canary })),
    });
    assert.deepEqual(named.ok && named.value.secretNames, ["ntfy.topic"]);
  });

  it("takes no offence at what Pulumi.yaml gives to every stack of the project", () => {
    const project: unknown = parse(readFileSync(join(import.meta.dirname, "../../Pulumi.yaml"), "utf8"));
    const { config } = Object(project) as { config: Readonly<Record<string, { default: unknown }>> };
    const given = Object.entries(config).map(([key, value]) => [key.replace("hive:", ""), String(value.default)]);
    assert.ok(given.length > 0);
    assert.deepEqual(faultsOf({ ...agent, ...Object.fromEntries(given) }), []);
  });

  it("has an example for the Sentinel that is sound once it is named, and on Proxmox once that is uncommented", () => {
    const shipped = readFileSync(join(import.meta.dirname, "../../Pulumi.sentinel.yaml"), "utf8");
    const text = shipped.replace("# hive:estate:", "hive:estate:");
    const onProxmox = text.replace(/^ {2}hive:lightsail:(?:\n {4}.*)+/m, "").replace(/^ {2}# (?=hive:|  )/gm, "  ");
    for (const example of [text, onProxmox]) {
      const { config } = Object(parse(example)) as { config: Raw };
      const keys = Object.entries(config).map(([key, value]) => [key.replace("hive:", ""), JSON.stringify(value)]);
      const { sshPrivateKey, deadManUrl } = sentinelStackConfig(privateKey);
      const apiToken = new SecretText("hive@pve!agent=00000000-0000-0000-0000-000000000000");
      const read = parseSentinelStackConfig({ ...Object.fromEntries(keys), sshPrivateKey, deadManUrl, apiToken });
      assert.ok(read.ok, JSON.stringify(read));
      assert.equal(read.value.proxmox === undefined, example === text);
    }
  });

  it("survives whatever it is given (property)", () => {
    const keys = fc.constantFrom(...Object.keys(agent), "proxmox", "environment", "x");
    const values = fc.oneof(fc.jsonValue(), fc.string(), fc.json());
    fc.assert(
      fc.property(keys, values, (key, value) => {
        const read = parseAgentStackConfig({ ...agent, [key]: value });
        assert.ok(read.ok || read.faults.length > 0);
      }),
    );
  });
});

describe("public half of an SSH key", () => {
  it("is what ssh-keygen says, for every kind of key without a passphrase", () => {
    for (const how of [[], ["-t", "ecdsa"], ["-t", "rsa", "-b", "2048"]]) {
      const { privateKey, publicKey } = sshKeyPair(...how);
      assert.equal(`${publicKeyOf(privateKey) ?? ""} canary comment`, publicKey);
    }
  });

  it("says whom it was made for, and nothing else that its comment may hold", () => {
    for (const how of [[], ["-t", "ecdsa"], ["-t", "rsa", "-b", "2048"]]) {
      const { privateKey, publicKey } = sshKeyPair(...how, "-C", "agent-ghost-shopper");
      assert.equal(publicKeyOf(privateKey), publicKey);
      assert.ok(publicKey.endsWith(" agent-ghost-shopper"));
    }
    const { privateKey, publicKey } = sshKeyPair("-C", "me@home");
    assert.equal(publicKeyOf(privateKey), publicKey.replace(" me@home", ""));
    const made = ssh2.utils.generateKeyPairSync("ed25519", { comment: "agent-x" });
    assert.equal(publicKeyOf(made.private), made.public);
  });

  it("is nothing for one with a passphrase, another format, or no key at all (property)", () => {
    assert.equal(publicKeyOf(sshKeyPair("-N", "secret").privateKey), undefined);
    assert.equal(publicKeyOf(sshKeyPair("-t", "rsa", "-b", "2048", "-m", "PEM").privateKey), undefined);
    const wrapped = (body: string): string =>
      `-----BEGIN OPENSSH PRIVATE KEY-----\n${body}\n-----END OPENSSH PRIVATE KEY-----\n`;
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        const body = Buffer.concat([Buffer.from("openssh-key-v1\0", "latin1"), bytes]).toString("base64");
        const key = publicKeyOf(wrapped(body));
        assert.ok(key === undefined || key.includes(" "));
        assert.equal(publicKeyOf(wrapped(Buffer.from(bytes).toString("base64"))), undefined);
      }),
    );
  });
});
