// The gentlest rung through the daemon: a server of Ollama's API gives its model's memory up when it is asked, and the
// newcomer is let in when the driver shows the room, not when the server says so.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { Server } from "node:http";
import { ArbiterSite } from "../support/arbiterDaemon.ts";
import type { AgentProgram, Daemon } from "../support/arbiterDaemon.ts";
import { night, openScene, programOrSkip } from "../support/arbiterScene.ts";
import type { Scene } from "../support/arbiterScene.ts";
import { brokenChains } from "../support/burner.ts";
import { fakeCard } from "../support/fakeGpu.ts";
import type { FakeCard } from "../support/fakeGpu.ts";

const model = "llama3";
const modelMiB = 12_000;

describe("arbiter daemon: the application's own API", () => {
  let program: AgentProgram;
  let card: FakeCard;
  let scene: Scene;
  let site: ArbiterSite;
  let server: Server;
  /** Calls that change something, and what the card held at the end of each. */
  let posts: string[];
  let loaded: boolean;
  let refuses: boolean;
  /** Between the server's word that a model is unloaded and the driver's, ms. */
  const lagMs = 400;

  before(async function () {
    card = await fakeCard(this);
    program = await programOrSkip(this);
  });
  after(async () => {
    await card?.remove();
    await program?.remove();
  });
  beforeEach(async () => {
    await card.gpu.reset();
    scene = await openScene();
    site = await ArbiterSite.open(program);
    [posts, loaded, refuses] = [[], true, false];
  });
  afterEach(async () => {
    server.close();
    server.closeAllConnections();
    await site.close().finally(() => scene.close());
  });

  /** Memory of the batch on the card, as the driver says. */
  const holds = (vramMiB: number): Promise<unknown> => {
    const [pid = 0] = scene.groups.group("muse").pids();
    return card.gpu.set({ processes: vramMiB === 0 ? [] : [{ pid, vramMiB }] });
  };

  async function ollama(): Promise<string> {
    server = createServer((request, response) => {
      let text = "";
      request.setEncoding("utf8").on("data", (part: string) => (text += part));
      request.on("end", () => {
        if (request.url === "/api/ps") {
          const models = loaded ? [{ name: `${model}:latest`, size_vram: modelMiB * 1024 * 1024 }] : [];
          response.end(JSON.stringify({ models }));
          return;
        }
        posts.push(text);
        if (refuses) {
          response.writeHead(500).end("out of order");
          return;
        }
        loaded = !text.includes('"keep_alive":0');
        setTimeout(() => void holds(loaded ? modelMiB : 0), loaded ? 0 : lagMs);
        response.end("{}");
      });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    assert.ok(address !== null && typeof address === "object");
    return `http://127.0.0.1:${String(address.port)}`;
  }

  /** EVA's 16 GB do not fit beside the 12 of The Muse, which runs when this returns. */
  async function start(): Promise<Daemon> {
    const application = { type: "ollama", url: await ollama(), model };
    const place = (name: string) => ({ cgroup: `/${scene.groups.path}/${name}` });
    await site.configure({
      services: [
        { name: "eva", rank: 2, kind: "interactive", vram: "16 GB", ...place("eva"), rungs: ["freeze", "term"] },
        {
          ...{ name: "muse", rank: 4, kind: "batch", vram: "12 GB", ...place("muse") },
          ...{ rungs: ["application", "freeze", "term"], application },
        },
      ],
      gpu: { library: card.nvml, sampleSec: 0.1, deadlineMs: 500 },
      muse: { loadBelow: 1000, loadAbove: 1024, holdSec: 0 },
    });
    const daemon = await site.start({ env: { HIVE_LAB_CLOCK: night } });
    await daemon.until((now) => now.holder?.service === "muse", "the batch runs");
    await holds(modelMiB);
    await daemon.until(({ gpu }) => (gpu.vramUsedMiB ?? 0) > modelMiB, "the driver shows the model");
    return daemon;
  }

  it("moves the model out for a person, freezes the batch, and loads the model again afterwards", async () => {
    const daemon = await start();
    const lease = await daemon.ask("eva");
    assert.deepEqual([lease.status, lease.state], [200, "held"]);
    assert.deepEqual(posts, [JSON.stringify({ model: `${model}:latest`, keep_alive: 0, stream: false })]);
    const { gpu, services } = await daemon.status();
    assert.ok((gpu.vramUsedMiB ?? modelMiB) < modelMiB, "granted once the driver showed the room");
    assert.deepEqual(services.find(({ name }) => name === "muse")?.lowered, ["application", "freeze"]);
    assert.ok(scene.frozen());
    const { text } = await daemon.call("GET", "/decisions?since=0");
    assert.match(text, /"what":"plan","service":"eva","estimateMs":[1-9]\d*/);
    await daemon.release(lease.lease);
    await daemon.until((now) => now.holder?.service === "muse", "the batch goes on");
    assert.equal(scene.frozen(), false);
    assert.deepEqual(posts.slice(1), [JSON.stringify({ model, stream: false })]);
    assert.deepEqual(brokenChains(scene.burner.progress()), []);
  });

  it("ends the batch by TERM when its server refuses, and the person gets the card", async () => {
    const daemon = await start();
    refuses = true;
    // Gone with its process, as the driver does it.
    const [pid = 0] = scene.groups.group("muse").pids();
    await card.gpu.set({ processes: [{ pid, vramMiB: modelMiB, endsWithPid: true }] });
    const lease = await daemon.ask("eva");
    assert.equal(lease.state, "held");
    const { text } = await daemon.call("GET", "/decisions?since=0");
    assert.match(
      text,
      /"what":"rung-failed","service":"muse","reason":"application: ollama: POST \/api\/generate answered HTTP 500/,
    );
    assert.match(text, /"what":"lower","service":"muse","reason":"term: /);
    assert.deepEqual(scene.groups.group("muse").pids(), []);
  });
});
