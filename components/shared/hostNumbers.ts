import type { Subnet } from "./ipv4.ts";
import { idRange, isWorkerId } from "./ids.ts";
import { hasHost } from "./ipv4.ts";

/**
 * The rule that turns a machine's id into an address, from the id and the subnet alone:
 * 1. Candidates are the subnet's hosts from its first host number on, without gateway and host addresses.
 * 2. A machine that is no worker gets the candidate whose host number is its id, wrapped around at the end: on
 *    10.20.10.0/24 with first host 10, 100 gets .100, 200 gets .200, 400 gets .155.
 * 3. Candidates that the ids 100-119, 200-219, 400 and 401 would get are kept for them; worker 300 + n gets the n-th
 *    of the others. A /24 so holds all seed machines and all 100 workers.
 */
const keptIds: readonly number[] = [
  ...Array.from({ length: 20 }, (_, index) => 100 + index),
  ...Array.from({ length: 20 }, (_, index) => 200 + index),
  400,
  401,
];

/** Most hosts of a subnet that are considered: more than ids exist, and bounded for large subnets. */
const mostCandidates = 1024;

/** Addresses that machines of a subnet can get, ascending; `start` is the first host number. */
export function candidates(subnet: Subnet, start: number, kept: readonly (number | undefined)[]): readonly number[] {
  const taken = new Set(kept);
  const hosts: number[] = [];
  const last = Math.min(subnet.last, subnet.base + start + mostCandidates);
  for (let address = subnet.base + start; address <= last; address += 1) {
    if (hasHost(subnet, address) && !taken.has(address)) hosts.push(address);
  }
  return hosts;
}

function natural(id: number, hosts: readonly number[]): number | undefined {
  const first = hosts[0];
  if (first === undefined) return undefined;
  const offset = id - (first % 256);
  return hosts[((offset % hosts.length) + hosts.length) % hosts.length];
}

/** The address of a machine among a subnet's candidates. */
export function hostOf(id: number, hosts: readonly number[]): number | undefined {
  if (!isWorkerId(id)) return natural(id, hosts);
  const kept = new Set(keptIds.map((other) => natural(other, hosts)));
  const others = hosts.filter((address) => !kept.has(address));
  // A subnet with nothing beside the kept candidates gives its workers those; collisions are found by the planner.
  const usable = others.length > 0 ? others : hosts;
  return usable[(id - idRange.workerLeast) % usable.length];
}
