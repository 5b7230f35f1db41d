import { formatMiB } from "../../components/shared/units.ts";
import type { MachineOutput } from "../../components/shared/outputs.ts";
import { renderTable } from "./table.ts";

function isMachine(value: unknown): value is MachineOutput {
  return (
    typeof value === "object" &&
    value !== null &&
    "id" in value &&
    typeof value.id === "number" &&
    "hostname" in value &&
    typeof value.hostname === "string" &&
    "addresses" in value &&
    Array.isArray(value.addresses)
  );
}

/** The machines among a stack's outputs; none when the stack exports none. */
export function machinesOf(outputs: Readonly<Record<string, unknown>>): readonly MachineOutput[] {
  const machines = outputs["machines"];
  return Array.isArray(machines) ? machines.filter(isMachine) : [];
}

/** The machines as a table: what they are, where they are reached, which cores are theirs. */
export function renderMachines(machines: readonly MachineOutput[]): string {
  return renderTable(
    ["ID", "NAME", "KIND", "vCPU", "MEMORY", "CPUS", "ADDRESSES", "DEVICES", "PROTECTED"],
    machines.map((machine) => [
      String(machine.id),
      machine.hostname,
      machine.kind,
      String(machine.vcpus),
      formatMiB(machine.ramMiB),
      `${machine.cpus}${machine.dedicated ? " (its own)" : ""}`,
      machine.addresses.map((each) => `${each.cidr} ${each.bridge}`).join(", ") || "-",
      machine.devices.join(", ") || "-",
      machine.protect ? "yes" : "no",
    ]),
  );
}
