// The arbiter that cannot start, that is told of other places, and that leaves: nobody is left frozen.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { createServer as createHttpServer } from "node:http";
import type { Server as HttpServer } from "node:http";
import { createServer } from "node:net";
import type { Server } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { connectToArbiter } from "../../runtime-agent/src/keeper/link/hostLink.ts";
import { realClock } from "../../runtime-agent/src/shared/clock.ts";
import { ArbiterSite } from "../support/arbiterDaemon.ts";
import type { AgentProgram, Daemon } from "../support/arbiterDaemon.ts";
import { configureScene, night, openScene, programOrSkip } from "../support/arbiterScene.ts";
import type { Scene, SceneSettings } from "../support/arbiterScene.ts";

const env = { HIVE_LAB_CLOCK: night };

/** A port of the loopback that somebody else has. */
function occupy(): Promise<{ readonly port: number; readonly server: Server }> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      if (typeof address === "object" && address !== null) resolve({ port: address.port, server });
      else reject(new Error("no port"));
    });
  });
}

describe("arbiter daemon: a start that fails, a place that moves, a leave", () => {
  let program: AgentProgram;
  let scene: Scene;
  let site: ArbiterSite;
  const key = randomBytes(32);

  before(async function () {
    program = await programOrSkip(this);
  });
  after(() => program?.remove());
  beforeEach(async () => {
    scene = await openScene(1);
    site = await ArbiterSite.open(program);
    await writeFile(pskFile(), key.toString("hex"), { mode: 0o600 });
  });
  afterEach(() => site.close().finally(() => scene.close()));

  const pskFile = (): string => join(site.folder, "link.psk");
  const linkAt = (listen: string): SceneSettings => ({ arbiter: { link: { listen, pskFile: pskFile() } } });

  /** The Muse in a group of its own that nothing runs in yet. */
  function movedMuse(): SceneSettings {
    scene.groups.group("elsewhere");
    const place = (name: string) => ({ cgroup: `/${scene.groups.path}/${name}`, rungs: ["freeze", "term"] });
    const eva = { name: "eva", rank: 2, kind: "interactive", vram: "8 GB", leaseSec: 30, ...place("eva") };
    const muse = { name: "muse", rank: 4, kind: "batch", vram: "8 GB", ...place("elsewhere") };
    return { arbiter: { services: [eva, muse] } };
  }

  /** One that grants EVA the card while The Muse is frozen. */
  async function frozen(settings: SceneSettings = {}): Promise<Daemon> {
    await configureScene(site, scene, settings);
    const daemon = await site.start({ env });
    await daemon.until((now) => now.holder?.service === "muse", "the batch runs");
    await daemon.ask("eva");
    assert.ok(scene.frozen());
    return daemon;
  }

  it("grants while the link's address is not there, says so once, and is heard when it is", async () => {
    const { port, server } = await occupy();
    // Without the host's word a linked arbiter takes the market as open: only EVA is asked for here.
    await configureScene(site, scene, linkAt(`127.0.0.1:${String(port)}`));
    const daemon = await site.start({ env });
    assert.equal((await daemon.ask("eva")).state, "held");
    const { link } = await daemon.until((now) => now.link?.fault !== null, "the status says why");
    assert.equal(link?.listening, false);
    assert.match(link.fault ?? "", /EADDRINUSE/);
    await sleep(1_500);
    assert.equal(daemon.log.match(/the link cannot listen/g)?.length, 1);
    await new Promise((closed) => server.close(closed));
    await daemon.until((now) => now.link?.listening === true, "it listens");
    const host = connectToArbiter({
      connect: { host: "127.0.0.1", port },
      key,
      clock: realClock(),
      periodMs: 100,
      validMs: 2_000,
    });
    try {
      host.setConstraint({ marketOpen: true, handoff: false });
      await daemon.until((now) => now.constraint !== null, "the host is heard");
    } finally {
      host.close();
    }
    assert.equal(await daemon.stop(), 0);
  });

  it("lives with an address that no interface has, and ends at once when told to", async () => {
    // TEST-NET-1 (RFC 5737): nobody's.
    await configureScene(site, scene, linkAt("192.0.2.1:8741"));
    const daemon = await site.start({ env });
    await daemon.until((now) => /EADDRNOTAVAIL/.test(now.link?.fault ?? ""), "the status says why");
    assert.equal(await daemon.stop(), 0);
    assert.match(daemon.log, /nothing is held back/);
  });

  it("refuses a wrong key at a first start before it opens or touches anything", async () => {
    await writeFile(pskFile(), "0".repeat(64), { mode: 0o600 });
    await configureScene(site, scene, linkAt("127.0.0.1:0"));
    await scene.groups.group("muse").freeze(5_000);
    const daemon = await site.start({ env, answers: false });
    assert.notEqual(await daemon.ended, 0);
    assert.match(daemon.log, /link\.psk.*openssl rand/s);
    assert.ok(scene.frozen(), "somebody else's");
    assert.equal(existsSync(join(site.folder, "state", "journal")), false);
    await scene.groups.group("muse").thaw(5_000);
  });

  it("sets free what the last one held when the link's key is wrong, and then refuses to start", async () => {
    const daemon = await frozen();
    await daemon.stop("SIGKILL");
    assert.ok(scene.frozen());
    await configureScene(site, scene, linkAt("127.0.0.1:0"));
    await rm(pskFile());
    for (const turn of ["missing", "0".repeat(64)]) {
      if (turn !== "missing") await writeFile(pskFile(), turn, { mode: 0o600 });
      const next = await site.start({ env, answers: false });
      assert.notEqual(await next.ended, 0, turn);
      assert.match(next.log, /link\.psk/);
      assert.match(next.log, /nothing is held back/);
      // Nor is it held for a moment by each try of the service manager.
      assert.doesNotMatch(next.log, /held again at start/);
      assert.equal(scene.frozen(), false, turn);
    }
    await writeFile(pskFile(), key.toString("hex"), { mode: 0o600 });
    const mended = await site.start({ env });
    const { holder, services } = await mended.status();
    assert.deepEqual([holder?.service, services.find(({ name }) => name === "muse")?.phase], ["eva", "lowered"]);
    await mended.until(() => scene.frozen(), "it rests again, as the record says");
  });

  it("sets free what it held again when the start then fails", async () => {
    const daemon = await frozen();
    await daemon.stop("SIGKILL");
    // The API's socket cannot be made where a folder is in the way.
    await rm(join(site.folder, "run", "api.sock"), { force: true });
    await mkdir(join(site.folder, "run", "api.sock", "in the way"), { recursive: true });
    const next = await site.start({ env, answers: false });
    assert.notEqual(await next.ended, 0);
    assert.match(next.log, /api\.sock/);
    assert.equal(scene.frozen(), false, "nobody would set it free later");
  });

  it("refuses a reload that moves a service which it holds, and loses sight of nobody", async () => {
    const daemon = await frozen();
    await configureScene(site, scene, movedMuse());
    daemon.signal("SIGHUP");
    await daemon.until(() => /is refused|is in force/.test(daemon.log), "the log says so");
    assert.match(daemon.log, /refused.*arbiter\.services\[1\]\.cgroup.*elsewhere.*\/muse/);
    assert.equal(await daemon.stop(), 0);
    assert.equal(scene.frozen(), false);
  });

  describe("with an engine that is down at its start", () => {
    let engine: HttpServer;
    let down: boolean;
    const socket = (): string => join(site.folder, "engine.sock");

    beforeEach(async () => {
      down = true;
      engine = createHttpServer((request, response) => {
        if (down) return response.writeHead(500).end("{}");
        if (request.url === "/_ping") return response.setHeader("api-version", "1.41").end("OK");
        return response.writeHead(404).end(JSON.stringify({ message: "No such container: far" }));
      });
      await new Promise<void>((resolve) => engine.listen(socket(), resolve));
    });
    afterEach(() => void engine.close());

    /** A service in a container of this name. */
    function configure(name: string): Promise<void> {
      const container = { engine: "docker", name, socket: socket() };
      const far = { name: "far", rank: 2, kind: "interactive", vram: "8 GB", container };
      return configureScene(site, scene, { arbiter: { services: [far] } });
    }
    /** Its engine is asked every 10 s: these pass twenty times as fast. */
    const start = (): Promise<Daemon> => site.start({ env: { HIVE_LAB_CLOCK: night.replace(/,1$/, ",20") } });

    it("refuses a reload that moves a service which could not be compared, until it can be", async () => {
      await configure("far");
      const daemon = await start();
      const reload = async (): Promise<string> => {
        const before = daemon.log.length;
        const news = (): string => daemon.log.slice(before);
        daemon.signal("SIGHUP");
        await daemon.until(() => /is refused|is in force/.test(news()), "the log says so");
        return news();
      };
      await configure("near");
      assert.match(await reload(), /refused.*arbiter\.services\[0\]\.container.*far.*not known whether/);
      // Left out, it is not forgotten: under its old name it is still where it was.
      await configureScene(site, scene);
      assert.match(await reload(), /is in force/);
      await configure("near");
      assert.match(await reload(), /refused.*arbiter\.services\[0\]\.container/);
      down = false;
      const end = performance.now() + 30_000;
      for (let news = ""; !news.includes("is in force"); news = await reload())
        assert.ok(performance.now() < end, news);
      assert.equal(await daemon.stop(), 0);
    });

    it("goes on looking at the old place when a restart moves a service that could not be compared", async () => {
      await configure("far");
      await (await start()).stop("SIGKILL");
      await configure("near");
      const next = await start();
      assert.match(next.log, /cannot be compared with the record","service":"far at container far"/);
    });
  });

  it("sets the old place free at a start whose configuration moved a service that was held", async () => {
    const daemon = await frozen();
    await daemon.stop("SIGKILL");
    assert.ok(scene.frozen());
    await configureScene(site, scene, movedMuse());
    const next = await site.start({ env });
    await next.until(() => !scene.frozen(), "the old place is free");
    assert.equal((await next.status()).services.find(({ name }) => name === "muse")?.phase, "idle");
    await next.until((now) => now.holder?.service === "eva", "the others keep what they have");
  });

  it("says which services could not be set free when it leaves", async () => {
    const place = (name: string) => ({ cgroup: `/${scene.groups.path}/${name}`, rungs: ["freeze", "term"] });
    const socket = join(site.folder, "engine.sock");
    const engine = createHttpServer((_request, response) => response.writeHead(500).end("{}"));
    await new Promise<void>((resolve) => engine.listen(socket, resolve));
    const container = { engine: "docker", name: "far", socket };
    await configureScene(site, scene, {
      arbiter: {
        services: [
          { name: "muse", rank: 4, kind: "batch", vram: "8 GB", ...place("muse") },
          { name: "far", rank: 2, kind: "interactive", vram: "8 GB", container },
        ],
      },
    });
    const daemon = await site.start({ env });
    assert.equal(await daemon.stop(), 0);
    engine.close();
    assert.doesNotMatch(daemon.log, /nothing is held back/);
    assert.match(daemon.log, /could not be set free.*"far"/);
  });
});
