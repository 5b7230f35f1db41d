import type { MachineKind, MachineOs, MachineRole } from "../shared/machines.ts";

/** One network card of a guest; VirtIO, with the Proxmox firewall on. */
export interface NicSpec {
  /** Bridge on the host, for example `vmbr1`. */
  readonly bridge: string;
  /** 802.1Q tag, 1 to 4094; untagged when absent. */
  readonly vlanId?: number | undefined;
  /** Bytes. */
  readonly mtu: number;
  /** MAC address, six octets in hexadecimal. */
  readonly mac: string;
  /** Static address with prefix length, for example `10.20.10.100/24`. */
  readonly cidr: string;
  /** Default route; on one card only. */
  readonly gateway?: string | undefined;
}

/** The plain values of a guest: what planning needs. What only flows through is in `ProxmoxGuestArgs`. */
export interface GuestSpec {
  readonly vmId: number;
  readonly hostname: string;
  readonly kind: MachineKind;
  readonly role: MachineRole;
  readonly os: MachineOs;
  /** Who answers for the guest, as its tag `owner-<owner>` says. */
  readonly owner: string;
  readonly extraTags: readonly string[];
  readonly vcpus: number;
  readonly ramMiB: number;
  /** Balloon floor in MiB; equal to `ramMiB` for a guest that never balloons. */
  readonly balloonMinMiB: number;
  readonly diskGiB: number;
  /** Scheduler weight, 1 to 10000. */
  readonly cpuUnits: number;
  readonly nics: readonly NicSpec[];
  /** CPU list of the host that its vCPUs run on; unpinned (and without root-only step) when absent. */
  readonly affinity?: string | undefined;
  /** Memory from 1 GiB huge pages. */
  readonly hugepages: boolean;
  /** Names of PCI resource mappings passed through. */
  readonly pci: readonly string[];
  /** Names of USB resource mappings passed through. */
  readonly usb: readonly string[];
  /** Whether the Keeper may hand the GPU to this guest or take it away. */
  readonly gpuContender: boolean;
  readonly startupOrder: number;
  /** Created running, and started with the host. */
  readonly onBoot: boolean;
  /** Refuse deletion, in Pulumi and in Proxmox. */
  readonly protect: boolean;
  /** Which root-only fields the stack's state already holds; see {@link RootFieldsInState}. */
  readonly rootFieldsInState: RootFieldsInState;
  /** Longest wait for the guest agent, in seconds. */
  readonly agentTimeoutSec: number;
}

/**
 * Which root-only fields the state of a VM holds, as its last refresh read them. They are set outside of the provider,
 * so the state learns of them by a refresh; from then on they are ignored, and not a moment earlier (the reason stands
 * in `components/shared/ownership.ts`).
 */
export interface RootFieldsInState {
  readonly affinity: boolean;
  readonly hugepages: boolean;
  /** The VM is there and has no cloud-init drive: somebody else set it up, and it was adopted. @default false */
  readonly withoutCloudInit?: boolean | undefined;
}
