import * as proxmox from "@muhlba91/pulumi-proxmoxve";
import type { RootFieldsInState } from "./guestSpec.ts";

/**
 * Which root-only fields the state of each VM holds, by guest id. Every operation begins with a refresh
 * (`options.refresh: always` in Pulumi.yaml), so what the host has is what the state has; the program cannot read the
 * state itself. The root-only step sets all of them in one call, so a guest that has its affinity has its huge pages too.
 */
export async function rootFieldsInState(
  provider: proxmox.Provider,
  nodeName: string,
  guests: readonly { readonly vmId: number; readonly hugepages?: boolean | undefined }[],
): Promise<(vmId: number) => RootFieldsInState> {
  const { vms } = await proxmox.getVmsLegacy({ nodeName }, { provider });
  const present = new Set(vms.map((vm) => vm.vmId));
  const pinned = await Promise.all(
    guests
      .filter(({ vmId }) => present.has(vmId))
      .map(async ({ vmId, hugepages }) => {
        const { cpu, cdrom } = await proxmox.getVm({ id: vmId, nodeName }, { provider });
        // A VM without one is read as no value at all, whatever the provider's schema says.
        const affinity = String(cpu.affinity ?? "") !== "";
        const withoutCloudInit = !/cloudinit/.test(JSON.stringify(cdrom ?? {}));
        return [vmId, { affinity, hugepages: affinity && hugepages === true, withoutCloudInit }] as const;
      }),
  );
  const found = new Map<number, RootFieldsInState>(pinned);
  return (vmId) => found.get(vmId) ?? { affinity: false, hugepages: false };
}
