import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { createSocket } from "node:dgram";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RunningProxmox } from "../../lab/proxmox/index.ts";
import type { ArbiterLink } from "../../runtime-agent/src/keeper/link/arbiterLink.ts";
import { listenForHost } from "../../runtime-agent/src/keeper/link/arbiterLink.ts";
import { realClock } from "../../runtime-agent/src/shared/clock.ts";
import { callLocalApi } from "../../runtime-agent/src/shared/localApi/index.ts";
import { lab, type LabClient, record } from "../support/lab-client.ts";

const VM = "/nodes/pve/qemu";
const gpu = "mapping=gpu,pcie=1";
const key = "0123456789abcdef".repeat(4);

describe("Keeper, host side: the daemon against the lab", () => {
  let pve: RunningProxmox;
  let root: LabClient;
  let folder: string;
  let arbiter: ArbiterLink;
  let child: ChildProcess | undefined;
  let takenBack: string[];
  let asked: number;
  let answering: boolean;
  let output: string;
  let beats: number;
  let goodbyes: number;
  let config: Readonly<Record<string, unknown>> & { readonly host: object };
  const esp = createSocket("udp4");

  before(async function () {
    this.timeout(60_000);
    folder = await mkdtemp(join(tmpdir(), "hive-host-"));
    ({ pve, client: root } = await lab({ bootDelayMs: 5 }));
    const pci: unknown = (await root.call("GET", "/nodes/pve/hardware/pci", {}, { root: true })).data;
    const card = Array.isArray(pci) ? pci.find((device: { vendor?: string }) => device.vendor === "0x10de") : undefined;
    const map = `node=pve,path=${String(card.id)},id=10de:${String(card.device).slice(2)},iommugroup=${String(card.iommugroup)}`;
    await root.run("POST", "/cluster/mapping/pci", { id: "gpu", map }, { root: true });
    for (const [vmid, extra] of [
      [100, { hostpci0: gpu }],
      [102, {}],
    ] as const) {
      const cloudinit = "file=local-zfs:cloudinit,media=cdrom";
      await root.run("POST", VM, { vmid, memory: 2048, agent: "1", ide2: cloudinit, ...extra }, { root: true });
    }
    await root.run("POST", `${VM}/100/status/start`, {}, { root: true });
    asked = 0;
    takenBack = [];
    answering = true;
    output = "";
    beats = 0;
    goodbyes = 0;
    arbiter = await listenForHost({
      listen: { host: "127.0.0.1", port: 0 },
      key: Buffer.from(key, "hex"),
      clock: realClock(),
      onHandoffRequest({ id }) {
        asked += 1;
        if (answering) arbiter.released(id, 41 + asked, 600_000);
      },
      onTakeBack(id) {
        takenBack.push(id);
        arbiter.takenBack(id);
      },
    });
    esp.on("message", (line) => {
      if (line.toString().startsWith("hive1 rest ")) goodbyes += 1;
      else beats += 1;
    });
    await new Promise<void>((resolve) => esp.bind(0, "127.0.0.1", resolve));
    await writeFile(join(folder, "psk"), key, { mode: 0o600 });
    await writeFile(join(folder, "temperature"), "24500\n");
    const certificate = new X509Certificate(await readFile(pve.caCertFile));
    config = {
      version: 1,
      side: "host",
      paths: { state: join(folder, "state"), runtime: join(folder, "run"), log: join(folder, "log") },
      market: { days: [] },
      host: {
        proxmox: { url: pve.url, tokenFile: pve.tokenFile, fingerprint: certificate.fingerprint256, node: "pve" },
        guests: [
          { vmid: 100, role: "ai", priority: 2, essential: true, gpuContender: true },
          { vmid: 102, role: "district", priority: 6, gpuContender: true },
        ],
        link: { connect: `127.0.0.1:${String(arbiter.port)}`, pskFile: join(folder, "psk") },
        watchdog: {
          type: "udp",
          address: `127.0.0.1:${String(esp.address().port)}`,
          periodSec: 1,
          keyFile: join(folder, "psk"),
        },
        room: { sensor: join(folder, "temperature") },
        handoff: { enabled: true },
        memoryPressure: { availableBelow: "64 MiB", availableAbove: "128 MiB" },
        observeSec: 1,
      },
    };
    await writeConfig(config);
  });
  after(async () => {
    child?.kill("SIGKILL");
    esp.close();
    await arbiter.close();
    await pve.close();
    await rm(folder, { recursive: true });
  });

  /** As root writes it: JSON is YAML too. */
  const writeConfig = (content: object): Promise<void> =>
    writeFile(join(folder, "config.json"), JSON.stringify(content), { mode: 0o600 });
  const start = (failpoints = ""): ChildProcess => {
    const script = join(import.meta.dirname, "hostChild.ts");
    const env = { ...process.env, HIVE_FAILPOINTS: failpoints };
    const started = spawn(process.execPath, [script, join(folder, "config.json")], {
      env,
      stdio: ["ignore", "ignore", "pipe"],
    });
    started.stderr?.on("data", (chunk: Buffer) => (output += chunk.toString()));
    child = started;
    return started;
  };
  const ended = (process: ChildProcess): Promise<string> =>
    new Promise((resolve) => process.once("exit", (code, signal) => resolve(signal ?? String(code))));
  const text = async (path: string): Promise<string> => {
    const token = (await readFile(join(folder, "run/api.token"), "utf8")).trim();
    return (await callLocalApi({ socket: join(folder, "run/api.sock"), token, path })).text;
  };
  const call = async (method: "GET" | "PUT" | "POST", path: string, body?: object) => {
    const token = (await readFile(join(folder, "run/api.token"), "utf8")).trim();
    const answer = await callLocalApi({ socket: join(folder, "run/api.sock"), token, method, path, body });
    return { status: answer.status, data: record(JSON.parse(answer.text.startsWith("[") ? "{}" : answer.text)) };
  };
  async function until(holds: () => Promise<boolean> | boolean, what: string): Promise<void> {
    for (let n = 0; n < 600; n += 1) {
      if (await Promise.resolve(holds()).catch(() => false)) return;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    assert.fail(`never: ${what}\n${output.slice(-4000)}`);
  }
  const up = async (): Promise<boolean> => {
    const { data } = await call("GET", "/status");
    return data["arbiter"] === "heard" && data["proxmox"] === "up";
  };
  const devices = async (vmid: number): Promise<unknown> =>
    record((await root.call("GET", `${VM}/${String(vmid)}/config`, {}, { root: true })).data)["hostpci0"];
  const running = async (vmid: number): Promise<unknown> =>
    record((await root.call("GET", `${VM}/${String(vmid)}/status/current`, {}, { root: true })).data)["status"];
  const isDone = async (id: string): Promise<boolean> => {
    const plan = record((await call("GET", "/status")).data["handoff"]);
    return plan["id"] === id && plan["step"] === "done";
  };

  it("comes up, tells the arbiter its constraint, feeds the ESP32, and a second one refuses", async function () {
    this.timeout(30_000);
    start();
    await until(up, "up");
    const health = await call("GET", "/health");
    assert.deepEqual(
      [health.status, health.data["healthy"], typeof health.data["loopAgeMs"], health.data["unhealthy"]],
      [200, true, "number", []],
    );
    await until(() => arbiter.constraint()?.marketOpen === false, "a constraint");
    await until(() => beats >= 2, "heartbeats");
    await until(() => arbiter.constraint()?.roomC === 24.5, "the heat of the room");
    assert.deepEqual((await call("GET", "/status")).data["room"], { celsius: 24.5 });
    const metrics = await text("/metrics");
    assert.match(metrics, /^hive_host_proxmox_up\{.*\} 1$/m);
    assert.match(metrics, /^hive_host_cpu_percent\{.*\} [\d.]+$/m);
    assert.match(metrics, /^hive_host_room_celsius\{.*\} 24\.5$/m);
    await writeFile(join(folder, "temperature"), "85000\n");
    await until(() => arbiter.constraint()?.roomC === undefined, "no heat of the room");
    assert.match(JSON.stringify((await call("GET", "/status")).data["room"]), /^\{"fault":"no temperature/);
    assert.doesNotMatch(await text("/metrics"), /^hive_host_room_celsius/m);
    const first = child;
    const second = start();
    assert.notEqual(await ended(second), "0");
    assert.match(output, /another agent runs/);
    child = first;
    first?.kill("SIGTERM");
    assert.equal(await ended(first ?? second), "0");
    await until(() => goodbyes === 3, "goodbyes");
  });

  it("takes a changed configuration over on SIGHUP, and refuses a wrong one with every fault, keeping the running one", async function () {
    this.timeout(30_000);
    const day = { open: "00:00", close: "24:00", days: ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"] };
    const guests = [{ vmid: 100, role: "ai", priority: 1 }];
    const open = { ...config, market: day, host: { ...config.host, guests, handoff: { enabled: false } } };
    const daemon = start();
    await until(up, "up");
    const wrong = { ...open, market: { open: "25:00" }, host: { ...open.host, observeSecs: 1 } };
    await writeConfig(wrong);
    daemon.kill("SIGHUP");
    await until(() => output.includes("the running one kept"), "a refusal");
    for (const property of ["market.open", "host.observeSecs"]) assert.ok(output.includes(property), property);
    assert.equal((await call("GET", "/status")).data["marketOpen"], false);
    assert.equal((await call("PUT", "/guests/102", { state: "none" })).status, 202);
    await writeConfig({
      ...open,
      host: { ...open.host, link: { connect: "127.0.0.1:9", pskFile: join(folder, "psk") } },
    });
    daemon.kill("SIGHUP");
    await until(() => output.includes("host.link is changed"), "a refusal of what cannot change");
    await writeConfig(open);
    daemon.kill("SIGHUP");
    await until(() => arbiter.constraint()?.marketOpen === true, "an open market at the arbiter");
    assert.equal((await call("GET", "/status")).data["marketOpen"], true);
    assert.equal((await call("PUT", "/guests/102", { state: "none" })).status, 404);
    await writeConfig(config);
    daemon.kill("SIGTERM");
    assert.equal(await ended(daemon), "0");
  });

  it("gives a release back that it will not act on, though it is killed before it can say so", async function () {
    this.timeout(30_000);
    const daemon = start("host.before-take-back=kill:1");
    await until(up, "up");
    answering = false;
    await call("POST", "/handoff", { id: "undone", to: 102 });
    await until(() => asked > 0, "the request");
    const day = { open: "00:00", close: "24:00", days: ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"] };
    await writeConfig({ ...config, market: day });
    daemon.kill("SIGHUP");
    assert.equal(await ended(daemon), "SIGKILL");
    assert.deepEqual(takenBack, []);
    await writeConfig(config);
    const next = start();
    await until(() => takenBack.includes("undone"), "the word");
    await until(async () => JSON.stringify((await call("GET", "/status")).data["abandoned"]) === "[]", "its answer");
    assert.equal(record((await call("GET", "/status")).data["handoff"])["step"], "undone");
    assert.equal(await running(100), "running");
    // Confirmed, it is said no more, by the next process either.
    next.kill("SIGKILL");
    await ended(next);
    takenBack = [];
    start();
    await until(up, "up");
    assert.deepEqual(takenBack, []);
    child?.kill("SIGTERM");
    if (child !== undefined) await ended(child);
    answering = true;
    asked = 0;
  });

  it("hands the GPU over although it is killed on the way, and the arbiter is asked for every attempt", async function () {
    this.timeout(60_000);
    const kills = ["host.before-act=kill:1", "host.after-act=kill:2"];
    const first = start(kills[0]);
    await until(up, "up");
    await call("POST", "/handoff", { id: "night", to: 102 });
    assert.equal(await ended(first), "SIGKILL");
    for (const failpoints of kills.slice(1)) assert.equal(await ended(start(failpoints)), "SIGKILL");
    start();
    await until(() => isDone("night"), "done");
    assert.deepEqual([await devices(100), await devices(102)], [undefined, gpu]);
    assert.deepEqual([await running(100), await running(102)], ["stopped", "running"]);
    const told = (await call("GET", "/decisions?since=0")).data;
    const list = told["decisions"];
    assert.ok(Array.isArray(list) && list.length > 0);
    const last = record(list.at(-1));
    assert.equal(last["number"], told["next"]);
    assert.match(String(last["time"]), /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
    assert.deepEqual((await call("GET", `/decisions?since=${String(told["next"])}`)).data, { ...told, decisions: [] });
    assert.equal((await call("GET", "/decisions?since=x")).status, 400);
    // The word given to a process that was killed is no word for the next one.
    assert.ok(asked >= 2, String(asked));
  });

  it("takes no GPU from an arbiter that does not answer", async function () {
    this.timeout(30_000);
    // Back to the VM with the arbiter: nobody needs to be asked for that.
    await call("POST", "/handoff", { id: "morning", to: 100 });
    await until(() => isDone("morning"), "back");
    assert.deepEqual([await devices(100), await running(100)], [gpu, "running"]);
    await arbiter.close();
    await until(async () => (await call("GET", "/status")).data["arbiter"] === "silent", "silence");
    await call("POST", "/handoff", { id: "again", to: 102 });
    await until(() => output.includes("cannot be heard"), "the refusal");
    assert.deepEqual([await devices(100), await running(100)], [gpu, "running"]);
    assert.equal((await call("PUT", "/guests/999", { state: "running" })).status, 404);
    assert.equal((await call("PUT", "/guests/102", { state: "flying" })).status, 400);
    child?.kill("SIGTERM");
    // No secret reached the log.
    assert.ok(!output.includes(key) && !output.includes((await readFile(pve.tokenFile, "utf8")).trim()));
  });
});
