import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { findKeeper, identityOf, keeperFolder, makeKeeperFolder, writeFound } from "../../lab/keeper/folder.ts";
import { labEvening } from "../../lab/keeper/evening.ts";
import { writeEvening } from "../../lab/keeper/play.ts";
import { collectKeeper } from "../../lab/page/collect-keeper.ts";
import { keeperView } from "../../lab/page/keeper-view.ts";

const status = {
  now: "2026-01-15T23:40:00.000Z",
  marketOpen: false,
  museNight: true,
  load1: 0.3,
  holder: { service: "eva-core", rank: 2, token: 7, lease: "l1", remainingMs: 1000 },
  queue: [{ lease: "l2", service: "sentinel-scan", rank: 3, waitingMs: 1200 }],
  services: [
    {
      name: "eva-core",
      rank: 2,
      kind: "interactive",
      phase: "running",
      kernel: "running",
      lowered: [],
      vramMiB: 16_384,
    },
    {
      ...{ name: "muse-images", rank: 4, kind: "batch", phase: "lowered", kernel: "unknown" },
      ...{ lowered: ["checkpoint", "stop"], why: "eva-core comes first", vramMiB: 10_240 },
    },
    { name: "research", rank: 4, kind: "batch", phase: "idle", kernel: "unknown", lowered: [], vramMiB: 6144 },
  ],
  gpu: {
    kind: "known",
    name: "RTX 3090",
    vramTotalMiB: 24_576,
    vramUsedMiB: 16_784,
    temperatureC: 66,
    powerWatts: 300,
  },
  power: "full",
  decisions: [
    { number: 1, time: "2026-01-15T23:39:00Z", what: "plan", service: "eva-core", reason: "moves muse-images" },
    { number: 2, time: "2026-01-15T23:40:00Z", what: "grant", service: "eva-core", reason: "holds the GPU" },
  ],
};
const answers = { why: undefined, status, timeZone: "Europe/Paris", evening: undefined };

describe("lab page: the Keeper", function () {
  this.timeout(20_000);
  let state: string;
  const servers: Server[] = [];

  beforeEach(() => {
    state = mkdtempSync(join(tmpdir(), "hive-page-"));
  });
  afterEach(() => {
    for (const server of servers.splice(0)) server.close().closeAllConnections();
    rmSync(state, { recursive: true, force: true });
  });

  /** A Keeper as the lab finds it: this process, with a socket that answers as told. */
  async function keeper(
    answer: (authorization: string | undefined) => { status: number; body: string },
  ): Promise<void> {
    const folder = keeperFolder(state);
    makeKeeperFolder(folder);
    const server = createServer((request, response) => {
      const { status: code, body } = answer(request.headers.authorization);
      response.writeHead(code).end(request.url === "/status" ? body : "");
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(join(state, "api.sock"), resolve));
    writeFileSync(join(state, "api.token"), "secret-token\n", { mode: 0o600 });
    writeFound(folder, { ...identityOf(process.pid), sides: [], owner: identityOf(process.pid), runtime: state });
  }

  it("shows holder, queue, ranks, card, frozen services and the last decisions with their reasons", () => {
    const view = keeperView(answers);
    assert.equal(view.running, true);
    assert.deepEqual(view.holder, { service: "eva-core", rank: 2, token: 7 });
    assert.deepEqual(view.queue, [{ service: "sentinel-scan", rank: 3, waitingMs: 1200 }]);
    assert.deepEqual(
      view.services.map(({ name, rank, state: how, lowered, why }) => [name, rank, how, lowered, why]),
      [
        ["eva-core", 2, "holds the GPU", false, ""],
        ["muse-images", 4, "frozen, VRAM in RAM", true, "eva-core comes first"],
        ["research", 4, "idle", false, ""],
      ],
    );
    assert.deepEqual([view.gpu.temperatureC, view.gpu.vramUsedMiB, view.gpu.powerWatts], [66, 16_784, 300]);
    assert.equal(view.gpu.powerLimitWatts, undefined);
    assert.deepEqual([view.marketOpen, view.night, view.clockMs], [false, true, Date.parse(status.now)]);
    assert.deepEqual(
      view.decisions.map(({ what, reason }) => `${what}: ${reason}`),
      ["grant: holds the GPU", "plan: moves muse-images"],
    );
  });

  it("asks with the token over the socket, and lets neither reach the browser", async () => {
    await keeper((authorization) =>
      authorization === "Bearer secret-token"
        ? { status: 200, body: JSON.stringify({ ...status, apiToken: "secret-token" }) }
        : { status: 401, body: "" },
    );
    const evening = labEvening();
    writeEvening(keeperFolder(state), evening.timeZone, evening.steps, 2);
    const view = keeperView(await collectKeeper(state));
    assert.equal(view.running, true, view.why);
    assert.deepEqual(
      view.evening.slice(0, 4).map((step) => step.state),
      ["done", "done", "now", "next"],
    );
    assert.doesNotMatch(JSON.stringify(view), /secret-token|api\.sock/);
  });

  it("says why there is none, and why one does not answer", async () => {
    assert.match(keeperView(await collectKeeper(state)).why, /npm start/);
    await keeper(() => ({ status: 500, body: "" }));
    assert.match(keeperView(await collectKeeper(state)).why, /answered 500/);
    servers[0]?.close().closeAllConnections();
    const view = keeperView(await collectKeeper(state));
    assert.equal(view.running, false);
    assert.match(view.why, /does not answer/);
  });

  it("does not take another process with the same number for the Keeper", () => {
    const folder = keeperFolder(state);
    makeKeeperFolder(folder);
    const own = identityOf(process.pid);
    writeFound(folder, { ...own, processStart: "1", sides: [], owner: own, runtime: state });
    assert.equal(findKeeper(folder), undefined);
    writeFileSync(folder.found, '{"pid":');
    assert.equal(findKeeper(folder), undefined);
  });

  it("is total: any shape of status gives a view, and no unknown field comes through", () => {
    const canary = "canary-3c9e";
    const keys = fc.constantFrom("now", "holder", "queue", "services", "gpu", "decisions", "load1", "token", "extra");
    fc.assert(
      fc.property(fc.dictionary(keys, fc.anything()), fc.anything(), (some, evening) => {
        const view = keeperView({ ...answers, status: { ...some, secret: canary, gpu: { canary } }, evening });
        assert.doesNotMatch(JSON.stringify(view), new RegExp(canary));
      }),
    );
  });
});
