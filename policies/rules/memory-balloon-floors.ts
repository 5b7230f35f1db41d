import type { Guest } from "../estate.ts";
import { type Maybe, isKnown, unknownYet } from "../facts.ts";
import { hostRule } from "../rule.ts";

/** What guests need at least fits the host, in every set of guests that may run together. */
export default hostRule({
  name: "memory-balloon-floors",
  description: "The memory floors of all guests that may run together fit the host.",
  reason:
    "A balloon gives memory back only down to its floor; below that the kernel kills a guest (seed 001, OOM Killer).",
  fix: "Lower memory or balloon floors, declare fewer guests, or say in this rule's configuration which guests never run together.",
  config: {
    defaults: { exclusions: [[100, 102]] },
    ofHost: ({ ramMiB, arcMiB, reservedMiB }) => ({ ramMiB, arcMiB, hostMiB: reservedMiB }),
    schema: {
      ramMiB: {
        type: "integer",
        minimum: 1,
        description: "The host's memory in MiB. Without it, that of the host that the stack declares.",
      },
      arcMiB: {
        type: "integer",
        minimum: 0,
        description: "Upper bound of the ZFS cache in MiB. Without it, the declared host's.",
      },
      hostMiB: {
        type: "integer",
        minimum: 0,
        description: "Memory kept for the host itself in MiB. Without it, the declared host's.",
      },
      exclusions: {
        type: "array",
        maxItems: 12,
        items: { type: "array", items: { type: "integer" }, minItems: 2, maxItems: 2 },
        description: "Pairs of ids that never run together, for example [100, 102].",
      },
    },
  },
  check: ({ guests }, config) => {
    const needs = guests.flatMap((guest): Need[] => {
      const floor = floorMiB(guest);
      return isKnown(floor) ? [{ id: guest.id, floor }] : [];
    });
    const usable = config.ramMiB - config.arcMiB - config.hostMiB;
    const worst = mostNeeded(needs, config.exclusions);
    return worst <= usable
      ? []
      : [
          {
            found:
              `Guests that may run together need at least ${String(worst)} MiB; the host has ${String(usable)} MiB for them ` +
              `(${String(config.ramMiB)} MiB less ${String(config.arcMiB)} for the ZFS cache and ${String(config.hostMiB)} for itself).`,
          },
        ];
  },
});

/** Memory that a guest keeps whatever the balloon does: all of it with a passed-through device or huge pages. */
function floorMiB(guest: Guest): Maybe<number> {
  const { ramMiB, balloonMinMiB, devices, rootStep } = guest;
  if (ramMiB === undefined) return guest.kind === "vm" ? providerDefaultMiB : unknownYet;
  if (balloonMinMiB === unknownYet || balloonMinMiB === undefined || balloonMinMiB === 0) return ramMiB;
  const passthrough = isKnown(devices) && devices.some((device) => device.bus === "pci");
  const hugepages = rootStep?.hugepages;
  return passthrough || (isKnown(hugepages) && hugepages !== "") ? ramMiB : balloonMinMiB;
}

/** Memory of a VM that names none (bpg/proxmox, `memory.dedicated`). */
const providerDefaultMiB = 512;

interface Need {
  readonly id: Maybe<number>;
  readonly floor: number;
}

/** The largest sum over all sets without an excluded pair. Branches on one pair at a time: at most 2 to the number of pairs. */
function mostNeeded(needs: readonly Need[], exclusions: readonly (readonly number[])[]): number {
  const pair = exclusions.find(([a, b]) => a !== b && has(needs, a) && has(needs, b));
  if (pair === undefined) return needs.reduce((sum, need) => sum + need.floor, 0);
  return Math.max(
    ...pair.map((left) =>
      mostNeeded(
        needs.filter((need) => need.id !== left),
        exclusions,
      ),
    ),
  );
}

function has(needs: readonly Need[], id: number | undefined): boolean {
  return id !== undefined && needs.some((need) => need.id === id);
}
