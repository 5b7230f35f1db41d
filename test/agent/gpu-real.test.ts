// The children over NVIDIA's own libraries and a real CUDA process. Runs where a card is, else skipped with the reason.
// HIVE_GPU_MIB: VRAM that the process holds, default 1024. HIVE_GPU_RESULTS: file for the measured times (JSON).
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcessByStdio } from "node:child_process";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { CudaCheckpointClient } from "../../runtime-agent/src/keeper/gpu/cudaCheckpoint.ts";
import type { CudaOutcome } from "../../runtime-agent/src/keeper/gpu/cudaTypes.ts";
import { ecoLimits } from "../../runtime-agent/src/keeper/gpu/limits.ts";
import { NvmlDevice } from "../../runtime-agent/src/keeper/gpu/nvmlDevice.ts";
import type { GpuReading } from "../../runtime-agent/src/keeper/gpu/types.ts";
import { skip } from "../run/skip.ts";
import { cudaChildCommand, gpuChildCommand, until } from "../support/fakeGpu.ts";

const holderScript = fileURLToPath(new URL("../support/cudaHolder.ts", import.meta.url));
const heldMiB = Number(process.env["HIVE_GPU_MIB"] ?? "1024");

/** A process with `heldMiB` of VRAM; requests are answered in order. */
class Holder {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;

  constructor() {
    this.#child = spawn(process.execPath, [holderScript, String(heldMiB)], { stdio: ["pipe", "pipe", "inherit"] });
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async answer(): Promise<Readonly<Record<string, unknown>>> {
    const next = await this.#lines.next();
    assert.ok(next.done !== true, "the CUDA process ended");
    const value: unknown = JSON.parse(next.value);
    assert.ok(typeof value === "object" && value !== null);
    return { ...value };
  }

  ask(request: string): Promise<Readonly<Record<string, unknown>>> {
    this.#child.stdin.write(`${request}\n`);
    return this.answer();
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }
}

function took(outcome: CudaOutcome, what: string): number {
  assert.ok(outcome.ok, `${what}: ${outcome.ok ? "" : outcome.reason}`);
  return Math.round(outcome.tookMs * 100) / 100;
}

describe("a real GPU", function () {
  this.timeout(240_000);
  let nvml: NvmlDevice;
  let holder: Holder | undefined;
  let cuda: CudaCheckpointClient | undefined;

  before(function () {
    if (!existsSync("/dev/nvidiactl")) skip(this, "no NVIDIA GPU here (/dev/nvidiactl)");
    nvml = new NvmlDevice({ childCommand: gpuChildCommand, selector: { index: 0 }, deadlineMs: 5000 });
  });
  after(() => nvml?.close());
  afterEach(async () => {
    holder?.kill();
    holder = undefined;
    await cuda?.close();
    cuda = undefined;
  });

  async function known(): Promise<GpuReading & { kind: "known" }> {
    const reading = await until(
      () => nvml.read(),
      ({ kind }) => kind === "known",
    );
    assert.ok(reading.kind === "known");
    return reading;
  }

  it("is read by NVML", async () => {
    const reading = await known();
    assert.match(reading.uuid, /^GPU-/);
    assert.match(reading.driverVersion, /^\d+\./);
    assert.ok(reading.vramTotalMiB > 1000);
    assert.ok(reading.temperatureC === undefined || (reading.temperatureC > 0 && reading.temperatureC < 120));
    const limits = await nvml.limits();
    assert.ok(limits);
    const eco = ecoLimits(limits, undefined, { powerPercent: 60, clockOffsetMHz: 200 });
    assert.ok(eco.powerLimitWatts === undefined || eco.powerLimitWatts <= (limits.maxPowerLimitWatts ?? 0));
    const other = new NvmlDevice({ childCommand: gpuChildCommand, selector: { uuid: reading.uuid }, deadlineMs: 5000 });
    try {
      assert.equal(
        (
          await until(
            () => other.read(),
            ({ kind }) => kind === "known",
          )
        ).kind,
        "known",
      );
    } finally {
      await other.close();
    }
  });

  it("shows a process's VRAM, moves it to RAM and back with its contents", async function () {
    cuda = new CudaCheckpointClient({ childCommand: cudaChildCommand, moveDeadlineMs: 120_000 });
    const gate = await cuda.gate(heldMiB);
    if (!gate.ok) skip(this, `this driver cannot checkpoint: ${gate.reason}`);
    const empty = (await known()).vramUsedMiB;
    holder = new Holder();
    await holder.answer();
    const { digest } = await holder.ask("digest");
    const held = await known();
    assert.ok(held.vramUsedMiB - empty >= heldMiB, `${held.vramUsedMiB} of ${empty} MiB`);
    const { pid } = holder;

    const times: Record<string, number | string> = { card: held.name, driver: held.driverVersion, heldMiB };
    times["lockMs"] = took(await cuda.lock(pid, 5000), "lock");
    assert.equal(await cuda.state(pid), "locked");
    assert.ok((await known()).vramUsedMiB >= held.vramUsedMiB - 16, "a locked process keeps its VRAM");
    // Asked while locked: the kernel must not run before the unlock.
    const step = holder.ask("step");
    times["checkpointMs"] = took(await cuda.checkpoint(pid), "checkpoint");
    const freed = await known();
    assert.ok(held.vramUsedMiB - freed.vramUsedMiB >= heldMiB, `${freed.vramUsedMiB} MiB used after the checkpoint`);
    times["restoreMs"] = took(await cuda.restore(pid), "restore");
    times["unlockMs"] = took(await cuda.unlock(pid), "unlock");
    assert.equal(await cuda.state(pid), "running");
    assert.deepEqual(await step, { steps: 2 });

    // The same two steps in a process that was never moved give the same contents.
    const moved = await holder.ask("digest");
    assert.notEqual(moved["digest"], digest);
    holder.kill();
    holder = new Holder();
    await holder.answer();
    assert.equal((await holder.ask("digest"))["digest"], digest);
    await holder.ask("step");
    assert.equal((await holder.ask("digest"))["digest"], moved["digest"], "contents after the restore");
    const results = process.env["HIVE_GPU_RESULTS"];
    if (results !== undefined) await writeFile(results, `${JSON.stringify(times)}\n`);
  });
});
