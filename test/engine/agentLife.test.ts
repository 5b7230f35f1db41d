// One whole life of a throwaway agent on the lab's Proxmox: real engine, real Sentinel, real runner on a server of its own.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import * as z from "zod";
import { projectRoot } from "../../cli/setup/paths.ts";
import { endSentinel } from "../../cli/sentinel/endSentinel.ts";
import { findSentinel, sentinelFolder } from "../../cli/sentinel/folder.ts";
import { labLine } from "../../cli/sentinel/labSentinel.ts";
import { exchange } from "../../cli/sentinel/line.ts";
import { readLabFile } from "../../lab/host/lab-file.ts";
import { skip } from "../run/skip.ts";
import { type Estate, type Run, documentOf, openEstate, toolchainOrSkip } from "../support/estate.ts";
import { type HostSnapshot, compareSnapshots } from "../support/hostSnapshot.ts";
import { record, rows } from "../support/lab-client.ts";

const name = "ghost-shopper";
const stack = `agent-${name}`;
const visit = z.object({ passed: z.boolean(), title: z.string().nullable(), prices: z.array(z.string()) });
const finished = z.object({
  state: z.literal("completed"),
  runId: z.string(),
  report: z.object({ attempts: z.literal(1), result: z.object({ runId: z.string(), visits: z.array(visit) }) }),
});

/** A page that the agent is sent to, where its server may go. */
async function openShop(host: string): Promise<Server> {
  const shop = createServer((_, response) => response.end("<title>Item 7</title> in stock: 12,90 €"));
  await new Promise<void>((listening) => shop.listen(0, host, listening));
  return shop;
}

/** In this order: each test goes on where the one before it ended. */
describe("a throwaway agent", function () {
  this.timeout(600_000);
  this.bail(true);
  let estate: Estate;
  let shop: Server;
  let untouched: HostSnapshot;
  let page = "";
  const done = async (...args: string[]): Promise<Record<string, unknown>> =>
    documentOf(await estate.hive(...args, "--json"));
  const said = async (...args: string[]): Promise<Run> => {
    const run = await estate.hive(...args);
    assert.equal(run.status, 0, `${run.stdout}\n${run.stderr}`);
    return run;
  };

  before(async function () {
    const toolchain = await toolchainOrSkip(this);
    estate = await openEstate(toolchain);
    const { limitation, network, controlSocket } = estate.info;
    if (limitation !== undefined) skip(this, limitation);
    if (network === undefined) skip(this, "the lab has no network of its own here");
    shop = await openShop(network.outside);
    const { port } = z.object({ port: z.number() }).parse(shop.address());
    page = `http://${network.outside}:${String(port)}/`;
    const body = { open: [], reach: [{ to: "outside", port }] };
    await exchange({ path: controlSocket }, "", { method: "PUT", path: "/uplink", body });
  });
  after(async () => {
    shop?.close();
    if (estate === undefined) return;
    await endSentinel(estate.folder.lab);
    await estate.close();
  });

  it("is ordered: registered at the Sentinel, with no server yet", async () => {
    const order = await done("agent", "new", name, "--kind", "browser-light", "--provider", "proxmox");
    assert.equal(record(order["price"])["centsPerMonth"], 0);
    const [agent] = rows((await done("agent", "list"))["agents"]);
    assert.deepEqual([agent?.["name"], agent?.["standing"]], [name, "not registered yet"]);
    untouched = await estate.snapshot();
    assert.ok(!Object.keys(untouched).some((key) => key.startsWith("lxc")), Object.keys(untouched).join(", "));
  });

  it("comes up on a server of its own, whose runner registers", async () => {
    const up = await done("up", stack);
    assert.equal(up["result"], "succeeded");
    const [agent] = rows((await done("agent", "list"))["agents"]);
    assert.equal(agent?.["alive"], true);
  });

  it("does what a signal asks for, once, and gives its result and its log", async () => {
    const payload = JSON.stringify({ visits: [{ url: page, expect: "in stock" }] });
    const asked = ["agent", "signal", name, "--key", "first", "--payload", payload, "--wait"];
    const { runId, report } = finished.parse(await done(...asked));
    assert.equal(report.result.runId, runId);
    assert.deepEqual(report.result.visits, [{ passed: true, title: "Item 7", prices: ["12,90 €"] }]);
    assert.deepEqual(finished.parse(await done(...asked)).runId, runId, "the same key is the same run");
    const { stdout } = await said("agent", "logs", name);
    assert.equal(stdout.split("\n").filter((line) => line.startsWith(`passed ${page}`)).length, 1, stdout);
  });

  /** The agent as the Sentinel has it. */
  const seen = async (): Promise<Record<string, unknown>> => {
    const [agent = {}] = rows((await done("agent", "list"))["agents"]);
    return agent;
  };

  it("grows in place: the same server, by the same key; a refused move changes nothing", async () => {
    const before = await seen();
    const settings = (): string => readFileSync(join(estate.folder.root, "stacks", `Pulumi.${stack}.yaml`), "utf8");
    const asIs = settings();
    assert.notEqual((await estate.hive("agent", "resize", name, "--size", "XS", "--yes")).status, 0);
    assert.deepEqual([settings(), (await seen())["registered"]], [asIs, before["registered"]]);
    assert.equal((await done("agent", "resize", name, "--size", "M", "--yes"))["to"], "M");
    const { size, alive, registered } = await seen();
    assert.deepEqual([size, alive, registered], ["M", true, before["registered"]]);
  });

  it("gets another server by a plain up when its own went without us, and that one registers", async () => {
    const { provider, registered } = await seen();
    const guest = `/nodes/pve/lxc/${String(record(provider)["id"])}`;
    await estate.client.run("POST", `${guest}/status/stop`, {}, { root: true });
    await estate.client.run("DELETE", guest, {}, { root: true });
    assert.equal((await done("up", stack))["result"], "succeeded");
    const after = await seen();
    assert.equal(after["alive"], true);
    assert.notDeepEqual(after["registered"], registered);
    const payload = JSON.stringify({ visits: [{ url: page, expect: "in stock" }] });
    const again = ["agent", "signal", name, "--key", "second", "--payload", payload, "--wait"];
    assert.equal(finished.parse(await done(...again)).report.result.visits[0]?.passed, true);
  });

  it("leaves nothing behind when it is destroyed", async () => {
    const gone = await done("agent", "destroy", name, "--yes");
    assert.equal(gone["registration"], "removed");
    assert.deepEqual(compareSnapshots(untouched, await estate.snapshot()), []);
    assert.deepEqual((await done("agent", "list"))["agents"], []);
    const { output } = sentinelFolder(estate.folder.lab);
    assert.match(readFileSync(output, "utf8"), /"farewell"[^]*"removed"/, "its runner said farewell first");
    const left = readdirSync(estate.folder.root, { recursive: true, withFileTypes: true })
      .filter((entry) => !entry.isDirectory() && /ghost-shopper|guest-3\d\d/.test(entry.name))
      .map(({ parentPath, name: file }) => join(parentPath, file))
      // What the engine did is told there, without a secret of it.
      .filter((file) => !file.includes("/pulumi-home/logs/"));
    assert.deepEqual(left, []);
    const packed = readdirSync(join(projectRoot, ".hive", "sources"));
    assert.deepEqual(
      packed.filter((file) => file.startsWith(`${name}-`)),
      [],
    );
  });

  it("lives by SSH alone just as well: no port of its own, the Sentinel's own key, and the server's pinned", async () => {
    await done("agent", "new", name, "--kind", "browser-light", "--provider", "proxmox", "--transport", "ssh");
    assert.equal((await done("up", stack))["result"], "succeeded");
    const found = findSentinel(sentinelFolder(estate.folder.lab));
    assert.ok(found !== undefined);
    const line = labLine(found);
    const { json } = await line.call({ method: "GET", path: `/agents/${name}` });
    const { ssh } = z
      .object({ ssh: z.object({ user: z.string(), hostKey: z.string() }) })
      .parse(record(json)["registered"]);
    const guests = readLabFile(estate.folder.lab)?.guests ?? [];
    assert.equal(ssh.user, "hive-signal");
    assert.ok(guests.some(({ hostPublicKey }) => hostPublicKey === ssh.hostKey));
    const payload = JSON.stringify({ visits: [{ url: page, expect: "in stock" }] });
    const asked = ["agent", "signal", name, "--key", "by-ssh", "--payload", payload, "--wait"];
    const { report } = finished.parse(await done(...asked));
    assert.deepEqual(report.result.visits, [{ passed: true, title: "Item 7", prices: ["12,90 €"] }]);
    assert.match((await said("agent", "logs", name)).stdout, /^passed /m);
    await done("agent", "destroy", name, "--yes");
    assert.deepEqual(compareSnapshots(untouched, await estate.snapshot()), []);
  });
});
