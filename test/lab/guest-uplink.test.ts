import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import type { Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Machine } from "../../lab/host/machine.ts";
import { openNetwork } from "../../lab/host/network.ts";
import { Ports } from "../../lab/host/ports.ts";
import { skip } from "../run/skip.ts";
import { eventually, openScene } from "./machine-scene.ts";
import type { Scene } from "./machine-scene.ts";

/** What a server that sends and closes says; "" when the connection is refused or broken off. */
function said(host: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, host);
    let text = "";
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => (text += chunk));
    socket.on("error", () => resolve(""));
    socket.on("close", () => resolve(text));
  });
}

const serverScript = `import net from "node:net";
net.createServer((s) => { s.on("error", () => {}); s.end("hello from " + process.argv[2] + "\\n"); })
  .listen(Number(process.argv[3]), process.argv[4] ?? "0.0.0.0");`;
const clientScript = `import net from "node:net";
const s = net.connect(Number(process.argv[3]), process.argv[2]);
s.on("error", (e) => { process.stdout.write(e.code + "\\n"); });
s.on("close", () => process.stdout.write("closed\\n"));
s.pipe(process.stdout);`;

describe("the uplink of the lab's machines", function () {
  this.timeout(120_000);
  let scene: Scene;
  let sentinel: Machine;
  let runner: Machine;
  let outside: Server;

  before(async function () {
    scene = await openScene();
    if (scene.limitation !== undefined) skip(this, scene.limitation);
    if (scene.network === undefined) skip(this, "no network of the lab's own could be had");
    sentinel = await scene.boot("sentinel", 20);
    runner = await scene.boot("runner", 21);
    for (const machine of [sentinel, runner]) {
      scene.file(machine, "/opt/serve.mjs", serverScript);
      scene.file(machine, "/opt/call.mjs", clientScript);
      const unit = (port: number, host: string): string =>
        `[Service]\nExecStart=/.lab/node /opt/serve.mjs ${machine.name} ${port} ${host}\n[Install]\nWantedBy=multi-user.target\n`;
      scene.file(machine, "/etc/systemd/system/serve.service", unit(machine === runner ? 8943 : 8944, "0.0.0.0"));
      scene.file(machine, "/etc/systemd/system/inner.service", unit(8950, "127.0.0.1"));
      const { stderr } = await scene.shell(machine, "systemctl enable --now serve inner");
      assert.doesNotMatch(stderr, /failed/i);
    }
    outside = createServer((socket) => {
      socket.on("error", () => undefined);
      socket.end("hello from outside\n");
    }).listen(0, scene.network?.outside);
    await once(outside, "listening");
  });
  after(async () => {
    outside?.close();
    await scene?.close();
  });
  afterEach(async () => {
    scene.uplink.faults.clear();
    await scene.uplink.set({ open: [], reach: [] });
  });

  const addressOf = (number: number): string => scene.network?.guestAddress(number) ?? "";
  const outsidePort = (): number => {
    const address = outside.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  };
  const call = async (machine: Machine, address: string, port: number): Promise<string> =>
    (await scene.shell(machine, `/.lab/node /opt/call.mjs ${address} ${port}`)).stdout;

  it("opens a machine's port at its address, and closes it again", async () => {
    assert.equal(await said(addressOf(21), 8943), "");
    await scene.uplink.set({ open: [{ machine: "runner", port: 8943 }, { port: 8950 }], reach: [] });
    assert.deepEqual(
      scene.uplink.openOf("runner").map(({ port }) => port),
      [8943, 8950, scene.network?.sshPort].sort((a, b) => (a ?? 0) - (b ?? 0)),
    );
    await eventually(
      () => said(addressOf(21), 8943),
      (text) => text === "hello from runner\n",
    );
    assert.equal(await said(addressOf(20), 8943), "", "the other machine's is not open");
    assert.equal(await said(addressOf(21), 8950), "", "what listens on 127.0.0.1 alone is nobody else's");
    await scene.uplink.set({ open: [], reach: [] });
    assert.equal(await said(addressOf(21), 8943), "");
  });

  it("lets a machine reach what it was asked for, by either of the other's addresses, and nothing else", async () => {
    await scene.uplink.set({
      open: [],
      reach: [
        { from: "runner", to: "sentinel", port: 8944 },
        { from: "runner", to: "outside", port: outsidePort() },
      ],
    });
    const reached = await eventually(
      () => call(runner, addressOf(20), 8944),
      (text) => text.startsWith("hello"),
    );
    assert.equal(reached, "hello from sentinel\nclosed\n");
    const own = await eventually(
      () => call(runner, "10.9.0.20", 8944),
      // Without iproute2 a machine has only its address of the lab's network.
      (text) => text.startsWith("hello") || text.startsWith("ENETUNREACH"),
    );
    assert.match(own, /hello from sentinel|ENETUNREACH/);
    assert.equal(await call(runner, scene.network?.outside ?? "", outsidePort()), "hello from outside\nclosed\n");
    assert.equal(await call(sentinel, addressOf(21), 8943), "ECONNREFUSED\nclosed\n", "not asked for");
    assert.equal(await call(runner, addressOf(20), 8950), "ECONNREFUSED\nclosed\n", "another port");
  });

  it("refuses, cuts and stalls connections on demand", async () => {
    await scene.uplink.set({ open: [{ port: 8943 }, { port: 8944 }], reach: [] });
    await eventually(
      () => said(addressOf(21), 8943),
      (text) => text !== "",
    );
    scene.uplink.faults.add({ kind: "refuse", machine: "runner" });
    assert.equal(await said(addressOf(21), 8943), "");
    assert.equal(await said(addressOf(21), 8943), "hello from runner\n", "once");
    scene.uplink.faults.add({ kind: "cut", port: 8944, afterBytes: 0 });
    assert.equal(await said(addressOf(20), 8944), "");
    scene.uplink.faults.add({ kind: "delay", delayMs: 50 });
    assert.equal(await said(addressOf(20), 8944), "hello from sentinel\n");
    scene.uplink.faults.add({ kind: "stall" });
    const stalled = said(addressOf(20), 8944);
    const first = await Promise.race([
      stalled,
      eventually(
        () => scene.uplink.faults.list().length,
        (n) => n === 0,
      ),
    ]);
    assert.equal(first, 0, "taken, and silent");
    const told = setInterval(() => scene.uplink.cut("sentinel"), 50);
    assert.equal(await stalled, "");
    clearInterval(told);
  });

  it("comes back with the machine, whose services a connection finds after the reboot", async () => {
    await scene.uplink.set({ open: [{ machine: "runner", port: 8943 }], reach: [] });
    await runner.close();
    assert.equal(await said(addressOf(21), 8943), "");
    runner = await scene.boot("runner", 21);
    await eventually(
      () => said(addressOf(21), 8943),
      (text) => text === "hello from runner\n",
    );
  });

  it("gives each lab a network of its own", async () => {
    const otherFolder = mkdtempSync(join(tmpdir(), "lab-network-"));
    const other = await openNetwork(new Ports(otherFolder));
    assert.notEqual(other?.cidr, scene.network?.cidr);
    await other?.close();
    rmSync(otherFolder, { recursive: true });
  });
});
