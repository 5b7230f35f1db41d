import assert from "node:assert/strict";
import {
  checkSentinelConfig,
  parseSentinelConfig,
  sentinelJsonSchema,
} from "../../components/shared/agent/sentinelConfig.ts";
import { roleOf } from "../../runtime-agent/src/shared/config.ts";

function faultsOf(raw: unknown): readonly string[] {
  const checked = checkSentinelConfig(raw);
  return checked.ok ? [] : checked.faults.map(({ property }) => property).toSorted();
}

describe("configuration of the Sentinel", () => {
  it("is complete with a version alone", () => {
    const checked = parseSentinelConfig("version: 1\nrole: sentinel\n");
    assert.ok(checked.ok);
    const { runners, leases, delivery, hooks, ssh } = checked.value;
    assert.deepEqual(runners.listen, { host: "0.0.0.0", port: 8944 });
    assert.deepEqual([leases.registerWithinMin, delivery.attempts, hooks, ssh], [30, 20, undefined, undefined]);
  });

  it("tells every fault at once", () => {
    const secretFile = "/etc/hive-agent/secrets/a";
    const hook = { name: "shop", agent: "ghost", secretFile };
    assert.deepEqual(faultsOf({ version: 1, leases: { validSec: 10 }, delivery: { firstSec: 9, mostSec: 3 } }), [
      "delivery.mostSec",
      "leases.validSec",
    ]);
    assert.deepEqual(faultsOf({ version: 1, hooks: { listen: "127.0.0.1:8945", list: [hook, hook] } }), [
      "hooks.list[1].name",
    ]);
    assert.deepEqual(faultsOf({ version: 2, role: "keeper", runners: { listn: 1 }, watch: { channels: [1] } }), [
      "role",
      "runners.listn",
      "version",
      "watch.channels[0]",
    ]);
    const refused = parseSentinelConfig("version: 1\nssh: &a {keyFile: /a}\nhooks: *a\n");
    assert.ok(!refused.ok);
  });

  it("lets webhooks in from inside alone: loopback, a private network, a mesh", () => {
    const open = (listen: string): boolean => faultsOf({ version: 1, hooks: { listen } }).length === 0;
    const inside = [
      "127.0.0.1:1",
      "10.1.2.3:1",
      "172.31.0.1:1",
      "192.168.1.1:1",
      "100.64.0.7:1",
      "[::1]:1",
      "[fd00::1]:1",
    ];
    const outside = [
      "0.0.0.0:1",
      "172.32.0.1:1",
      "8.8.8.8:1",
      "100.128.0.1:1",
      "[::]:1",
      "[2001:db8::1]:1",
      "example.org:1",
    ];
    assert.deepEqual([inside.filter((one) => !open(one)), outside.filter(open)], [[], []]);
  });

  it("has no key by which an agent's code could run here, and says so", () => {
    const schema = sentinelJsonSchema();
    assert.match(String(schema.description), /never runs an agent's code/);
    assert.doesNotMatch(JSON.stringify(schema.properties), /"(?:command|exec|program|script|shell|args)":/);
    assert.deepEqual(faultsOf({ version: 1, exec: ["/bin/true"] }), ["exec"]);
  });

  it("is told from other roles' by what is in it, else by its name", () => {
    const told: readonly (readonly [unknown, string, string])[] = [
      [{ version: 1, side: "host" }, "/tmp/sentinel.yaml", "keeper"],
      [{ version: 1, role: "sentinel" }, "/tmp/a.yaml", "sentinel"],
      [{ version: 1 }, "/etc/hive-agent/sentinel.yaml", "sentinel"],
      [{ version: 1, agent: {}, sentinel: {} }, "/tmp/a.yaml", "runner"],
      [{ version: 1 }, "/etc/hive-agent/runner.yaml", "runner"],
      [undefined, "/tmp/a.yaml", "keeper"],
    ];
    for (const [raw, file, role] of told) assert.equal(roleOf(raw, file), role, file);
  });
});
