import type { Fault } from "../../components/shared/faults.ts";

/**
 * The faults that stop a run. The lab's hardware is what it is: settings written for another machine differ from it
 * and are still worth trying there, so on the lab those are told and do not stop.
 */
export function splitFaults(
  faults: readonly Fault[],
  target: "lab" | "real",
): { readonly blocking: readonly Fault[]; readonly notes: readonly Fault[] } {
  const isHardware = ({ property }: Fault): boolean => /^(devices|host)\./.test(property);
  if (target === "real") return { blocking: faults, notes: [] };
  return { blocking: faults.filter((fault) => !isHardware(fault)), notes: faults.filter(isHardware) };
}
