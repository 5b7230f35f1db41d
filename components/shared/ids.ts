import type { Checked, Fault } from "./faults.ts";
import type { Machine } from "./machines.ts";
import { checked, dnsLabel, fault, isWhole } from "./check.ts";

/** Guest ids of the estate (design §4). */
export const idRange = { least: 100, most: 401, workerLeast: 300, workerMost: 399 } as const;

/** Whether an id is in the workers' range. */
export function isWorkerId(id: number): boolean {
  return isWhole(id, idRange.workerLeast, idRange.workerMost);
}

/** Path of a machine's property; machines are named by id, for example `machines[200].vcpus`. */
export function machinePath(id: number, property?: string): string {
  return `machines[${String(id)}]${property === undefined ? "" : `.${property}`}`;
}

/**
 * Checks ids and names: ids 100 to 401, workers exactly in 300 to 399 (design §4), ids and hostnames used once,
 * hostnames DNS labels, `excludes` naming machines that exist.
 */
export function checkIds(machines: readonly Machine[]): Checked<readonly Machine[]> {
  const faults: Fault[] = [];
  const ids = new Map<number, number>();
  const names = new Map<string, number>();
  for (const { id, hostname, role, excludes } of machines) {
    const path = (property: string): string => machinePath(id, property);
    if (!isWhole(id, idRange.least, idRange.most)) {
      faults.push(
        fault(path("id"), id, "a whole number from 100 to 401", "Give the machine an id in the estate's range."),
      );
    } else if ((role === "worker") !== isWorkerId(id)) {
      const limit =
        role === "worker" ? "300 to 399 for a worker" : "100 to 299, 400 or 401 for a machine that is no worker";
      faults.push(fault(path("id"), id, limit, "Move the machine into its range."));
    }
    if (ids.has(id)) faults.push(fault(path("id"), id, "one machine an id", `Give ${hostname} another id.`));
    if (!dnsLabel.test(hostname)) {
      faults.push(
        fault(path("hostname"), hostname, "a DNS label: a-z, 0-9 and -, 1 to 63 characters", "Rename the machine."),
      );
    } else if (names.has(hostname)) {
      const other = String(names.get(hostname));
      faults.push(fault(path("hostname"), hostname, `one machine a name; ${other} has it`, "Rename one of the two."));
    }
    ids.set(id, id);
    names.set(hostname, id);
    for (const other of excludes) {
      if (other !== id && machines.some((machine) => machine.id === other)) continue;
      faults.push(fault(path("excludes"), other, "ids of other machines of the estate", "Name a machine that exists."));
    }
  }
  return checked(faults, machines);
}
