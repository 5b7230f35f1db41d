import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Cgroup } from "../../runtime-agent/src/keeper/processes/cgroup/cgroup.ts";
import { ContainerEngine } from "../../runtime-agent/src/keeper/processes/containers/engine.ts";
import { ContainerProcess } from "../../runtime-agent/src/keeper/processes/service/containerProcess.ts";
import { openServiceProcess } from "../../runtime-agent/src/keeper/processes/service/open.ts";
import { skip } from "../run/skip.ts";
import { burnerMissing, startBurner } from "../support/burner.ts";
import { openTestCgroups } from "../support/cgroup.ts";

type Kind = "docker" | "libpod";

interface FakeContainer {
  status: "running" | "paused" | "exited";
  pid: number;
}

/** Answers as Docker 20.10 and Podman 4.3 do to the requests that are made here: routes, statuses and error bodies. */
class FakeEngine {
  readonly muse: FakeContainer = { status: "running", pid: 0 };
  readonly containers = new Map([["muse", this.muse]]);
  readonly requests: string[] = [];
  /** Whether it is another engine's successor at the same socket, which knows none of the old one's routes. */
  unknownRoutes = false;
  readonly socketPath: string;
  readonly #folder = mkdtempSync(join(tmpdir(), "hive-engine-"));
  readonly #server: Server;

  private constructor(kind: Kind) {
    this.socketPath = join(this.#folder, "engine.sock");
    const prefix = kind === "docker" ? "/v1.41" : "/v4.3.0/libpod";
    this.#server = createServer((request, response) => {
      const url = new URL(request.url ?? "", "http://engine");
      this.requests.push(`${request.method ?? ""} ${url.pathname}${url.search}`);
      const end = (status: number, body?: unknown): void => {
        response.writeHead(status).end(body === undefined ? undefined : JSON.stringify(body));
      };
      const refuse = (status: number, message: string): void =>
        end(status, kind === "docker" ? { message } : { cause: "state", message, response: status });
      if (url.pathname === "/_ping") {
        response.setHeader("api-version", "1.41");
        if (kind === "libpod") response.setHeader("libpod-api-version", "4.3.1");
        return response.end("OK");
      }
      if (this.unknownRoutes) return refuse(404, "page not found");
      const path = url.pathname.startsWith(prefix) ? url.pathname.slice(prefix.length) : "";
      if (path === "/containers/json") return end(200, this.#list(kind));
      const [, name = "", verb] = /^\/containers\/([^/]+)\/([a-z]+)$/.exec(path) ?? [];
      const one = this.containers.get(name);
      if (one === undefined) return refuse(404, `No such container: ${name}`);
      const running = one.status !== "exited";
      switch (verb) {
        case "json": {
          // Podman's Running is false while paused.
          const says = kind === "docker" ? running : one.status === "running";
          const state = { Running: says, Paused: one.status === "paused", Pid: running ? one.pid : 0 };
          return end(200, { Id: "f".repeat(64), Name: kind === "docker" ? `/${name}` : name, State: state });
        }
        case "start":
          if (running) return end(304);
          one.status = "running";
          return end(204);
        case "stop":
          if (!running) return end(304);
          one.status = "exited";
          return end(204);
        case "pause":
          if (one.status !== "running")
            return refuse(kind === "docker" ? 409 : 500, `can only pause running: ${one.status}`);
          one.status = "paused";
          return end(204);
        case "unpause":
          if (one.status !== "paused") return refuse(500, `Container ${name} is not paused`);
          one.status = "running";
          return end(204);
        case "kill":
          if (one.status === "paused") return refuse(409, "can only kill running containers");
          if (!running) return refuse(409, `Container ${name} is not running`);
          // The answer comes before the process has ended.
          setTimeout(() => (one.status = "exited"), 60);
          return end(204);
        default:
          return refuse(404, "page not found");
      }
    });
  }

  #list(kind: Kind): unknown {
    return [...this.containers].map(([name, { status }]) => ({
      Id: "f".repeat(64),
      Names: [kind === "docker" ? `/${name}` : name],
      State: status,
    }));
  }

  static async open(kind: Kind): Promise<FakeEngine> {
    const fake = new FakeEngine(kind);
    fake.#server.listen(fake.socketPath);
    await once(fake.#server, "listening");
    return fake;
  }

  /** May have died before. */
  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** An engine whose container is busy processes of this machine, in a cgroup of their own; or the test skipped. */
async function withBurner(
  context: Mocha.Context,
  processes: number,
  work: (fake: FakeEngine, group: Cgroup) => Promise<void>,
): Promise<void> {
  const groups = openTestCgroups();
  if ("missing" in groups) return skip(context, groups.missing);
  const missing = burnerMissing();
  if (missing !== undefined) skip(context, missing);
  const group = groups.group("container");
  const burner = await startBurner(processes, { cgroup: group.folder });
  const fake = await FakeEngine.open("docker");
  try {
    fake.muse.pid = burner.root;
    await work(fake, group);
  } finally {
    await burner.end();
    fake.close();
    await groups.remove();
  }
}

for (const kind of ["docker", "libpod"] as const)
  describe(`containers over the ${kind} API`, () => {
    let fake: FakeEngine;
    let engine: ContainerEngine;
    beforeEach(async () => {
      fake = await FakeEngine.open(kind);
      engine = await ContainerEngine.connect(fake.socketPath);
    });
    afterEach(() => fake.close());

    it("lists, inspects and moves a container, and takes what is so already for done", async () => {
      assert.equal(engine.flavour.kind, kind);
      assert.deepEqual(await engine.list(), [{ id: "f".repeat(64), names: ["muse"], state: "running" }]);
      for (const turn of [1, 2]) {
        await engine.pause("muse");
        assert.equal((await engine.inspect("muse")).paused, true, `pause ${String(turn)}`);
      }
      for (const turn of [1, 2]) {
        await engine.unpause("muse");
        assert.equal((await engine.inspect("muse")).paused, false, `unpause ${String(turn)}`);
      }
      for (const move of ["kill", "kill", "start", "start"] as const) await engine[move]("muse");
      for (const turn of [1, 2]) {
        await engine.stop("muse", 3);
        assert.equal((await engine.inspect("muse")).running, false, `stop ${String(turn)}`);
      }
      assert.ok(fake.requests.some((line) => line.endsWith(kind === "docker" ? "/stop?t=3" : "/stop?timeout=3")));
      assert.ok(fake.requests.some((line) => line.endsWith("/kill?signal=SIGKILL")));
    });

    it("hands on the engine's own words, and knows what is not there", async () => {
      fake.muse.status = "exited";
      await assert.rejects(engine.pause("muse"), { fault: "failed", message: /can only pause running: exited/ });
      await assert.rejects(engine.inspect("eva"), { fault: "absent", message: /No such container: eva/ });
      assert.equal(await new ContainerProcess("eva", () => Promise.resolve(engine)).state(), "absent");
    });

    it("lets nothing but a name into the path", async () => {
      for (const name of ["", "..", "a/b", "a?b", "a%2fb", "-x", "a\n", "x".repeat(129)])
        await assert.rejects(engine.inspect(name), { name: "FaultsError" }, JSON.stringify(name));
    });
  });

describe("containers as services", () => {
  it("does not take an engine that cannot be asked for a container that is not there", async () => {
    const fake = await FakeEngine.open("docker");
    const kept = await ContainerEngine.connect(fake.socketPath);
    const afresh = (): Promise<ContainerEngine> => ContainerEngine.connect(fake.socketPath);
    const services = [
      new ContainerProcess("muse", () => Promise.resolve(kept)),
      new ContainerProcess("muse", afresh),
      openServiceProcess({ container: "muse" }, { engineSocket: fake.socketPath }),
    ];
    fake.muse.status = "paused";
    for (const service of services) assert.equal(await service.state(), "frozen");
    fake.close();
    for (const service of services) {
      await assert.rejects(service.state(), { name: "ProcessError", fault: "unreachable" });
      await assert.rejects(service.pids(), { fault: "unreachable" });
      for (const rung of ["thaw", "cont", "term", "kill"] as const)
        await assert.rejects(service[rung](100), { fault: "unreachable" }, rung);
    }
    await assert.rejects(ContainerEngine.connect("/nonexistent/engine.sock"), { fault: "unreachable" });
  });

  it("does not take an engine that answers nothing, or refuses, for one without the container", async () => {
    const folder = mkdtempSync(join(tmpdir(), "hive-engine-"));
    const socketPath = join(folder, "engine.sock");
    // A listener that has died leaves its socket's file: connecting is refused.
    const dies = `require("net").createServer().listen(process.argv[1], () => process.kill(process.pid, "SIGKILL"))`;
    assert.equal(spawnSync(process.execPath, ["-e", dies, socketPath]).signal, "SIGKILL");
    const refused = openServiceProcess({ container: "muse" }, { engineSocket: socketPath });
    await assert.rejects(refused.state(), { fault: "unreachable", message: /ECONNREFUSED/ });
    rmSync(socketPath);
    const mute = createServer(() => undefined).listen(socketPath);
    await once(mute, "listening");
    try {
      const hung = new ContainerProcess("muse", () => ContainerEngine.connect(socketPath, { deadlineMs: 50 }));
      await assert.rejects(hung.state(), { fault: "deadline" });
    } finally {
      mute.close();
      mute.closeAllConnections();
      rmSync(folder, { recursive: true });
    }
  });

  it("does not take another engine's unknown route for a container that is not there", async () => {
    const before = await FakeEngine.open("libpod");
    const engine = await ContainerEngine.connect(before.socketPath);
    before.unknownRoutes = true;
    try {
      await assert.rejects(engine.inspect("muse"), { fault: "failed", message: /page not found/ });
      await assert.rejects(new ContainerProcess("muse", () => Promise.resolve(engine)).state(), { fault: "failed" });
    } finally {
      before.close();
    }
  });

  it("does not call a container gone that runs where its processes cannot be seen", async () => {
    const fake = await FakeEngine.open("docker");
    const { muse } = fake;
    const service = openServiceProcess({ container: "muse" }, { engineSocket: fake.socketPath });
    try {
      for (const pid of [0, 2 ** 30]) {
        muse.pid = pid;
        await assert.rejects(service.state(), { fault: "failed", message: /cannot be seen/ }, String(pid));
        await assert.rejects(service.pids(), { fault: "failed" }, String(pid));
      }
      muse.status = "paused";
      assert.equal(await service.state(), "frozen");
      muse.status = "exited";
      assert.deepEqual([await service.state(), await service.pids()], ["absent", []]);
    } finally {
      fake.close();
    }
  });

  it("freezes the cgroup of the container's first process, and thaws what the engine paused", async function () {
    await withBurner(this, 2, async (fake, group) => {
      const service = new ContainerProcess("muse", () => ContainerEngine.connect(fake.socketPath));
      assert.equal((await service.pids()).length, 4);
      await service.freeze(5_000);
      assert.equal(group.readEvents()?.frozen, true);
      assert.equal(await service.state(), "frozen");
      fake.muse.status = "paused";
      await service.thaw(5_000);
      assert.equal(group.readEvents()?.frozen, false);
      assert.equal(fake.muse.status, "running");
      await service.stop(5_000);
      assert.equal(await service.state(), "stopped");
      await service.cont(5_000);
      assert.equal(await service.state(), "running");
    });
  });

  it("goes by the kernel where the engine has died since: what it knew is held, set free and ended", async function () {
    await withBurner(this, 1, async (fake, group) => {
      const service = new ContainerProcess("muse", () => ContainerEngine.connect(fake.socketPath));
      const stranger = new ContainerProcess("muse", () => ContainerEngine.connect(fake.socketPath));
      assert.equal(await service.state(), "running");
      fake.close();
      await assert.rejects(stranger.state(), { fault: "unreachable" }, "one that never saw it knows nothing");
      assert.deepEqual([...(await service.pids())].sort(), [...group.pids()].sort());
      await service.freeze(5_000);
      assert.deepEqual([await service.state(), group.readEvents()?.frozen], ["frozen", true]);
      await service.thaw(5_000);
      assert.equal(await service.state(), "running");
      await service.freeze(5_000);
      // A human waits: it can be ended all the same.
      await service.kill(5_000);
      assert.deepEqual(group.pids(), []);
      // Whether the engine has begun another one since is known to nobody.
      await assert.rejects(service.state(), { fault: "unreachable" });
    });
  });
});
