import assert from "node:assert/strict";
import fc from "fast-check";
import type { Machine } from "../../components/shared/machines.ts";
import type { HostTopology } from "../../components/shared/topology.ts";
import { valueOrThrow } from "../../components/shared/faults.ts";
import { estate } from "../../components/shared/machineTable.ts";
import { planPinning } from "../../components/shared/pinning.ts";
import { physicalCores, smtTopology } from "../../components/shared/topology.ts";
import { host, hybridHost, machines } from "../support/arbitraries.ts";

const seed = valueOrThrow("estate", estate(2));
const floating = seed.filter(({ pinning }) => pinning === "shared");
const trading = seed.filter(({ pinning }) => pinning === "dedicated");

/** Whether a list of CPUs is whole physical cores. */
function whole(topology: HostTopology, cpus: readonly number[]): boolean {
  const touched = physicalCores(topology).filter((core) => core.cpus.some((cpu) => cpus.includes(cpu)));
  return touched.flatMap((core) => core.cpus).length === cpus.length;
}

describe("planPinning", () => {
  it("gives 200 four whole cores of a 16-core host with SMT, and keeps everybody else off", () => {
    const topology = smtTopology({ sockets: 1, coresPerSocket: 16, threadsPerCore: 2 });
    const plan = valueOrThrow("plan", planPinning({ topology, machines: seed, reservedCores: 1 }));
    assert.deepEqual(plan.host, [0, 16]);
    assert.deepEqual(plan.guests.find(({ id }) => id === 200)?.cpus, [12, 13, 14, 15, 28, 29, 30, 31]);
    assert.deepEqual(plan.guests.find(({ id }) => id === 100)?.cpus, plan.shared);
  });

  it("gives fewer dedicated cores where the biggest shared guest needs the room", () => {
    const topology = smtTopology({ sockets: 1, coresPerSocket: 7, threadsPerCore: 2 });
    const plan = valueOrThrow("plan", planPinning({ topology, machines: seed, reservedCores: 1 }));
    assert.equal(plan.guests.find(({ id }) => id === 200)?.cpus.length, 4);
    assert.equal(plan.shared.length, 8);
  });

  it("keeps a big shared guest in one NUMA node, beside the dedicated cores' node", () => {
    const topology = smtTopology({ sockets: 2, coresPerSocket: 8, threadsPerCore: 1 });
    const plan = valueOrThrow(
      "plan",
      planPinning({ topology, machines: seed.filter(({ id }) => id !== 100), reservedCores: 1 }),
    );
    const nodes = (id: number): number =>
      new Set(plan.guests.find((guest) => guest.id === id)?.cpus.map((cpu) => topology.cpus[cpu]?.node)).size;
    assert.deepEqual([101, 200, 401].map(nodes), [1, 1, 1]);
    assert.equal(nodes(300), 2);
  });

  it("holds for every host and estate: whole cores, no overlap, one node, nothing beyond the host; or numbers", () => {
    let planned = 0;
    fc.assert(
      fc.property(
        host,
        fc.oneof(fc.constant(seed), machines()),
        fc.integer({ min: 1, max: 3 }),
        (topology, guests, reservedCores) => {
          const result = planPinning({ topology, machines: guests, reservedCores });
          if (!result.ok) {
            assert.ok(result.faults.length > 0);
            for (const fault of result.faults)
              assert.match(`${fault.value ?? ""} ${fault.limit}`, /\d/, fault.property);
            return;
          }
          planned += 1;
          const { host: own, shared, guests: pins } = result.value;
          const known = new Set(topology.cpus.map(({ cpu }) => cpu));
          const dedicated = pins.filter((pin) => pin.dedicated);
          const apart = [own, shared, ...dedicated.map(({ cpus }) => cpus)];
          const union = apart.flat();
          assert.equal(new Set(union).size, union.length, "two owners of one CPU");
          assert.deepEqual(new Set(union), known, "the union is the host");
          assert.ok(own.includes(Math.min(...known)));
          for (const cpus of [...apart, ...pins.map((pin) => pin.cpus)])
            assert.ok(whole(topology, cpus), "part of a core");
          assert.deepEqual(
            pins.map(({ id }) => id),
            guests.map(({ id }) => id),
          );
          for (const pin of pins)
            checkGuest(
              topology,
              guests.find(({ id }) => id === pin.id),
              pin.cpus,
              pin.dedicated,
              shared,
            );
        },
      ),
      { numRuns: 400, seed: 20261121 },
    );
    assert.ok(planned > 100, `only ${String(planned)} plans were possible`);
  });

  it("takes the fast cores of a hybrid processor first", () => {
    fc.assert(
      fc.property(hybridHost, (topology) => {
        const result = planPinning({ topology, machines: trading, reservedCores: 1 });
        if (!result.ok) return;
        const cpus = result.value.guests[0]?.cpus ?? [];
        const slowUsed = cpus.some((cpu) => topology.cpus[cpu]?.maxMhz === 3900);
        const fastLeft = result.value.shared.some((cpu) => topology.cpus[cpu]?.maxMhz === 5200);
        assert.ok(!(slowUsed && fastLeft), "a slow core while a fast one is left");
      }),
      { seed: 7 },
    );
  });

  it("is possible exactly when a host has the cores: host, two for 200, and a CPU for each vCPU of the biggest guest", () => {
    for (let cores = 1; cores <= 20; cores += 1) {
      for (const threadsPerCore of [1, 2] as const) {
        const topology = smtTopology({ sockets: 1, coresPerSocket: cores, threadsPerCore });
        const least = threadsPerCore === 2 ? 2 : 4;
        const possible = (cores - 1 - least) * threadsPerCore >= 8;
        assert.equal(
          planPinning({ topology, machines: seed, reservedCores: 1 }).ok,
          possible,
          `${String(cores)} x ${String(threadsPerCore)}`,
        );
      }
    }
  });

  it("refuses an impossible plan with the numbers of every guest concerned", () => {
    const topology = smtTopology({ sockets: 1, coresPerSocket: 4, threadsPerCore: 1 });
    const result = planPinning({ topology, machines: [...floating, ...trading], reservedCores: 1 });
    assert.ok(!result.ok);
    assert.deepEqual(
      result.faults.map(({ property }) => property),
      ["machines[200].vcpus", "machines[100].vcpus", "machines[101].vcpus", "machines[401].vcpus"],
    );
    assert.match(result.faults[0]?.limit ?? "", /at most 3 core\(s\) left in one node \(4 physical cores, 4 CPUs/);
  });
});

function checkGuest(
  topology: HostTopology,
  guest: Machine | undefined,
  cpus: readonly number[],
  dedicated: boolean,
  shared: readonly number[],
): void {
  assert.ok(guest !== undefined && cpus.length >= guest.vcpus, "fewer CPUs than vCPUs");
  assert.equal(dedicated, guest.pinning === "dedicated");
  if (!dedicated) return assert.ok(cpus.every((cpu) => shared.includes(cpu)));
  const cores = physicalCores(topology).filter((core) => core.cpus.some((cpu) => cpus.includes(cpu)));
  assert.ok(cores.length >= 2 && cores.length <= 4, `${String(cores.length)} dedicated cores`);
  assert.equal(new Set(cores.map(({ node }) => node)).size, 1, "dedicated cores in two nodes");
}
