import { fault } from "../shared/check.ts";
import type { Checked, Fault } from "../shared/faults.ts";
import { checkPublicKeys } from "../shared/publicKeys.ts";
import { parseMiB } from "../shared/units.ts";
import type { ProxmoxGuestArgs } from "./guestArgs.ts";
import { checkFirewallRules } from "./firewallChecks.ts";
import { checkSurroundings } from "./guestChecks.ts";
import { checkGuest, planGuest, type GuestPlan } from "./guestPlan.ts";
import type { GuestSpec } from "./guestSpec.ts";

/** The arguments with every default filled in and amounts parsed, and what follows from them; every fault at once. */
export function guestFrom(args: ProxmoxGuestArgs): Checked<{ readonly spec: GuestSpec; readonly plan: GuestPlan }> {
  const memory = parseMiB("memory", args.memory ?? "512 MiB");
  const floor = args.balloonMin === undefined ? memory : parseMiB("balloonMin", args.balloonMin);
  const floorMiB = floor.ok ? floor.value : undefined;
  // An amount that cannot be read is taken to be the other one, so that nothing else is found wrong because of it.
  const ramMiB = memory.ok ? memory.value : (floorMiB ?? 512);
  const spec = specOf(args, ramMiB, floorMiB ?? ramMiB);
  const faults = [
    ...(memory.ok ? [] : memory.faults),
    ...(floor === memory || floor.ok ? [] : floor.faults),
    ...checkGuest(spec).filter(({ property }) => memory.ok || property !== "memory"),
    ...checkSurroundings(args),
    ...checkPublicKeys("admin.publicKeys", args.admin.publicKeys, 0),
    ...checkFirewallRules(args.firewallRules ?? [], args.nics.length),
    ...missing(args, spec),
  ];
  return faults.length > 0 ? { ok: false, faults } : { ok: true, value: { spec, plan: planGuest(spec) } };
}

/** Faults of what this kind of guest needs and was not given. */
function missing(args: ProxmoxGuestArgs, spec: GuestSpec): readonly Fault[] {
  const faults: Fault[] = [];
  if (spec.kind === "vm" && spec.affinity !== undefined && args.host === undefined) {
    const limit = `the SSH connection of the Proxmox host, to pin the guest (affinity ${spec.affinity}), which only root@pam may do`;
    faults.push(fault("host", undefined, limit, "Give it, or leave affinity out."));
  }
  if (spec.kind === "container" && args.image === undefined) {
    faults.push(fault("image", undefined, "a container template", "Give the template's volume."));
  }
  return faults;
}

function specOf(args: ProxmoxGuestArgs, ramMiB: number, balloonMinMiB: number): GuestSpec {
  return {
    vmId: args.vmId,
    hostname: args.hostname,
    kind: args.kind ?? "vm",
    role: args.role,
    os: args.os,
    owner: args.owner ?? "pulumi",
    extraTags: args.extraTags ?? [],
    vcpus: args.vcpus ?? 1,
    ramMiB,
    balloonMinMiB,
    diskGiB: args.diskGiB ?? 8,
    cpuUnits: args.cpuUnits ?? 100,
    nics: args.nics,
    affinity: args.affinity,
    hugepages: args.hugepages ?? false,
    pci: args.pci ?? [],
    usb: args.usb ?? [],
    gpuContender: args.gpuContender ?? false,
    startupOrder: args.startupOrder ?? 10,
    onBoot: args.onBoot ?? true,
    protect: args.protect ?? false,
    rootFieldsInState: args.rootFieldsInState ?? { affinity: false, hugepages: false },
    agentTimeoutSec: args.agentTimeoutSec ?? 180,
  };
}
