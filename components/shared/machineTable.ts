import type { Checked } from "./faults.ts";
import type { Machine } from "./machines.ts";
import { checkWhole } from "./check.ts";
import { checkIds } from "./ids.ts";

const gib = 1024;
/** The first worker's id and how many there can be (design §4: 300 to 399). */
const firstWorker = 300;
const mostWorkers = 100;

/**
 * The machines of the seed's table (seed 001 §4). What the table leaves open is decided here:
 * - 100 holds the GPU, and a guest with a passed-through PCI device cannot balloon: its floor is its size. Its memory
 *   comes from 1 GiB huge pages.
 * - 101 contends for the GPU; while it does not hold it, its balloon may shrink to 8 GiB.
 * - 200 never balloons: trading latency. It has the highest scheduler weight.
 * - 400 is the gateway of the DMZ, so it has a card there.
 */
export const seedMachines: readonly Machine[] = [
  {
    id: 100,
    hostname: "brain",
    title: "The Brain",
    kind: "vm",
    role: "ai",
    os: "ubuntu",
    vcpus: 8,
    ramMiB: 64 * gib,
    balloonMinMiB: 64 * gib,
    diskGiB: 256,
    networks: ["lan", "private"],
    devices: ["gpu"],
    contends: ["gpu"],
    pinning: "shared",
    cpuUnits: 200,
    hugepages: true,
    startupOrder: 3,
    onBoot: true,
    excludes: [],
    protect: true,
    snapshots: true,
  },
  {
    id: 101,
    hostname: "council",
    title: "The Council",
    kind: "vm",
    role: "ai",
    os: "ubuntu",
    vcpus: 4,
    ramMiB: 32 * gib,
    balloonMinMiB: 8 * gib,
    diskGiB: 128,
    networks: ["lan", "private"],
    devices: [],
    contends: ["gpu"],
    pinning: "shared",
    cpuUnits: 100,
    hugepages: false,
    startupOrder: 5,
    onBoot: true,
    excludes: [],
    protect: false,
    snapshots: true,
  },
  {
    id: 200,
    hostname: "trading",
    title: "Trading Floor",
    kind: "vm",
    role: "trading",
    os: "windows",
    vcpus: 4,
    ramMiB: 8 * gib,
    balloonMinMiB: 8 * gib,
    diskGiB: 128,
    networks: ["lan", "private"],
    devices: [],
    contends: [],
    pinning: "dedicated",
    cpuUnits: 10_000,
    hugepages: false,
    startupOrder: 2,
    onBoot: true,
    excludes: [],
    protect: true,
    snapshots: true,
  },
  {
    id: 400,
    hostname: "bastion",
    title: "The Bastion",
    kind: "vm",
    role: "security",
    os: "debian",
    vcpus: 2,
    ramMiB: 4 * gib,
    balloonMinMiB: 2 * gib,
    diskGiB: 64,
    networks: ["lan", "private", "dmz"],
    devices: [],
    contends: [],
    pinning: "shared",
    cpuUnits: 500,
    hugepages: false,
    startupOrder: 1,
    onBoot: true,
    excludes: [],
    protect: true,
    snapshots: true,
  },
  {
    id: 401,
    hostname: "cortex",
    title: "Visual Cortex",
    kind: "vm",
    role: "vision",
    os: "debian",
    vcpus: 4,
    ramMiB: 8 * gib,
    balloonMinMiB: 4 * gib,
    diskGiB: 64,
    networks: ["lan", "private"],
    devices: ["tpu"],
    contends: [],
    pinning: "shared",
    cpuUnits: 100,
    hugepages: false,
    startupOrder: 4,
    onBoot: true,
    excludes: [],
    protect: false,
    snapshots: true,
  },
];

/** Worker number `index` (0 to 99): an Alpine container for scrapers and small bots (seed 001 §4), id 300 + index. */
export function worker(index: number): Machine {
  const id = firstWorker + index;
  return {
    id,
    hostname: `worker-${String(id)}`,
    title: `Worker ${String(id)}`,
    kind: "container",
    role: "worker",
    os: "alpine",
    vcpus: 1,
    ramMiB: 512,
    balloonMinMiB: 512,
    diskGiB: 4,
    networks: ["lan"],
    devices: [],
    contends: [],
    pinning: "shared",
    cpuUnits: 50,
    hugepages: false,
    startupOrder: 6,
    onBoot: true,
    excludes: [],
    protect: false,
    snapshots: false,
  };
}

/** The seed's machines and so many workers, by id. */
export function estate(workers: number): Checked<readonly Machine[]> {
  const faults = checkWhole(
    "workers",
    workers,
    0,
    mostWorkers,
    "",
    "Workers have the ids 300 to 399: ask for 100 at most.",
  );
  if (faults.length > 0) return { ok: false, faults };
  const all = [...seedMachines, ...Array.from({ length: workers }, (_, index) => worker(index))];
  return checkIds(all.toSorted((a, b) => a.id - b.id));
}
