import assert from "node:assert/strict";
import fc from "fast-check";
import { hostOfUrl, isLoopbackHost } from "../../cli/targets/loopback.ts";
import { type LabConnection, labConfig, outsideFaults } from "../../cli/targets/labConfig.ts";

const lab: LabConnection = {
  project: "hive",
  endpoint: "https://127.0.0.1:36001/",
  apiToken: "hive@pve!pulumi=11111111-2222-3333-4444-555555555555",
  ssh: { host: "127.0.0.1", port: 2222, user: "root", hostKey: "ssh-ed25519 AAAA" },
  sshPrivateKey: "the lab's key",
  adminPublicKey: "ssh-ed25519 BBBB hive-lab",
  adminCidrs: ["192.168.1.50/32"],
  secretSeed: "seed",
};

const realUrl = fc
  .tuple(fc.constantFrom("https", "http", "HTTPS", "ssh", "tcp"), fc.domain(), fc.webPath())
  .map(([scheme, host, path]) => `${scheme}://${host}${path}`);
const leaf = fc.oneof(
  fc.string(),
  fc.integer(),
  fc.boolean(),
  fc.constant(null),
  realUrl,
  fc.ipV4().map((ip) => `https://${ip}:8006/`),
);
const value = fc.letrec((tie) => ({
  node: fc.oneof(
    { depthSize: "small" },
    leaf,
    fc.array(tie("node"), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom("url", "host", "endpoint", "secure", "ssh"), tie("node"), { maxKeys: 3 }),
  ),
})).node;
const json = value.map((content) => JSON.stringify(content));
const key = fc.constantFrom(
  "hive:endpoint",
  "endpoint",
  "hive:ssh",
  "hive:apiToken",
  "hive:insecure",
  "hive:images",
  "hive:networks",
  "hive:adminCidrs",
  "hive:admin",
  "hive:sshPrivateKey",
  "proxmoxve:endpoint",
  "proxmoxve:ssh",
  "command:host",
  "aws:region",
  "hive:other",
  "ssh",
);
const tracked = fc.dictionary(key, fc.oneof(value, json));

/** Every text in a value, texts of JSON opened. */
function texts(found: unknown): string[] {
  if (typeof found === "string") {
    try {
      const inside: unknown = JSON.parse(found);
      if (typeof inside === "object" || typeof inside === "string") return [found, ...texts(inside)];
    } catch {
      // Not JSON: the text itself counts.
    }
    return [found];
  }
  return typeof found === "object" && found !== null ? Object.values(found).flatMap(texts) : [];
}

describe("labConfig", () => {
  it("whatever the tracked file holds, every URL, the endpoint and the SSH host are loopback", () => {
    fc.assert(
      fc.property(tracked, (config) => {
        const made = labConfig(config, lab);
        assert.ok(made.ok, JSON.stringify(made));
        for (const text of texts(made.value.plain)) {
          const host = hostOfUrl(text);
          if (host !== undefined) assert.ok(isLoopbackHost(host), text);
        }
        assert.equal(made.value.plain["hive:endpoint"], lab.endpoint);
        assert.deepEqual(made.value.plain["hive:ssh"], lab.ssh);
        assert.ok(Object.keys(made.value.plain).every((name) => name.startsWith("hive:")));
        assert.equal(made.value.secrets["hive:apiToken"], lab.apiToken);
      }),
      { numRuns: 1000 },
    );
  });

  it("keeps the user's plain settings", () => {
    const made = labConfig({ "hive:workers": 7, "hive:storage": { pool: "rpool" } }, lab);
    assert.ok(made.ok);
    assert.equal(made.value.plain["hive:workers"], 7);
    assert.deepEqual(made.value.plain["hive:storage"], { pool: "rpool" });
  });

  it("replaces the user's encrypted values without reading them", () => {
    const made = labConfig({ "hive:wifi": { secure: "v1:abc" } }, lab);
    assert.ok(made.ok);
    assert.match(made.value.secrets["hive:wifi"] ?? "", /^[\w-]{43}$/);
    assert.doesNotMatch(JSON.stringify(made.value), /v1:abc/);
  });

  it("leaves the Keeper out: it is installed at addresses that the lab must never call", () => {
    const checked = labConfig(
      {
        "hive:keeper": { tarball: "agent.tar.gz", watchdog: { type: "udp", address: "192.168.1.60:6060" } },
        "hive:keeperLinkKey": { secure: "AAAA" },
        "hive:nodeName": "pve",
      },
      lab,
    );
    assert.ok(checked.ok);
    const { plain, secrets, leftOut } = checked.value;
    assert.deepEqual([...leftOut].sort(), ["hive:keeper", "hive:keeperLinkKey"]);
    assert.equal(plain["hive:nodeName"], "pve");
    assert.ok(Object.keys({ ...plain, ...secrets }).every((name) => !name.startsWith("hive:keeper")));
  });

  it("refuses a lab that is not on this machine", () => {
    const made = labConfig(
      {},
      { ...lab, endpoint: "https://192.168.1.10:8006/", ssh: { ...lab.ssh, host: "192.168.1.10" } },
    );
    assert.ok(!made.ok);
    assert.deepEqual(
      made.faults.map((fault) => fault.property),
      ["hive:endpoint", "hive:ssh.host"],
    );
  });

  it("names every value that reaches out", () => {
    const faults = outsideFaults(
      {
        plain: {
          "hive:endpoint": "https://pve.example/",
          "hive:images": { ubuntu: { url: "https://example.org/x" } },
          "proxmoxve:x": 1,
        },
        secrets: {},
      },
      "hive",
    );
    assert.deepEqual(faults.map((fault) => fault.property).sort(), [
      "hive:endpoint",
      "hive:images.ubuntu.url",
      "hive:ssh.host",
      "proxmoxve:x",
    ]);
  });
});
