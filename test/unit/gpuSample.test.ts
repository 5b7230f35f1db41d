// What crosses the border to the GPU child, and what is logged of it.
import assert from "node:assert/strict";
import fc from "fast-check";
import { nvmlWords } from "../../runtime-agent/src/keeper/gpu/nvmlReturn.ts";
import { readHello, readLimits, readSample } from "../../runtime-agent/src/keeper/gpu/readSample.ts";
import { SampleLog } from "../../runtime-agent/src/keeper/gpu/sampleLog.ts";
import type { GpuReading, GpuSample } from "../../runtime-agent/src/keeper/gpu/types.ts";

const sample: GpuSample = {
  vramTotalMiB: 24_576,
  vramUsedMiB: 400,
  vramFreeMiB: 24_176,
  temperatureC: 40,
  powerWatts: 30,
  powerLimitWatts: 350,
  graphicsClockMHz: 210,
  memoryClockMHz: 405,
  utilizationPercent: 0,
  processes: [{ pid: 7, vramMiB: 300, kind: "compute" }],
};
const known = (number: number): GpuReading => ({
  kind: "known",
  sample: number,
  ageMs: 0,
  name: "GPU",
  uuid: "GPU-1",
  driverVersion: "575.57.08",
  ...sample,
});

describe("GPU samples", () => {
  it("takes what a child sends, without the sensors that the card lacks", () => {
    const { temperatureC: _gone, ...rest } = sample;
    assert.deepEqual(readSample(JSON.parse(JSON.stringify(rest))), { ...sample, temperatureC: undefined });
  });

  it("refuses a sample with any field of a wrong kind", () => {
    for (const key of Object.keys(sample)) {
      for (const wrong of ["40", -1, null, {}, Number.NaN]) {
        assert.equal(readSample({ ...sample, [key]: wrong }), undefined, `${key} = ${String(wrong)}`);
      }
    }
    assert.equal(readSample({ ...sample, vramUsedMiB: 30_000 }), undefined, "more used than there is");
    assert.equal(readSample({ ...sample, processes: [{ pid: "7", kind: "compute" }] }), undefined);
  });

  it("never throws on what a child sends", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        readSample(value);
        readLimits(value);
        readHello(typeof value === "object" && value !== null && !Array.isArray(value) ? value : undefined);
      }),
    );
  });

  it("writes each sample once and each trouble once", () => {
    const lines: string[] = [];
    const log = new SampleLog({ write: (line) => void lines.push(line) });
    const unknown = (ms: number): GpuReading => ({ kind: "unknown", reason: `hung; next try in ${ms} ms` });
    for (const reading of [known(1), known(1), known(2), unknown(900), unknown(400), known(3), unknown(900)]) {
      log.add(reading, Date.UTC(2026, 0, 2));
    }
    assert.deepEqual(
      lines.map((line) => JSON.parse(line).kind),
      ["known", "known", "unknown", "known", "unknown"],
    );
    assert.equal(JSON.parse(lines[0] ?? "").time, "2026-01-02T00:00:00.000Z");
    assert.ok(lines.every((line) => !line.includes("\n")));
  });

  it("has words for every code, known or not", () => {
    assert.equal(nvmlWords("nvmlInit_v2", 9), "nvmlInit_v2: the NVIDIA driver is not loaded (9)");
    assert.equal(nvmlWords("nvmlInit_v2", 4242), "nvmlInit_v2: an unknown NVML error (4242)");
  });
});
