import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import ssh2 from "ssh2";
import type { Client } from "ssh2";
import { generateKeyPair } from "../../lab/host/keys.ts";
import { findLab, startLab } from "../../lab/index.ts";
import type { LabInfo, RunningLab } from "../../lab/index.ts";
import { skip } from "../run/skip.ts";
import { exec, login } from "./host-client.ts";
import { startFakeProxmox } from "./host-fake-api.ts";
import type { FakeProxmox } from "./host-fake-api.ts";

function control(
  socketPath: string,
  method: string,
  path: string,
  body?: unknown,
): Promise<{ status: number; said: unknown }> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, method, path, agent: false }, (response) => {
      let text = "";
      response.on("data", (chunk: Buffer) => (text += chunk.toString()));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, said: JSON.parse(text) }));
    });
    call.on("error", reject);
    call.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

/** Logs in to a guest through the host, as `ssh -J` does. */
function through(host: Client, address: string, port: number, privateKey: string): Promise<Client> {
  return new Promise((resolve, reject) => {
    host.forwardOut("127.0.0.1", 0, address, port, (error, sock) => {
      if (error !== undefined) return reject(error);
      const client = new ssh2.Client();
      client.on("ready", () => resolve(client));
      client.on("error", reject);
      client.connect({ sock, username: "hive", privateKey });
    });
  });
}

describe("the lab's controls and network", function () {
  this.timeout(120_000);
  let stateDir: string;
  let api: FakeProxmox;
  let lab: RunningLab;
  const key = generateKeyPair();

  const start = (): Promise<RunningLab> =>
    startLab(
      { stateDir, awsDelayMs: 0 },
      { startProxmox: () => Promise.resolve({ ...api, close: () => Promise.resolve() }) },
    );
  const info = async (): Promise<LabInfo> => (await findLab(stateDir)) ?? assert.fail("no lab");
  before(async function () {
    stateDir = join(mkdtempSync(join(tmpdir(), "lab-controls-")), "state");
    api = await startFakeProxmox(stateDir);
    const sshkeys = encodeURIComponent(key.publicKey);
    const config = { name: "vps", ostype: "l26", ciuser: "hive", sshkeys };
    api.guests.set("300", { status: "running", config });
    lab = await start();
    if (lab.host.limitation !== undefined) skip(this, lab.host.limitation);
    if (lab.info().network === undefined) skip(this, "no network of the lab's own could be had");
  });
  after(async () => {
    await lab?.close();
    await api?.close();
    rmSync(join(stateDir, ".."), { recursive: true, force: true });
  });

  it("forwards the host's SSH to a guest's, and nowhere else", async () => {
    const { guests, ssh } = await info();
    const address = guests[0]?.address ?? "";
    assert.match(address, /^127\.\d+\.1\.44$/, "300 is 1 times 256 and 44");
    const host = await login({ port: ssh.port, privateKey: readFileSync(ssh.privateKeyFile, "utf8") });
    const guest = await through(host, address, 22, key.privateKey);
    assert.equal((await exec(guest, "hostname")).stdout, "vps\n");
    guest.end();
    for (const [where, port] of [
      [address, 8943],
      ["127.0.0.1", ssh.port],
      ["192.0.2.1", 22],
    ] as const)
      await assert.rejects(through(host, where, port, key.privateKey), /open failure/i);
    host.end();
  });

  it("takes rules of the uplink, keeps them over a restart, and names what is wrong", async () => {
    const { controlSocket, network } = await info();
    const rules = { open: [{ machine: "vps", port: 8943 }], reach: [{ to: "outside", port: 8944 }] };
    assert.equal((await control(controlSocket, "PUT", "/uplink", rules)).status, 200);
    const open = async (): Promise<number[]> => (await info()).guests[0]?.open.map(({ port }) => port) ?? [];
    assert.deepEqual(
      await open(),
      [8943, network?.sshPort].sort((a, b) => (a ?? 0) - (b ?? 0)),
    );
    const before = await info();
    await lab.close();
    lab = await start();
    const after = await info();
    assert.deepEqual(
      [after.network, after.aws, after.guests[0]?.address],
      [before.network, before.aws, before.guests[0]?.address],
    );
    assert.deepEqual((await control(controlSocket, "GET", "/uplink")).said, rules);
    const wrong = await control(controlSocket, "PUT", "/uplink", {
      open: [{ port: 0 }],
      reach: [{ port: 1 }],
      more: 1,
    });
    assert.equal(wrong.status, 400);
    for (const word of ["open[0].port", "reach[0].to", "more"])
      assert.match(String(Object(wrong.said).message), new RegExp(word.replaceAll(/[[\].]/g, "\\$&")));
    assert.deepEqual((await control(controlSocket, "GET", "/uplink")).said, rules);
  });

  it("sets and clears faults of the uplink and of AWS", async () => {
    const { controlSocket } = await info();
    await control(controlSocket, "POST", "/uplink/faults", { kind: "refuse", machine: "vps", times: null });
    await control(controlSocket, "POST", "/aws/faults", { kind: "500", path: "DeleteInstance" });
    assert.deepEqual(lab.host.uplink.faults.list(), [{ kind: "refuse", machine: "vps", times: null }]);
    assert.equal(lab.aws.faults.list().length, 1);
    assert.equal((await control(controlSocket, "POST", "/aws/faults", { kind: "gremlin" })).status, 400);
    assert.equal((await control(controlSocket, "POST", "/uplink/faults", { kind: "gremlin" })).status, 400);
    assert.equal((await control(controlSocket, "POST", "/uplink/cut", {})).status, 200);
    for (const path of ["/uplink/faults", "/aws/faults"]) await control(controlSocket, "DELETE", path);
    assert.deepEqual([lab.host.uplink.faults.list(), lab.aws.faults.list()], [[], []]);
  });
});
