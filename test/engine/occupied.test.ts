import assert from "node:assert/strict";
import { STRANGERS } from "../../lab/proxmox/fixtures/occupied.ts";
import { type Estate, documentOf, openEstate, toolchainOrSkip } from "../support/estate.ts";
import { resourcesOf } from "../support/graph.ts";
import { type HostSnapshot, compareSnapshots } from "../support/hostSnapshot.ts";
import { record, rows } from "../support/lab-client.ts";

/** What the state may hold of one object of the host's: nothing at all. */
const adopted = /^(vmbr0|rpool|local|local-zfs|vmbr9|backup-usb|pve\/vmbr0)$/;

/** In this order: each test goes on where the one before it ended. */
describe("genesis on a host that somebody already uses", function () {
  this.timeout(600_000);
  this.bail(true);
  let estate: Estate;
  let untouched: HostSnapshot;

  before(async function () {
    const toolchain = await toolchainOrSkip(this);
    estate = await openEstate(toolchain, { fixture: "occupied" });
  });
  after(async () => {
    await estate?.close();
  });

  it("is refused before any change while a stranger has one of its ids, by name and with the way out", async () => {
    const root = { root: true };
    await estate.client.run("POST", "/nodes/pve/qemu", { vmid: 101, name: "grandma" }, root);
    const taken = await estate.snapshot();
    const sent = estate.traffic().length;
    const run = await estate.hive("up", "--json");
    const [fault, ...more] = rows(documentOf(run, 1)["faults"]);
    assert.deepEqual(more, []);
    assert.equal(fault?.["property"], "guest 101");
    assert.match(String(fault["value"]), /"grandma"/);
    assert.match(String(fault["fix"]), /another id.+hive adopt --only 101/);
    assert.deepEqual(compareSnapshots(taken, await estate.snapshot()), []);
    const requests = estate.traffic().slice(sent);
    assert.ok(requests.length > 0);
    assert.deepEqual(
      requests.filter((line) => !line.startsWith('{"method":"GET"')),
      [],
    );
    await estate.client.run("DELETE", "/nodes/pve/qemu/101", {}, root);
  });

  it("comes up beside the strangers' objects, which stay byte for byte", async () => {
    untouched = await estate.snapshot();
    const strangers = Object.keys(untouched).filter((name) =>
      [...STRANGERS.guests.map(String), STRANGERS.bridge, STRANGERS.storage].some((stranger) =>
        name.includes(stranger),
      ),
    );
    assert.ok(strangers.length >= 12, strangers.join(", "));
    const run = await estate.hive("up", "--json");
    assert.equal(record(documentOf(run)["changes"])["create"], 57, run.stderr);
    const lines = compareSnapshots(untouched, await estate.snapshot());
    // Only new objects, and the host's firewall with our group before the stranger's rule.
    const changed = lines.filter((line) => !line.startsWith("+ "));
    assert.deepEqual(
      changed.map((line) => line.split(":")[0]),
      ["~ cluster firewall", "~ cluster rules"],
    );
    const [ours, theirs] = rows((await estate.client.call("GET", "/cluster/firewall/rules")).data);
    assert.equal(ours?.["action"], "hive-host");
    assert.equal(theirs?.["comment"], "monitoring of the previous owner");
  });

  it("manages neither the bridge, pool and storages that were there, nor a stranger's object", async () => {
    const exported = await estate.pulumi("stack", "export", "--stack", "genesis");
    assert.equal(exported.status, 0, exported.stderr);
    const custom = resourcesOf(exported.stdout).filter(({ custom: really }) => really === true);
    assert.ok(custom.length > 30, String(custom.length));
    for (const { urn, id, inputs } of custom) {
      const { name, resourceId, vmId } = record(inputs);
      for (const value of [id, name, resourceId]) assert.doesNotMatch(String(value), adopted, String(urn));
      assert.ok(!STRANGERS.guests.some((guest) => guest === vmId), String(urn));
    }
  });

  it("goes again and leaves the host as it was", async () => {
    const run = await estate.hive("destroy", "genesis", "--yes", "--unprotect", "all", "--json");
    assert.equal(record(documentOf(run)["changes"])["delete"], 57, run.stderr);
    assert.deepEqual(compareSnapshots(untouched, await estate.snapshot()), []);
  });
});
