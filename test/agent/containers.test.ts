import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ContainerEngine } from "../../runtime-agent/src/keeper/processes/containers/engine.ts";
import { ContainerProcess } from "../../runtime-agent/src/keeper/processes/service/containerProcess.ts";
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
  readonly containers = new Map<string, FakeContainer>([["muse", { status: "running", pid: 0 }]]);
  readonly requests: string[] = [];
  readonly socketPath: string;
  readonly #folder = mkdtempSync(join(tmpdir(), "hive-engine-"));
  readonly #server: Server;

  constructor(kind: Kind) {
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

  async listen(): Promise<void> {
    this.#server.listen(this.socketPath);
    await once(this.#server, "listening");
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
    rmSync(this.#folder, { recursive: true });
  }
}

for (const kind of ["docker", "libpod"] as const)
  describe(`containers over the ${kind} API`, () => {
    let fake: FakeEngine;
    let engine: ContainerEngine;
    beforeEach(async () => {
      fake = new FakeEngine(kind);
      await fake.listen();
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
      const one = fake.containers.get("muse");
      assert.ok(one !== undefined);
      one.status = "exited";
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
  it("says absent for a socket that nobody listens on", async () => {
    await assert.rejects(ContainerEngine.connect("/nonexistent/engine.sock"), { fault: "absent" });
  });

  it("freezes the cgroup of the container's first process, and thaws what the engine paused", async function () {
    const groups = openTestCgroups();
    if ("missing" in groups) return skip(this, groups.missing);
    const missing = burnerMissing();
    if (missing !== undefined) skip(this, missing);
    const fake = new FakeEngine("docker");
    await fake.listen();
    const group = groups.group("container");
    const burner = await startBurner(2, { cgroup: group.folder });
    try {
      const one = fake.containers.get("muse");
      assert.ok(one !== undefined);
      one.pid = burner.root;
      const service = new ContainerProcess("muse", () => ContainerEngine.connect(fake.socketPath));
      assert.equal((await service.pids()).length, 4);
      await service.freeze(5_000);
      assert.equal(group.readEvents()?.frozen, true);
      assert.equal(await service.state(), "frozen");
      one.status = "paused";
      await service.thaw(5_000);
      assert.equal(group.readEvents()?.frozen, false);
      assert.equal(one.status, "running");
      await service.stop(5_000);
      assert.equal(await service.state(), "stopped");
      await service.cont(5_000);
      assert.equal(await service.state(), "running");
    } finally {
      await burner.end();
      fake.close();
      await groups.remove();
    }
  });
});
