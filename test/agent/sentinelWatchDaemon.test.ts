import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { throwawayPool } from "../../components/shared/vps/reaperRights.ts";
import { proxmoxTagList } from "../../components/shared/vps/tags.ts";
import type { AgentProgram } from "../support/arbiterDaemon.ts";
import { buildAgent } from "../support/arbiterDaemon.ts";
import { lab } from "../support/lab-client.ts";
import { reaperToken } from "../support/reaperToken.ts";
import { SentinelSite, until } from "../support/sentinelDaemon.ts";

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return `http://127.0.0.1:${String(address.port)}`;
}

describe("Sentinel: the daemon's watch", () => {
  let program: AgentProgram;
  before(async () => {
    program = await buildAgent();
  });
  after(() => program.remove());

  it("tells what goes down and comes up, and reaps what outlived its time, over a kill", async () => {
    await using cleanup = new AsyncDisposableStack();
    let status = 503;
    const site = createServer((_request, response) => response.writeHead(status).end());
    const ids = new Set<string>();
    const told: string[] = [];
    const receiver = createServer((request, response) => {
      let body = "";
      request.on("data", (part: Buffer) => (body += part.toString()));
      request.on("end", () => {
        const id = String(request.headers["webhook-id"]);
        // A message may come twice; its id says so.
        if (!ids.has(id)) for (const [, text = ""] of body.matchAll(/"text":"([^"]*)"/g)) told.push(text);
        ids.add(id);
        response.end();
      });
    });
    for (const server of [site, receiver]) cleanup.defer(() => void server.close());

    const { pve, client: root } = await lab();
    cleanup.defer(() => pve.close());
    const tokenText = await reaperToken(root);
    const expired = proxmoxTagList({ estate: "lab", agent: "orphan", expiresSec: 1000 }).join(";");
    const vm = { memory: 512, pool: throwawayPool };
    await root.run("POST", "/nodes/pve/qemu", { ...vm, vmid: 800, tags: expired }, { root: true });
    await root.run("POST", "/nodes/pve/qemu", { ...vm, vmid: 801 }, { root: true });

    const secrets = await mkdtemp(join(tmpdir(), "hive-watch-"));
    cleanup.defer(() => rm(secrets, { recursive: true }));
    const secret = async (name: string, text: string): Promise<string> => {
      const file = join(secrets, name);
      await writeFile(file, text, { mode: 0o600 });
      return file;
    };
    const watch = {
      watchdogs: [
        { name: "site", type: "http", url: await listen(site), everySec: 5, deadlineSec: 5, failures: 1, successes: 1 },
        { name: "backup", type: "heartbeat", periodSec: 3600 },
      ],
      channels: [
        {
          name: "ops",
          type: "webhook",
          url: await listen(receiver),
          secretFile: await secret("hook", `whsec_${Buffer.alloc(32, 1).toString("base64")}`),
        },
      ],
      reaper: {
        estate: "lab",
        everySec: 10,
        pauseSec: 0,
        proxmox: { url: pve.url, tokenFile: await secret("token", tokenText), caFile: pve.caCertFile, node: "pve" },
      },
    };
    const hive = await SentinelSite.open(program, { watch });
    cleanup.defer(() => hive.close());
    await hive.start();
    await until(() => told.includes("down: HTTP 503"), "the alert");
    hive.kill();
    await hive.daemon?.ended;
    status = 200;
    await hive.start();
    await until(() => told.some((text) => text.startsWith("up again")), "the end of the alert");
    assert.equal(told.filter((text) => text.startsWith("down")).length, 1);

    const exists = async (vmid: number): Promise<boolean> =>
      (await root.call("GET", `/nodes/pve/qemu/${String(vmid)}/config`, {}, { root: true })).status === 200;
    await until(async () => !(await exists(800)), "the server is deleted", 90_000);
    assert.equal(await exists(801), true);
    assert.ok(told.some((text) => text.startsWith("will be deleted")));

    assert.equal((await hive.call("POST", "/watchdogs/backup/beat")).status, 202);
    assert.equal((await hive.call("POST", "/watchdogs/site/beat")).status, 404);
    const seen = JSON.stringify((await hive.call("GET", "/watchdogs")).json);
    assert.match(seen, /"name":"site","type":"http","standing":"up"/);
    assert.match(
      JSON.stringify((await hive.call("GET", "/reaper")).json),
      /"id":"801","why":"it lacks one of our tags"/,
    );
  });
});
