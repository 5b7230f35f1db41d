import assert from "node:assert/strict";
import { arbiterMetrics } from "../../runtime-agent/src/keeper/arbiter/arbiterMetrics.ts";
import { arbiterConfig } from "../../runtime-agent/src/keeper/arbiter/core/config.ts";
import { initialState } from "../../runtime-agent/src/keeper/arbiter/core/decide.ts";
import { statusOf } from "../../runtime-agent/src/keeper/arbiter/statusView.ts";
import type { ArbiterStatusDocument } from "../../runtime-agent/src/keeper/arbiter/statusDocument.ts";
import { createRegistry } from "../../runtime-agent/src/shared/metrics.ts";

const empty = statusOf({
  ...{ state: initialState(), config: arbiterConfig({ services: [] }), constraint: undefined },
  ...{
    reading: { kind: "unknown", reason: "no answer" },
    wallMs: 0,
    monotonicMs: 0,
    startedAtMs: 0,
    loops: 1,
    loopAgeMs: 0,
  },
  ...{ load1: undefined, link: null, fault: undefined, kernelOf: () => "unknown", decisions: [] },
});
const card = { temperatureC: 41, powerWatts: 120, powerLimitWatts: 350, vramUsedMiB: 2 };

describe("metrics of the arbiter", () => {
  it("has no sample of what the driver does not say: 0 °C would be a lie", async () => {
    const registry = createRegistry({ side: "arbiter" });
    let gpu: ArbiterStatusDocument["gpu"] = { ...empty.gpu, kind: "known", ...card };
    arbiterMetrics(
      registry,
      () => ({ ...empty, gpu }),
      () => 0,
    );
    const samples = async (): Promise<Record<string, number>> => {
      const lines = (await registry.metrics()).split("\n").filter((line) => line.startsWith("hive_keeper_gpu_"));
      return Object.fromEntries(
        lines.map((line) => [/^hive_keeper_gpu_(\w+)/.exec(line)?.[1] ?? "", Number(line.split(" ").at(-1))]),
      );
    };
    const all = {
      ...{ known: 1, temperature_celsius: 41, power_watts: 120 },
      ...{ power_limit_watts: 350, vram_used_bytes: 2 * 1024 * 1024 },
    };
    assert.deepEqual(await samples(), all);
    // After the driver was known, too: the last value does not stay.
    gpu = empty.gpu;
    assert.deepEqual(await samples(), { known: 0 });
    gpu = { ...empty.gpu, kind: "known", ...card, temperatureC: null };
    const { temperature_celsius: unread, ...others } = all;
    assert.deepEqual([await samples(), unread], [others, 41]);
  });
});
