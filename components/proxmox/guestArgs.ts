import type * as pulumi from "@pulumi/pulumi";
import type { MachineKind, MachineOs, MachineRole } from "../shared/machines.ts";
import type { GuestFirewallRule } from "./firewallRules.ts";
import type { NicSpec, RootFieldsInState } from "./guestSpec.ts";
import type { HostConnection } from "./rootStep.ts";

/** Arguments of `ProxmoxGuest`. Plain values where planning needs them, `pulumi.Input` for what only flows through. */
export interface ProxmoxGuestArgs {
  /** Proxmox guest id, 100 to 401; containers 300 to 399. */
  readonly vmId: number;
  /** Guest name and DNS label. */
  readonly hostname: string;
  /** Proxmox node that it is declared on. */
  readonly nodeName: string;
  /** @default "vm" */
  readonly kind?: MachineKind | undefined;
  readonly os: MachineOs;
  /** What the guest is for; its tag `role-<role>` and the policies use it. */
  readonly role: MachineRole;
  /** Who answers for it; its tag `owner-<owner>`. @default "pulumi" */
  readonly owner?: string | undefined;
  /** Further tags. @default [] */
  readonly extraTags?: readonly string[] | undefined;
  /** One sentence about it; our mark is appended. @default "<hostname>." */
  readonly description?: string | undefined;
  /** Virtual CPUs. @default 1 */
  readonly vcpus?: number | undefined;
  /** Memory, for example `"4 GB"`; a number is MiB. @default "512 MiB" */
  readonly memory?: string | number | undefined;
  /** Floor that the balloon may squeeze it to. @default `memory`: it never balloons */
  readonly balloonMin?: string | number | undefined;
  /** System disk, in GiB. @default 8 */
  readonly diskGiB?: number | undefined;
  /** Scheduler weight, 1 to 10000. @default 100 */
  readonly cpuUnits?: number | undefined;
  /** Network cards, in order. */
  readonly nics: readonly NicSpec[];
  /** Host CPUs for its vCPU threads, for example `"1-2,17-18"`; VMs only, needs `host`. @default unpinned */
  readonly affinity?: string | undefined;
  /** Memory from 1 GiB huge pages; needs `affinity`. @default false */
  readonly hugepages?: boolean | undefined;
  /** PCI resource mappings passed through. @default [] */
  readonly pci?: readonly string[] | undefined;
  /** USB resource mappings passed through. @default [] */
  readonly usb?: readonly string[] | undefined;
  /** Whether the Keeper may hand the GPU to it or take it away. @default false */
  readonly gpuContender?: boolean | undefined;
  /** Place in the host's start order, lowest first. @default 10 */
  readonly startupOrder?: number | undefined;
  /** Created running, and started with the host. @default true */
  readonly onBoot?: boolean | undefined;
  /** Refuse deletion, in Pulumi and in Proxmox. @default false */
  readonly protect?: boolean | undefined;
  /**
   * Which root-only fields the stack's state already holds. `rootFieldsInState()` of this library reads it from the
   * state; use it with `options.refresh: always` in Pulumi.yaml. @default none
   */
  readonly rootFieldsInState?: RootFieldsInState | undefined;
  /** Pool that it is put in; what may be done to it can depend on it. @default none */
  readonly pool?: string | undefined;
  /** Whether a container may make namespaces: systemd's own sandboxes need them. @default false */
  readonly nesting?: boolean | undefined;
  /** Longest wait for the guest agent, in seconds. @default 180 */
  readonly agentTimeoutSec?: number | undefined;
  /** Proxmox storage for its disks. */
  readonly storageId: pulumi.Input<string>;
  /** Volume that the system disk (VM) or root file system (container) is made from; a container needs one. @default an empty disk */
  readonly image?: pulumi.Input<string> | undefined;
  /** ISO volume in the drive, for a guest that installs itself. @default none */
  readonly iso?: pulumi.Input<string> | undefined;
  /** Cloud-init snippet with vendor data; Linux VMs only. @default none */
  readonly vendorData?: pulumi.Input<string> | undefined;
  /** Administrator that cloud-init makes (VM), or whose keys root gets (container). */
  readonly admin: { readonly user: string; readonly publicKeys: readonly string[] };
  /** Resolvers and search domain. */
  readonly dns: { readonly domain: string; readonly servers: readonly string[] };
  /** Its firewall, in order; what none of them accepts on its way in is dropped. @default [] */
  readonly firewallRules?: readonly GuestFirewallRule[] | undefined;
  /** Where the root-only step runs; needed with `affinity`. */
  readonly host?: HostConnection | undefined;
}
