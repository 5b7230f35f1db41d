// A throwaway agent at Lightsail by the command line alone: the lab's stand-in for AWS, real engine, Sentinel and runner.
import assert from "node:assert/strict";
import { endSentinel } from "../../cli/sentinel/endSentinel.ts";
import { usualZone } from "../../cli/agents/zone.ts";
import { lightsailTags } from "../../components/shared/vps/tags.ts";
import { Lightsail, settingsFrom } from "../../lab/providers/aws/client.ts";
import { skip } from "../run/skip.ts";
import { type Estate, documentOf, openEstate, toolchainOrSkip } from "../support/estate.ts";
import { record, rows } from "../support/lab-client.ts";

const name = "ghost-shopper";

/** In this order: each test goes on where the one before it ended. */
describe("a throwaway agent at Lightsail", function () {
  this.timeout(600_000);
  this.bail(true);
  let estate: Estate;
  const done = async (...args: string[]): Promise<Record<string, unknown>> =>
    documentOf(await estate.hive(...args, "--json"));
  const api = (): Lightsail => {
    const { aws } = estate.info;
    const env = { AWS_ENDPOINT_URL_LIGHTSAIL: aws.url, AWS_SHARED_CREDENTIALS_FILE: aws.credentialsFile };
    return new Lightsail(settingsFrom({ ...env, AWS_REGION: usualZone.slice(0, -1) }));
  };
  /** What the account holds, by the API's own word. */
  const listed = async (operation: string, member: string): Promise<Record<string, unknown>[]> =>
    rows((await api().call(operation, {}))[member]);

  before(async function () {
    const toolchain = await toolchainOrSkip(this);
    estate = await openEstate(toolchain);
    const { limitation, network } = estate.info;
    if (limitation !== undefined) skip(this, limitation);
    if (network === undefined) skip(this, "the lab has no network of its own here");
  });
  after(async () => {
    if (estate === undefined) return;
    await endSentinel(estate.folder.lab);
    await estate.close();
  });

  it("is ordered at the price of the cheapest size, with no server yet", async () => {
    const order = await done("agent", "new", name, "--kind", "experimental", "--provider", "lightsail");
    assert.equal(record(order["price"])["centsPerMonth"], 700);
    assert.deepEqual(await listed("GetInstances", "instances"), []);
  });

  it("comes up with the tags of the Sentinel's own Hive, and its runner registers", async () => {
    assert.equal((await done("up", `agent-${name}`))["result"], "succeeded");
    const [agent] = rows((await done("agent", "list"))["agents"]);
    assert.deepEqual([agent?.["alive"], agent?.["provider"]], [true, { kind: "lightsail", id: `agent-${name}` }]);
    const [instance, ...more] = await listed("GetInstances", "instances");
    assert.deepEqual([instance?.["name"], more], [`agent-${name}`, []]);
    const tags = Object.fromEntries(rows(instance?.["tags"]).map(({ key, value }) => [String(key), value]));
    const wanted = lightsailTags({ estate: "lab", agent: name, expiresSec: 0 });
    assert.deepEqual({ ...tags, "hive:expires": wanted["hive:expires"] }, wanted);
  });

  it("does a run, and is counted in the budget of the next one", async () => {
    const asked = ["agent", "signal", name, "--payload", '{"visits":[]}', "--wait"];
    assert.equal((await done(...asked))["state"], "completed");
    const args = ["agent", "new", "second", "--kind", "browser-heavy", "--provider", "lightsail"];
    const refused = await estate.hive(...args, "--sources", "samples/ghost-shopper");
    assert.match(refused.stderr, /43\.00 USD of 50\.00 USD; promised: 7\.00 USD to agent ghost-shopper/);
  });

  it("gets another server by a plain up when its own went without us: with a host key of its own, and all on it", async () => {
    await api().perform("DeleteInstance", { instanceName: `agent-${name}` });
    assert.equal((await done("up", `agent-${name}`))["result"], "succeeded");
    const asked = ["agent", "signal", name, "--payload", '{"visits":[]}', "--wait"];
    assert.equal((await done(...asked))["state"], "completed");
  });

  it("leaves nothing in the account when it is destroyed", async () => {
    assert.equal((await done("agent", "destroy", name, "--yes"))["registration"], "removed");
    assert.deepEqual(await listed("GetInstances", "instances"), []);
    assert.deepEqual(await listed("GetKeyPairs", "keyPairs"), []);
    assert.deepEqual((await done("agent", "list"))["agents"], []);
  });
});
