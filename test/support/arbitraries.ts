/** Generators of hosts and estates for property tests. */
import fc from "fast-check";
import type { Machine } from "../../components/shared/machines.ts";
import type { HostTopology, LogicalCpu } from "../../components/shared/topology.ts";
import { seedMachines, worker } from "../../components/shared/machineTable.ts";
import { smtTopology } from "../../components/shared/topology.ts";

/** Regular hosts: SMT off or on, 1 to 4 sockets, 1 to 4 NUMA nodes a socket, both numberings of siblings. */
const regularHost: fc.Arbitrary<HostTopology> = fc
  .record({
    sockets: fc.integer({ min: 1, max: 4 }),
    coresPerSocket: fc.integer({ min: 1, max: 24 }),
    threadsPerCore: fc.constantFrom<1 | 2>(1, 2),
    nodesPerSocket: fc.integer({ min: 1, max: 4 }),
    numbering: fc.constantFrom<"split" | "adjacent">("split", "adjacent"),
  })
  .map(smtTopology);

/** Hybrid hosts: fast cores with SMT, then slow ones without, as on Intel's client processors. */
export const hybridHost: fc.Arbitrary<HostTopology> = fc
  .record({ fast: fc.integer({ min: 1, max: 8 }), slow: fc.integer({ min: 1, max: 16 }) })
  .map(({ fast, slow }) => {
    const cpus: LogicalCpu[] = [];
    for (let core = 0; core < fast + slow; core += 1) {
      const threads = core < fast ? 2 : 1;
      for (let thread = 0; thread < threads; thread += 1) {
        cpus.push({ cpu: cpus.length, core, socket: 0, node: 0, maxMhz: core < fast ? 5200 : 3900 });
      }
    }
    return { cpus };
  });

export const host: fc.Arbitrary<HostTopology> = fc.oneof({ weight: 3, arbitrary: regularHost }, hybridHost);

/** Machines with distinct ids from the estate's range; sizes, pinning, floors, exclusions and contenders vary. */
export function machines(most = 8): fc.Arbitrary<readonly Machine[]> {
  const id = fc.oneof(
    fc.integer({ min: 100, max: 299 }),
    fc.integer({ min: 300, max: 399 }),
    fc.constantFrom(400, 401),
  );
  return fc
    .uniqueArray(id, { minLength: 1, maxLength: most })
    .chain((ids) =>
      fc.tuple(...ids.map((one) => machine(one, ids))).map((list) => list.toSorted((a, b) => a.id - b.id)),
    );
}

function machine(id: number, ids: readonly number[]): fc.Arbitrary<Machine> {
  const base =
    id >= 300 && id < 400 ? worker(id - 300) : (seedMachines.find(({ role }) => role === "vision") ?? worker(0));
  return fc
    .record({
      vcpus: fc.integer({ min: 1, max: 10 }),
      ramMiB: fc.integer({ min: 1, max: 48 }).map((gib) => gib * 1024),
      share: fc.constantFrom(1, 2, 4),
      dedicated: fc.integer({ min: 0, max: 3 }),
      contends: fc.boolean(),
      hugepages: fc.boolean(),
      excludes: fc.subarray(
        ids.filter((other) => other !== id),
        { maxLength: Math.min(2, ids.length - 1) },
      ),
    })
    .map(({ vcpus, ramMiB, share, dedicated, contends, hugepages, excludes }) => ({
      ...base,
      id,
      hostname: `m${String(id)}`,
      vcpus,
      ramMiB,
      hugepages,
      balloonMinMiB: hugepages || base.kind === "container" ? ramMiB : ramMiB / share,
      pinning: dedicated === 0 ? "dedicated" : "shared",
      devices: [],
      contends: contends ? ["gpu"] : [],
      excludes,
    }));
}
