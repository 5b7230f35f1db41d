import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { ContainerEngine } from "../../runtime-agent/src/keeper/processes/containers/engine.ts";
import { ContainerProcess } from "../../runtime-agent/src/keeper/processes/service/containerProcess.ts";
import { skip } from "../run/skip.ts";
import { openTestPodman } from "../support/podman.ts";
import type { TestPodman } from "../support/podman.ts";

const longMs = 20_000;

describe("a real Podman", function () {
  let podman: TestPodman | undefined;
  before(async function () {
    const opened = await openTestPodman();
    if ("missing" in opened) return skip(this, opened.missing);
    podman = opened;
    podman.create("muse", "trap 'exit 0' TERM; while :; do sleep 0.05; done");
    podman.create("deaf", "trap '' TERM; while :; do sleep 0.05; done");
  });
  after(async () => {
    await podman?.remove();
  });

  for (const api of ["libpod", "docker"] as const)
    it(`moves a container over its ${api} API`, async () => {
      assert.ok(podman !== undefined);
      const engine = await ContainerEngine.connect(podman.socketPath, api === "docker" ? { api } : {});
      assert.equal(engine.flavour.kind, api);
      const names = (await engine.list()).flatMap(({ names: all }) => all).sort();
      assert.deepEqual(names, ["deaf", "muse"]);
      for (const move of ["start", "start", "pause", "pause"] as const) await engine[move]("muse", longMs);
      const paused = await engine.inspect("muse");
      assert.deepEqual([paused.running, paused.paused], [true, true]);
      for (const move of ["unpause", "unpause"] as const) await engine[move]("muse", longMs);
      assert.equal((await engine.inspect("muse")).paused, false);
      await engine.stop("muse", 5, longMs);
      await engine.stop("muse", 5, longMs);
      for (const move of ["start", "kill", "kill"] as const) await engine[move]("muse", longMs);
      assert.equal((await engine.inspect("muse")).running, false);
      await assert.rejects(engine.pause("muse", longMs), { fault: "failed" });
      await assert.rejects(engine.inspect("eva"), { fault: "absent" });
    });

  it("holds, lets go and ends a container as a service", async () => {
    assert.ok(podman !== undefined);
    const { socketPath } = podman;
    const service = new ContainerProcess("deaf", () => ContainerEngine.connect(socketPath));
    assert.equal(await service.state(), "absent");
    await service.start(longMs);
    for (let turn = 0; turn < 100 && (await service.pids()).length < 2; turn += 1) await sleep(20);
    assert.ok((await service.pids()).length >= 2);
    await service.freeze(longMs);
    assert.equal(await service.state(), "frozen");
    await service.thaw(longMs);
    assert.equal(await service.state(), "running");
    await service.stop(longMs);
    assert.equal(await service.state(), "stopped");
    // Deaf to TERM: the engine sends KILL when the grace is over.
    await service.term(500);
    assert.equal(await service.state(), "absent");
    await service.start(longMs);
    await service.freeze(longMs);
    await service.kill(longMs);
    assert.equal(await service.state(), "absent");
  });
});
