import assert from "node:assert/strict";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { checkConformance, parseTraffic } from "../../lab/proxmox/conformance.ts";
import { skip } from "../run/skip.ts";
import {
  type Canary,
  canariesIn,
  filesWithCanaries,
  keepers,
  plantCanaries,
  watchArguments,
} from "../support/canaries.ts";
import { type Estate, type Run, documentOf, openEstate, settingsOf, toolchainOrSkip } from "../support/estate.ts";
import { type Graph, graphOf } from "../support/graph.ts";
import { type HostSnapshot, compareSnapshots } from "../support/hostSnapshot.ts";
import { record, rows } from "../support/lab-client.ts";
import { keeperMoves } from "../support/moves.ts";
import { expectedGuest, expectedHost, readGuest, readHost } from "../support/readBack.ts";

/** Proxmox's published interface; it lies beside the project, not in it. */
const openApi = join(import.meta.dirname, "../../../shared/data/proxmox/pve-openapi.json");

const changesOf = (run: Run): Record<string, unknown> => record(documentOf(run)["changes"]);
const none = { create: 0, update: 0, delete: 0, replace: 0, same: 0, import: 0, refresh: 0 };

function plain(run: Run): string {
  assert.equal(run.status, 0, `${run.stdout}\n${run.stderr}`);
  return run.stdout;
}

/** In this order: each test goes on where the one before it ended. */
describe("genesis on a fresh host", function () {
  this.timeout(600_000);
  this.bail(true);
  let estate: Estate;
  let untouched: HostSnapshot;
  let moved: HostSnapshot;
  let graph: Graph;
  let canaries: readonly Canary[] = [];
  let watched: { readonly seen: number; readonly leaks: readonly string[] };
  const said: string[] = [];
  const hive = async (...args: string[]): Promise<Run> => {
    const run = await estate.hive(...args);
    said.push(run.stdout, run.stderr);
    return run;
  };
  const readGraph = async (): Promise<Graph> =>
    graphOf(plain(await estate.pulumi("stack", "export", "--show-secrets", "--stack", "genesis")), estate.info);

  before(async function () {
    const toolchain = await toolchainOrSkip(this);
    estate = await openEstate(toolchain, { prepare: (folder) => (canaries = plantCanaries(folder)) });
    untouched = await estate.snapshot();
  });
  after(async () => {
    await estate?.close();
  });

  it("comes up whole: hive up creates every resource", async () => {
    const watch = watchArguments(canaries);
    const run = await hive("up", "--json");
    watched = watch.stop();
    const document = documentOf(run);
    assert.equal(document["result"], "succeeded");
    assert.deepEqual(document["changes"], { ...none, create: 57 });
    assert.deepEqual(
      rows(document["machines"]).map(({ id }) => id),
      [100, 101, 200, 300, 301, 400, 401],
    );
    graph = await readGraph();
  });

  it("reads back from the host's API what the plan says, for every machine and for the host", async () => {
    const { settings, plan } = settingsOf(estate.target());
    for (const machine of plan.machines)
      assert.deepEqual(
        await readGuest(estate.info.rootSocket, machine),
        expectedGuest(machine, settings, plan),
        String(machine.id),
      );
    assert.equal(plan.machines.length, 7);
    assert.deepEqual(await readHost(estate.info.rootSocket, settings), expectedHost(settings, plan));
  });

  it("keeps every planted secret out of state, settings, output, logs, host and command lines", async function () {
    const { folder } = estate;
    const output = [
      plain(await estate.pulumi("stack", "export", "--stack", "genesis")),
      plain(await estate.pulumi("config", "--stack", "genesis", "--json")),
      plain(await estate.pulumi("stack", "output", "--stack", "genesis", "--json")),
      ...said,
    ].join("\n");
    assert.deepEqual(canariesIn(output, canaries), []);
    const { found, read, unpacked } = filesWithCanaries(folder.root, canaries);
    for (const wanted of [/^backend\/.+genesis\.json$/, /^project\/Pulumi\.genesis\.yaml$/, /snippets\/hive-genesis/])
      assert.ok(
        read.some((name) => wanted.test(name)),
        `${String(wanted)} was searched`,
      );
    for (const name of ["host/events.jsonl", "host/traffic.jsonl", "host/lab.log", "host/state.json"])
      assert.ok(read.includes(name), `${name} was searched`);
    // The engine packs its logs: searched as they lie, they would hide anything.
    assert.ok(
      unpacked.some((name) => /^pulumi-home\/logs\/.+\.log$/.test(name)),
      `the engine's logs were unpacked: ${unpacked.join(", ")}`,
    );
    // Each canary is found in the file that is made to hold it, and so would be anywhere else.
    assert.deepEqual([...new Set(found.map((line) => line.split(": ")[0]))], keepers.toSorted(), found.join("\n"));
    assert.deepEqual([...new Set(found.map((line) => line.split(": ")[1]))].toSorted(), [
      "API token",
      "SSH key",
      "passphrase",
    ]);
    for (const name of keepers) assert.equal(statSync(join(folder.root, name)).mode & 0o077, 0, name);
    if (process.platform !== "linux") skip(this, "command lines are read from /proc");
    assert.ok(watched.seen > 10, `${String(watched.seen)} command lines seen`);
    assert.deepEqual(watched.leaks, []);
  });

  it("changes nothing when run again", async () => {
    assert.deepEqual(changesOf(await hive("up", "--json")), { ...none, same: 57 });
  });

  it("leaves alone what the Keeper moved: up changes nothing, and nothing moves", async () => {
    await keeperMoves(estate.client);
    moved = await estate.snapshot();
    assert.match(moved["qemu 101"] ?? "", /"hostpci0":"mapping=gpu-rtx3090/);
    assert.doesNotMatch(moved["qemu 100"] ?? "", /hostpci0/);
    assert.deepEqual(changesOf(await hive("up", "--json")), { ...none, same: 57 });
    assert.deepEqual(compareSnapshots(moved, await estate.snapshot()), []);
  });

  it("leaves it alone after a refresh too, by plain pulumi up, which finds the same graph", async () => {
    plain(await estate.pulumi("refresh", "--stack", "genesis", "--yes", "--skip-preview"));
    const run = await estate.pulumi("up", "--stack", "genesis", "--yes", "--skip-preview");
    assert.match(plain(run), /Resources:\s+57 unchanged\n/);
    assert.deepEqual(compareSnapshots(moved, await estate.snapshot()), []);
  });

  it("refuses to destroy protected guests, and names them", async () => {
    const run = await hive("destroy", "genesis", "--yes", "--json");
    const document = documentOf(run, 1);
    assert.deepEqual(
      rows(document["protected"]).map(({ id }) => id),
      [100, 200, 400],
    );
    assert.match(run.stderr, /100 \(brain\), 200 \(trading\), 400 \(bastion\)/);
    assert.deepEqual(compareSnapshots(moved, await estate.snapshot()), []);
  });

  it("shows with --dry-run what would go, and deletes nothing", async () => {
    const document = documentOf(await hive("destroy", "genesis", "--yes", "--dry-run", "--unprotect", "all", "--json"));
    assert.ok(Array.isArray(document["delete"]));
    // Resources that are really there: all but the stack and its components.
    const custom = Object.keys(graph).filter((urn) => !/::(pulumi:|hive:index:[A-Za-z]+::)/.test(urn));
    assert.deepEqual(document["delete"].toSorted(), custom.toSorted());
    assert.deepEqual(compareSnapshots(moved, await estate.snapshot()), []);
  });

  it("leaves the host as it was before, once the guests are let go", async () => {
    const run = await hive("destroy", "genesis", "--yes", "--unprotect", "all", "--json");
    assert.deepEqual(changesOf(run), { ...none, delete: 57 });
    assert.deepEqual(compareSnapshots(untouched, await estate.snapshot()), []);
  });

  it("comes up by plain pulumi up with the same resources and inputs", async () => {
    const run = await estate.pulumi("up", "--stack", "genesis", "--yes", "--skip-preview");
    assert.match(plain(run), /Resources:\s+\+ 57 created\n/);
    assert.deepEqual(await readGraph(), graph);
  });

  it("asked the host's API for nothing that Proxmox does not publish", function () {
    if (!existsSync(openApi)) skip(this, "Proxmox's OpenAPI document is not on this machine");
    const report = checkConformance(
      parseTraffic(estate.traffic().join("\n")),
      JSON.parse(readFileSync(openApi, "utf8")),
    );
    assert.ok(report.requests > 500, `${String(report.requests)} requests`);
    assert.deepEqual([report.unknownPaths, report.unknownParameters], [[], []]);
  });

  it("said nothing of a planted secret in any of these runs", () => {
    assert.deepEqual(canariesIn(said.join("\n"), canaries), []);
  });
});
