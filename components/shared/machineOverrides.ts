import type { Fault } from "./faults.ts";
import type { GenesisSettings, MachineOverride } from "./genesisSettings.ts";
import type { Machine } from "./machines.ts";
import { checkWhole, fault } from "./check.ts";
import { machinePath } from "./ids.ts";
import { estate, seedMachines } from "./machineTable.ts";

/** Largest system disk that is taken for meant, in GiB. */
const mostDiskGiB = 65_536;

function apply(machine: Machine, override: MachineOverride): Machine {
  const { vcpus = machine.vcpus, diskGiB = machine.diskGiB, ramMiB = machine.ramMiB } = override;
  const fixed = machine.balloonMinMiB === machine.ramMiB;
  const balloonMinMiB = override.balloonMinMiB ?? (fixed ? ramMiB : Math.min(machine.balloonMinMiB, ramMiB));
  return { ...machine, vcpus, diskGiB, ramMiB, balloonMinMiB };
}

/**
 * The estate's machines with the settings' overrides, and the faults of both. With a wrong number of workers the
 * machines are the seed's, so that the other planners can go on and tell their faults too.
 */
export function planMachines(settings: Pick<GenesisSettings, "workers" | "machines">): {
  readonly machines: readonly Machine[];
  readonly faults: readonly Fault[];
} {
  const declared = estate(settings.workers);
  const faults: Fault[] = declared.ok ? [] : [...declared.faults];
  const base = declared.ok ? declared.value : seedMachines;
  const overrides = new Map(Object.entries(settings.machines ?? {}));
  const ids = base.map(({ id }) => String(id));
  for (const [id, { diskGiB }] of overrides) {
    if (!ids.includes(id) && (declared.ok || !/^3\d\d$/.test(id))) {
      const limit = `an id of the estate: ${ids.slice(0, 12).join(", ")}${ids.length > 12 ? ", …" : ""}`;
      faults.push(fault(`machines[${id}]`, id, limit, "Correct the id, or raise `workers`."));
    }
    if (diskGiB === undefined) continue;
    faults.push(
      ...checkWhole(machinePath(Number(id), "diskGiB"), diskGiB, 1, mostDiskGiB, "GiB", "Give the size in whole GiB."),
    );
  }
  return { machines: base.map((machine) => apply(machine, overrides.get(String(machine.id)) ?? {})), faults };
}
