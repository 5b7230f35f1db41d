// The driver's checkpoint through the real child, over the lab's CUDA and NVML, which share one card.
import assert from "node:assert/strict";
import { CudaCheckpointClient } from "../../runtime-agent/src/keeper/gpu/cudaCheckpoint.ts";
import type { CudaCheckpointOptions } from "../../runtime-agent/src/keeper/gpu/cudaCheckpoint.ts";
import { NvmlDevice } from "../../runtime-agent/src/keeper/gpu/nvmlDevice.ts";
import { cudaChildCommand, fakeCard, gpuChildCommand } from "../support/fakeGpu.ts";
import type { FakeCard } from "../support/fakeGpu.ts";

describe("CUDA checkpoint", function () {
  this.timeout(60_000);
  let card: FakeCard;
  let cuda: CudaCheckpointClient | undefined;
  const muse = { pid: 7001, vramMiB: 8000 };

  before(async function () {
    card = await fakeCard(this);
  });
  after(() => card?.remove());
  beforeEach(() => card.gpu.reset());
  afterEach(() => cuda?.close());

  function open(options: Partial<CudaCheckpointOptions> = {}): CudaCheckpointClient {
    cuda = new CudaCheckpointClient({
      childCommand: cudaChildCommand,
      library: card.cuda,
      availableMiB: async () => 64_000,
      deadlineMs: 20_000,
      ...options,
    });
    return cuda;
  }

  async function refused(outcome: Promise<{ ok: boolean; reason?: string }>): Promise<string> {
    const { ok, reason } = await outcome;
    assert.equal(ok, false);
    return reason ?? "";
  }

  it("moves VRAM to RAM and back, as NVML sees it", async () => {
    await card.gpu.set({ vramUsedMiB: 400, processes: [muse] });
    const nvml = new NvmlDevice({
      childCommand: gpuChildCommand,
      selector: { index: 0 },
      library: card.nvml,
      deadlineMs: 20_000,
    });
    const used = async (): Promise<number | undefined> => {
      const reading = await nvml.read();
      return reading.kind === "known" ? reading.vramUsedMiB : undefined;
    };
    try {
      assert.equal(await used(), 8400);
      const driver = open();
      assert.equal((await driver.lock(muse.pid, 1000)).ok, true);
      assert.equal(await driver.state(muse.pid), "locked");
      assert.equal(await used(), 8400, "a locked process keeps its VRAM");
      assert.equal((await driver.checkpoint(muse.pid)).ok, true);
      assert.equal(await used(), 400);
      assert.equal((await driver.restore(muse.pid)).ok, true);
      assert.equal(await driver.state(muse.pid), "locked");
      assert.equal((await driver.unlock(muse.pid)).ok, true);
      assert.equal(await driver.state(muse.pid), "running");
      assert.equal(await used(), 8400);
      assert.equal(await driver.restoreThreadId(muse.pid), muse.pid);
    } finally {
      await nvml.close();
    }
  });

  it("suspends and resumes several processes, and goes on after a crash", async () => {
    const both = [muse, { pid: 7002, vramMiB: 100 }];
    const first = open();
    await first.lock(muse.pid, 1000);
    await first.close();
    const driver = open();
    assert.equal((await driver.suspend(both, 1000)).ok, true);
    assert.equal((await driver.suspend(both, 1000)).ok, true, "asked again it is done already");
    const pids = both.map(({ pid }) => pid);
    assert.deepEqual(await Promise.all(pids.map((pid) => card.gpu.cudaState(pid))), ["checkpointed", "checkpointed"]);
    assert.equal((await driver.resume(pids)).ok, true);
    assert.equal((await driver.resume(pids)).ok, true);
    assert.deepEqual(await Promise.all(pids.map((pid) => card.gpu.cudaState(pid))), ["running", "running"]);
  });

  it("takes the lock's timeout for an answer and leaves the process running", async () => {
    await card.gpu.set({ cudaBusy: true });
    const driver = open();
    const reason = await refused(driver.suspend([muse], 50));
    assert.match(reason, /process 7001: cuCheckpointProcessLock: not ready.*\(600\)/);
    assert.equal(await card.gpu.cudaState(muse.pid), "running");
  });

  it("unlocks all when a later step fails", async () => {
    await card.gpu.set({ fail: { cuCheckpointProcessCheckpoint: 2 } });
    const outcome = await open().suspend([muse, { pid: 7002, vramMiB: 1 }], 1000);
    assert.deepEqual(outcome, {
      ok: false,
      reason: "process 7001: cuCheckpointProcessCheckpoint: out of memory (2)",
      rolledBack: true,
    });
    assert.equal(await card.gpu.cudaState(7001), "running");
    assert.equal(await card.gpu.cudaState(7002), "running");
  });

  it("says when there is no way back", async () => {
    await card.gpu.set({ cudaBreaks: true });
    const outcome = await open().suspend([muse], 1000);
    assert.equal(outcome.ok, false);
    assert.equal(!outcome.ok && outcome.rolledBack, false);
    assert.match(outcome.ok ? "" : outcome.reason, /unknown driver error \(999\); and back: process 7001 is failed/);
  });

  it("kills a checkpoint that hangs, and unlocks with a new child", async () => {
    const driver = open({ moveDeadlineMs: 2000 });
    await driver.state(muse.pid);
    await card.gpu.set({ hang: ["cuCheckpointProcessCheckpoint"] });
    const outcome = await driver.suspend([muse], 1000);
    assert.deepEqual(outcome, {
      ok: false,
      reason: "process 7001: no answer to checkpoint within 2000 ms",
      rolledBack: true,
    });
    assert.equal(await card.gpu.cudaState(muse.pid), "running");
  });

  it("asks nothing of a driver that is too old, absent or without the functions", async () => {
    assert.match(
      await refused(open({ driverVersion: () => "565.77" }).gate(1)),
      /driver 565\.77 cannot checkpoint: 570/,
    );
    await cuda?.close();
    assert.match(await refused(open({ library: "/nonexistent/libcuda.so.1" }).gate(1)), /no CUDA driver: /);
    await cuda?.close();
    assert.match(await refused(open({ library: card.nvml }).gate(1)), /no CUDA driver: cuDriverGetVersion/);
    await cuda?.close();
    await card.gpu.set({ cudaVersion: 12_040 });
    assert.match(await refused(open().gate(1)), /\(12040\) cannot checkpoint: 12080 or later/);
  });

  it("asks for RAM before it touches the process", async () => {
    const driver = open({ availableMiB: async () => 8500, marginMiB: 1024 });
    assert.match(
      await refused(driver.suspend([muse], 1000)),
      /8500 MiB of RAM are free; 8000 MiB of VRAM and a margin/,
    );
    assert.match(await refused(driver.suspend([{ pid: 1, vramMiB: undefined }], 1000)), /does not tell how much VRAM/);
    assert.equal((await driver.gate(7000)).ok, true);
    assert.equal(await card.gpu.cudaState(muse.pid), "running");
  });
});
