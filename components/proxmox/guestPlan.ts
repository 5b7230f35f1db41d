import { fault, isWhole as whole } from "../shared/check.ts";
import type { Fault } from "../shared/faults.ts";
import { ignoredFields, type OwnedGuest } from "../shared/ownership.ts";
import type { RootOnlySettings } from "../shared/rootOnly.ts";
import { checkNames, checkNics } from "./guestChecks.ts";
import type { GuestSpec } from "./guestSpec.ts";

/** What {@link ProxmoxGuest} declares, decided from plain values alone. */
export interface GuestPlan {
  readonly tags: readonly string[];
  /** Memory floor that the balloon may reach; 0 turns the balloon off. */
  readonly floatingMiB: number;
  readonly machineType: "q35" | "pc";
  readonly bios: "ovmf" | "seabios";
  /** QEMU's guest type (`l26`, `win10`) or the container's distribution. */
  readonly osType: string;
  /** Whether the guest agent is expected: Windows gets it only when it is installed. */
  readonly agent: boolean;
  readonly watchdog: boolean;
  readonly vga: "std" | "virtio";
  readonly rootStep: RootOnlySettings | undefined;
  /** Fields that are not Pulumi's on this guest (see `components/shared/ownership.ts`). */
  readonly ignoreChanges: readonly string[];
}

const hostnamePattern = /^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/;
const cpuListPattern = /^\d+(-\d+)?(,\d+(-\d+)?)*$/;

/** Faults of a guest's arguments, all at once. Limits are Proxmox's own, or the seed's where one is named. */
export function checkGuest(spec: GuestSpec): readonly Fault[] {
  const faults: Fault[] = [];
  const must = (holds: boolean, property: string, value: unknown, limit: string, fix: string): void => {
    if (!holds) faults.push(fault(property, value, limit, fix));
  };

  must(whole(spec.vmId, 100, 401), "vmId", spec.vmId, "100 to 401 (design §4)", "Choose a free id in this range.");
  if (spec.kind === "container") {
    must(whole(spec.vmId, 300, 399), "vmId", spec.vmId, "300 to 399 for workers", "Give a worker an id of its range.");
  }
  must(
    hostnamePattern.test(spec.hostname),
    "hostname",
    spec.hostname,
    "a DNS label: lower-case letters, digits and hyphens, at most 63",
    "Rename the guest.",
  );
  must(whole(spec.vcpus, 1, 512), "vcpus", spec.vcpus, "1 to 512", "Give a whole number of virtual CPUs.");
  must(whole(spec.ramMiB, 16, 8_388_608), "memory", spec.ramMiB, "16 MiB to 8 TiB", "Give the memory in MiB.");
  must(
    whole(spec.balloonMinMiB, 16, Math.max(16, spec.ramMiB)),
    "balloonMin",
    spec.balloonMinMiB,
    `16 MiB to the guest's memory, ${String(spec.ramMiB)} MiB`,
    "Lower the balloon floor to at most the guest's memory.",
  );
  must(whole(spec.diskGiB, 1, 131_072), "diskGiB", spec.diskGiB, "1 to 131072 GiB", "Give the disk's size in GiB.");
  must(whole(spec.cpuUnits, 1, 10_000), "cpuUnits", spec.cpuUnits, "1 to 10000 (cgroup v2)", "Give a weight in range.");
  faults.push(...checkNics(spec.nics), ...checkNames(spec));
  must(
    spec.affinity === undefined || cpuListPattern.test(spec.affinity),
    "affinity",
    spec.affinity,
    "a CPU list such as 1-2,17-18",
    "Give logical CPU numbers, ranges joined by commas.",
  );
  must(
    !(spec.kind === "container" && spec.os === "windows"),
    "os",
    spec.os,
    "Linux in a container",
    "Make the guest a VM.",
  );
  must(
    !(spec.kind === "container" && (spec.pci.length > 0 || spec.usb.length > 0)),
    "pci",
    spec.pci.concat(spec.usb).join(", "),
    "no mapped devices on containers",
    "Make the guest a VM, or drop the device.",
  );
  must(
    spec.pci.length === 0 || spec.balloonMinMiB === spec.ramMiB,
    "balloonMin",
    spec.balloonMinMiB,
    `the guest's memory, ${String(spec.ramMiB)} MiB, for a guest with a passed-through device cannot balloon`,
    "Leave balloonMin out, or drop the device.",
  );
  must(
    whole(spec.agentTimeoutSec, 5, 3600),
    "agentTimeoutSec",
    spec.agentTimeoutSec,
    "5 to 3600 seconds",
    "Bound the wait for the guest agent: a missing agent hangs an update for 15 minutes otherwise.",
  );
  const vm = spec.kind === "vm";
  const pinnedOnly: readonly [string, boolean, string][] = [
    ["hugepages", spec.hugepages && spec.affinity === undefined, "with an affinity: one root-only step sets both"],
    ["hugepages", spec.hugepages && !vm, "on VMs: containers have no memory of their own"],
    ["affinity", spec.affinity !== undefined && !vm, "on VMs: Proxmox has no affinity for containers"],
    ["balloonMin", !vm && spec.balloonMinMiB !== spec.ramMiB, "on VMs: containers do not balloon"],
  ];
  for (const [property, wrong, limit] of pinnedOnly) {
    must(!wrong, property, "given", `only ${limit}`, `Leave ${property} out, or change the guest.`);
  }
  return faults;
}

/** Decides everything about a guest that needs no other resource. The spec has no fault ({@link checkGuest}). */
export function planGuest(spec: GuestSpec): GuestPlan {
  const windows = spec.os === "windows";
  const vm = spec.kind === "vm";
  const balloons = vm && spec.balloonMinMiB < spec.ramMiB;
  const passthrough = spec.pci.length > 0;
  const kinds: OwnedGuest[] = [spec.kind];
  if (balloons) kinds.push("balloon");
  if (spec.gpuContender) kinds.push("contender");
  if (spec.rootFieldsInState.affinity) kinds.push("affinity-in-state");
  if (spec.rootFieldsInState.hugepages) kinds.push("hugepages-in-state");
  if (spec.rootFieldsInState.withoutCloudInit === true) kinds.push("without-cloud-init");

  return {
    // Proxmox sorts tags and lowers their case; given so, they read back as declared.
    tags: ["hive", `owner-${spec.owner}`, `role-${spec.role}`, ...spec.extraTags].toSorted(),
    floatingMiB: balloons ? spec.balloonMinMiB : 0,
    machineType: passthrough || spec.gpuContender || windows ? "q35" : "pc",
    bios: passthrough || spec.gpuContender || windows ? "ovmf" : "seabios",
    osType: vm ? (windows ? "win10" : "l26") : spec.os,
    agent: vm && !windows,
    watchdog: vm && !windows,
    vga: windows ? "virtio" : "std",
    rootStep:
      vm && spec.affinity !== undefined
        ? {
            vmId: spec.vmId,
            affinity: spec.affinity,
            hugepagesMiB: spec.hugepages ? 1024 : undefined,
            start: spec.onBoot,
          }
        : undefined,
    ignoreChanges: ignoredFields(kinds),
  };
}
