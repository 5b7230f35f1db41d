import assert from "node:assert/strict";
import fc from "fast-check";
import type { Machine } from "../../components/shared/machines.ts";
import { valueOrThrow } from "../../components/shared/faults.ts";
import { estate } from "../../components/shared/machineTable.ts";
import { planMemory } from "../../components/shared/memory.ts";
import { machines } from "../support/arbitraries.ts";

const hive = { ramMiB: 131_072, arcMiB: 4096, reservedMiB: 4096 };

/** What can be needed at once, by trying every set of guests and every holder of the GPU. */
function bruteForce(list: readonly Machine[]): number {
  let most = 0;
  for (let bits = 0; bits < 2 ** list.length; bits += 1) {
    const set = list.filter((_, index) => (bits >> index) % 2 === 1);
    if (set.some(({ excludes }) => set.some(({ id }) => excludes.includes(id)))) continue;
    const holders: (Machine | undefined)[] = [undefined, ...set.filter(({ contends }) => contends.includes("gpu"))];
    for (const holder of holders) {
      most = Math.max(
        most,
        set.reduce((sum, one) => sum + (one === holder ? one.ramMiB : one.balloonMinMiB), 0),
      );
    }
  }
  return most;
}

describe("planMemory", () => {
  it("fits the seed's estate into 128 GB and counts 101's whole memory, since it may hold the GPU", () => {
    const plan = valueOrThrow("plan", planMemory({ ...hive, machines: valueOrThrow("estate", estate(2)) }));
    assert.equal(plan.usableMiB, 122_880);
    assert.equal(plan.hugepagesMiB, 65_536);
    assert.deepEqual(plan.reachable, [
      { running: [100, 101, 200, 300, 301, 400, 401], maxMiB: 119_808, floorMiB: 113_664 },
    ]);
    assert.equal(plan.workersLeft, 18);
  });

  it("accepts exactly as many workers as it says are left", () => {
    const fits = (workers: number): boolean =>
      planMemory({ ...hive, machines: valueOrThrow("estate", estate(workers)) }).ok;
    assert.deepEqual([fits(20), fits(21)], [true, false]);
  });

  it("accepts exactly what a search over every running set and GPU holder accepts", () => {
    let [accepted, refused] = [0, 0];
    fc.assert(
      fc.property(machines(8), fc.integer({ min: 16, max: 256 }), (list, gib) => {
        const result = planMemory({ machines: list, ramMiB: gib * 1024, arcMiB: 2048, reservedMiB: 2048 });
        const needed = bruteForce(list);
        assert.equal(result.ok, needed <= gib * 1024 - 4096, `${String(needed)} MiB needed`);
        if (result.ok) accepted += 1;
        else {
          refused += 1;
          assert.ok(
            result.faults.some(({ limit }) => limit.includes(String(needed))),
            "the number is missing",
          );
        }
        if (!result.ok) return;
        assert.equal(Math.max(...result.value.reachable.map(({ floorMiB }) => floorMiB)), needed);
        for (const { running } of result.value.reachable) {
          const set = list.filter(({ id }) => running.includes(id));
          assert.ok(!set.some(({ excludes }) => excludes.some((id) => running.includes(id))), "an excluded pair runs");
        }
      }),
      { numRuns: 400, seed: 20261121 },
    );
    assert.ok(accepted > 50 && refused > 50, `${String(accepted)} accepted, ${String(refused)} refused`);
  });

  it("refuses balloons under huge pages and passed-through devices, and unaligned huge pages, all at once", () => {
    const list = valueOrThrow("estate", estate(0)).map((machine) => {
      if (machine.id === 100) return { ...machine, balloonMinMiB: 1024 };
      return machine.id === 200 ? { ...machine, hugepages: true, ramMiB: 8000, balloonMinMiB: 4000 } : machine;
    });
    const result = planMemory({ ...hive, ramMiB: 5, machines: list });
    assert.ok(!result.ok);
    assert.deepEqual(result.faults.map(({ property }) => property).sort(), [
      "host.ramMiB",
      "machines[100].balloonMinMiB",
      "machines[200].balloonMinMiB",
      "machines[200].ramMiB",
    ]);
  });
});
