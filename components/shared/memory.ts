import type { Checked, Fault } from "./faults.ts";
import type { DeviceName, Machine } from "./machines.ts";
import { checked, checkWhole, fault, faultInWords, isWhole } from "./check.ts";
import { idRange, machinePath } from "./ids.ts";
import { worker } from "./machineTable.ts";
import { formatMiB } from "./units.ts";

/** A set of guests that can run together, and that no further guest can join. */
export interface ReachableSet {
  /** Ids, ascending. */
  readonly running: readonly number[];
  /** Sum of the most each may have. */
  readonly maxMiB: number;
  /** Sum of what balloons cannot take away, when the devices are held by those that need most then. */
  readonly floorMiB: number;
}

/** What the host's memory is for. */
export interface MemoryPlan {
  /** Memory for guests: the host's without ZFS cache and its own part. */
  readonly usableMiB: number;
  /** Most memory that running guests take in huge pages of 1 GiB. */
  readonly hugepagesMiB: number;
  /** Every maximal set of guests that can run together. */
  readonly reachable: readonly ReachableSet[];
  /** Further workers that would fit. */
  readonly workersLeft: number;
}

/** Guests with `excludes` that are searched: the sets can double with each pair. */
const mostExclusive = 20;
const hugepageMiB = 1024;
/** 1 PiB: more is a mistake. */
const mostMiB = 2 ** 30;
/**
 * Devices that pin their holder's memory: VFIO maps all of a guest for a PCI device's DMA, so its balloon has no
 * effect (Proxmox VE administration guide, PCI passthrough). USB devices are emulated and pin nothing.
 */
const pinning: readonly DeviceName[] = ["gpu"];

function excluding(machines: readonly Machine[]): (a: number, b: number) => boolean {
  const pairs = new Set(
    machines.flatMap(({ id, excludes }) =>
      excludes.flatMap((other) => [`${String(id)} ${String(other)}`, `${String(other)} ${String(id)}`]),
    ),
  );
  return (a, b) => pairs.has(`${String(a)} ${String(b)}`);
}

/** Every maximal set of machines in which nobody excludes another. */
function maximalSets(machines: readonly Machine[]): readonly (readonly Machine[])[] {
  const excludes = excluding(machines);
  const tied = machines.filter(({ id }) => machines.some((other) => excludes(id, other.id)));
  const free = machines.filter((machine) => !tied.includes(machine));
  const sets: Machine[][] = [];
  const grow = (chosen: readonly Machine[], rest: readonly Machine[]): void => {
    const [next, ...others] = rest;
    if (next === undefined) {
      const maximal = tied.every(
        (machine) => chosen.includes(machine) || chosen.some(({ id }) => excludes(id, machine.id)),
      );
      if (maximal) sets.push([...free, ...chosen].sort((a, b) => a.id - b.id));
      return;
    }
    if (!chosen.some(({ id }) => excludes(id, next.id))) grow([...chosen, next], others);
    if (others.some(({ id }) => excludes(id, next.id)) || chosen.some(({ id }) => excludes(id, next.id)))
      grow(chosen, others);
  };
  grow([], tied);
  return sets;
}

/** What a set cannot give back: floors, and the whole memory of whoever holds a device that pins memory. */
function floorOf(set: readonly Machine[]): number {
  const floors = set.reduce((sum, { balloonMinMiB }) => sum + balloonMinMiB, 0);
  const extra = pinning.map((device) => {
    const holders = set.filter(({ devices, contends }) => devices.includes(device) || contends.includes(device));
    return Math.max(0, ...holders.map(({ ramMiB, balloonMinMiB }) => ramMiB - balloonMinMiB));
  });
  return floors + extra.reduce((sum, value) => sum + value, 0);
}

function machineFaults(machines: readonly Machine[]): Fault[] {
  return machines.flatMap(({ id, kind, ramMiB, balloonMinMiB, hugepages, devices }) => {
    const faults = checkWhole(machinePath(id, "ramMiB"), ramMiB, 16, mostMiB, "MiB", "Give the machine memory in MiB.");
    if (faults.length > 0) return faults;
    const floor = machinePath(id, "balloonMinMiB");
    if (!isWhole(balloonMinMiB, 16, ramMiB)) {
      return [
        fault(
          floor,
          balloonMinMiB,
          `16 to ${String(ramMiB)} MiB, the machine's memory`,
          "Lower the floor, or raise the memory.",
        ),
      ];
    }
    const passed = devices.some((device) => pinning.includes(device));
    if (balloonMinMiB !== ramMiB && (hugepages || passed || kind === "container")) {
      const why = passed
        ? "a guest with a passed-through PCI device cannot balloon"
        : `${hugepages ? "huge pages" : "containers"} cannot balloon`;
      faults.push(
        fault(
          floor,
          balloonMinMiB,
          `${String(ramMiB)} MiB, all of its memory: ${why}`,
          "Set the floor to the machine's memory.",
        ),
      );
    }
    if (hugepages && ramMiB % hugepageMiB !== 0) {
      faults.push(
        fault(
          machinePath(id, "ramMiB"),
          ramMiB,
          "a multiple of 1024 MiB: its huge pages are 1 GiB",
          "Round to whole GiB.",
        ),
      );
    }
    return faults;
  });
}

/** The machine as far as it can be counted when its own numbers are wrong, so that the sum's fault is told as well. */
function countable(machine: Machine): Machine {
  const ramMiB = isWhole(machine.ramMiB, 16, mostMiB) ? machine.ramMiB : 0;
  const balloonMinMiB = Number.isFinite(machine.balloonMinMiB)
    ? Math.min(Math.max(machine.balloonMinMiB, 0), ramMiB)
    : 0;
  return { ...machine, ramMiB, balloonMinMiB };
}

/**
 * Checks that every reachable set of running guests fits the host (design §4): balloon floors, and the whole memory of
 * the GPU's holder, which can be any running contender, must fit the memory that ZFS cache (`arcMiB`) and host
 * (`reservedMiB`) leave. The sum of the most each may have can be above it: balloons make the difference. Containers
 * have no balloon; their limit is their floor.
 */
export function planMemory(input: {
  readonly machines: readonly Machine[];
  readonly ramMiB: number;
  readonly arcMiB: number;
  readonly reservedMiB: number;
}): Checked<MemoryPlan> {
  const { machines, ramMiB, arcMiB, reservedMiB } = input;
  const hostFaults = [
    ...checkWhole("host.ramMiB", ramMiB, 1024, mostMiB, "MiB", "Write the host's memory, for example 128 GB."),
    // OpenZFS: zfs_arc_max must be at least 64 MiB.
    ...checkWhole("host.arcMiB", arcMiB, 64, mostMiB, "MiB", "Leave the ZFS cache at least 64 MiB."),
    ...checkWhole("host.reservedMiB", reservedMiB, 1024, mostMiB, "MiB", "Leave the host at least 1 GiB."),
  ];
  const faults: Fault[] = [...hostFaults, ...machineFaults(machines)];
  const excludes = excluding(machines);
  const tied = machines.filter(({ id }) => machines.some((other) => excludes(id, other.id)));
  if (tied.length > mostExclusive) {
    const given = `${String(tied.length)} machines that exclude others`;
    const fix = "Let fewer machines exclude each other.";
    return { ok: false, faults: [...faults, faultInWords("machines", given, `at most ${String(mostExclusive)}`, fix)] };
  }
  if (hostFaults.length > 0) return { ok: false, faults };
  const usableMiB = ramMiB - arcMiB - reservedMiB;
  const sets = maximalSets(machines.map(countable));
  const reachable = sets.map((set) => ({
    running: set.map(({ id }) => id),
    maxMiB: set.reduce((sum, machine) => sum + machine.ramMiB, 0),
    floorMiB: floorOf(set),
  }));
  for (const { running, maxMiB, floorMiB } of reachable) {
    if (floorMiB > usableMiB) faults.push(tooMuch(running, maxMiB, floorMiB, input));
  }
  const spare = usableMiB - Math.max(0, ...reachable.map(({ floorMiB }) => floorMiB));
  const ids = idRange.workerMost - idRange.workerLeast + 1 - machines.filter(({ role }) => role === "worker").length;
  const huge = sets.map((set) => set.reduce((sum, machine) => sum + (machine.hugepages ? machine.ramMiB : 0), 0));
  return checked(faults, {
    usableMiB,
    hugepagesMiB: Math.max(0, ...huge),
    reachable,
    workersLeft: Math.max(0, Math.min(ids, Math.floor(spare / worker(0).ramMiB))),
  });
}

function tooMuch(
  running: readonly number[],
  maxMiB: number,
  floorMiB: number,
  host: { ramMiB: number; arcMiB: number; reservedMiB: number },
): Fault {
  const usable = host.ramMiB - host.arcMiB - host.reservedMiB;
  const names =
    running.length > 12
      ? `${running.slice(0, 12).join(", ")} and ${String(running.length - 12)} more`
      : running.join(", ");
  const limit =
    `${String(floorMiB)} MiB for ${names} together (at least, with every balloon shrunk; ${String(maxMiB)} MiB at most), ` +
    `but ${String(usable)} MiB usable: ${formatMiB(host.ramMiB)} less ${formatMiB(host.arcMiB)} ZFS cache and ${formatMiB(host.reservedMiB)} for the host`;
  return {
    property: "host.ramMiB",
    value: String(host.ramMiB),
    limit: `room for ${limit}`,
    fix: `Take ${String(floorMiB - usable)} MiB from these machines (fewer workers, lower floors), or let machines exclude each other.`,
  };
}
