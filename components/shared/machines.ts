/**
 * The machine table: one row per machine of the estate, as seed 001 §4 lists them.
 * Everything else (pins, addresses, memory, policies, the lab's page) is computed from these rows.
 */

/** How a machine comes to be. `vm` is a QEMU guest, `container` an LXC one. */
export type MachineKind = "vm" | "container";

/** What a machine is for. Policies and tags use it. */
export type MachineRole = "ai" | "trading" | "worker" | "security" | "vision" | "render" | "sandbox";

/** The operating system's family, which picks image, agent and answer file. */
export type MachineOs = "ubuntu" | "debian" | "alpine" | "windows";

/** Which bridge a network card is on: `lan` is vmbr0, `private` vmbr1, `dmz` vmbr2 (design §4). */
export type NetworkName = "lan" | "private" | "dmz";

/** A device passed to a machine by a resource mapping. */
export type DeviceName = "gpu" | "tpu";

/** One machine of the estate. */
export interface Machine {
  /** Proxmox guest id, 100 to 401; workers 300 to 399 (design §4). */
  readonly id: number;
  /** DNS label and guest name, for example `brain`. */
  readonly hostname: string;
  /** Its name in the seed, for example `The Brain`. */
  readonly title: string;
  readonly kind: MachineKind;
  readonly role: MachineRole;
  readonly os: MachineOs;
  /** Virtual CPUs. */
  readonly vcpus: number;
  /** Memory at most, in MiB. */
  readonly ramMiB: number;
  /**
   * Memory below which the balloon never squeezes it, in MiB. Equal to `ramMiB` when it may not balloon:
   * a guest with a passed-through device cannot.
   */
  readonly balloonMinMiB: number;
  /** Size of the system disk in GiB. */
  readonly diskGiB: number;
  /** Networks it has a card on; the first carries its default route. */
  readonly networks: readonly NetworkName[];
  /** Devices that it owns when first created. */
  readonly devices: readonly DeviceName[];
  /** Devices that the Keeper may hand to it later (design §4: a declared contender). */
  readonly contends: readonly DeviceName[];
  /**
   * How its vCPUs relate to the host's cores: `dedicated` takes whole physical cores that nobody else may use,
   * `shared` floats over what is left.
   */
  readonly pinning: "dedicated" | "shared";
  /** Scheduler weight (Proxmox `cpuunits`, cgroup v2: 1 to 10000, default 100). */
  readonly cpuUnits: number;
  /** Whether its memory comes from reserved 1 GiB huge pages. */
  readonly hugepages: boolean;
  /** Place in the start order; lower starts first (the bastion is 1). */
  readonly startupOrder: number;
  /** Whether it is created running and starts with the host. */
  readonly onBoot: boolean;
  /** Machines (ids) that must be stopped while it runs; the memory planner checks every reachable set. */
  readonly excludes: readonly number[];
  /** Whether Pulumi and Proxmox refuse to delete it (seed 001: 100, 200 and 400 hold what cannot be rebuilt). */
  readonly protect: boolean;
  /** Whether the snapshot schedule covers its disks. */
  readonly snapshots: boolean;
}
