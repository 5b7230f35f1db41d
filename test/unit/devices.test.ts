import assert from "node:assert/strict";
import fc from "fast-check";
import type { DeviceName } from "../../components/shared/machines.ts";
import { planDevices } from "../../components/shared/devices.ts";
import { checkIds } from "../../components/shared/ids.ts";
import { estate, seedMachines, worker } from "../../components/shared/machineTable.ts";
import { machines } from "../support/arbitraries.ts";
import { genesisSettings } from "../support/genesisSettings.ts";

const { devices } = genesisSettings();

describe("planDevices", () => {
  it("gives 100 the GPU, lets 101 contend, and gives 401 the TPU", () => {
    assert.deepEqual(planDevices({ machines: seedMachines, devices }), {
      ok: true,
      value: [
        { device: "gpu", mapping: "gpu-rtx3090", owner: 100, contenders: [100, 101] },
        { device: "tpu", mapping: "tpu-coral", owner: 401, contenders: [] },
      ],
    });
  });

  it("accepts one owner for each device and no GPU for dedicated machines, and nothing else", () => {
    const given = fc.subarray<DeviceName>(["gpu", "tpu"]);
    fc.assert(
      fc.property(machines(), fc.array(given, { minLength: 8, maxLength: 8 }), (list, owned) => {
        const estateOf = list.map((machine, index) => ({
          ...machine,
          kind: "vm" as const,
          devices: owned[index] ?? [],
        }));
        const owners = (name: DeviceName): number =>
          estateOf.filter((machine) => machine.devices.includes(name)).length;
        const onDedicated = estateOf.some(
          (machine) => machine.pinning === "dedicated" && [...machine.devices, ...machine.contends].includes("gpu"),
        );
        const allowed = owners("gpu") <= 1 && owners("tpu") <= 1 && !onDedicated;
        assert.equal(planDevices({ machines: estateOf, devices }).ok, allowed);
      }),
      { seed: 5 },
    );
  });
});

describe("checkIds", () => {
  it("accepts the seed's machines and every number of workers from 0 to 100", () => {
    for (let workers = 0; workers <= 100; workers += 1) assert.ok(estate(workers).ok);
    for (const workers of [-1, 101, 1.5, Number.NaN]) assert.ok(!estate(workers).ok);
  });

  it("names every id out of range, id used twice, name used twice and unknown exclusion", () => {
    const [brain] = seedMachines;
    assert.ok(brain !== undefined);
    const wrong = [
      brain,
      { ...brain, excludes: [999] },
      { ...brain, id: 402, hostname: "Far" },
      { ...worker(0), id: 250 },
      { ...brain, id: 310, hostname: "x" },
    ];
    const result = checkIds(wrong);
    assert.ok(!result.ok);
    assert.deepEqual(
      result.faults.map(({ property }) => property),
      [
        "machines[100].id",
        "machines[100].hostname",
        "machines[100].excludes",
        "machines[402].id",
        "machines[402].hostname",
        "machines[250].id",
        "machines[310].id",
      ],
    );
  });
});
