/** What the Keeper's host side must be allowed to do in Proxmox, by its configuration. Pure. */
import type { HostConfig } from "../../../../components/shared/agent/keeperConfig.ts";
import { keeperPrivileges } from "../../../../components/shared/privileges.ts";
import type { Need } from "./rights.ts";

/** The role that `docs/host-setup.md` has made for it. */
export const keeperRole = "Keeper";

/** The role's rights over each guest that is configured, and over the card's mapping where it may be moved. */
export function keeperNeeds({ guests, handoff }: Pick<HostConfig, "guests" | "handoff">): readonly Need[] {
  const overGuests = keeperPrivileges.filter((privilege) => privilege.startsWith("VM."));
  const overCard = keeperPrivileges.filter((privilege) => privilege.startsWith("Mapping."));
  return [
    ...guests.map(({ vmid }) => ({ path: `/vms/${String(vmid)}`, privileges: overGuests })),
    ...(handoff.enabled ? [{ path: `/mapping/pci/${handoff.mapping}`, privileges: overCard }] : []),
  ];
}
