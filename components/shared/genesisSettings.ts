import type { KeeperSettings } from "./agent/keeperSettings.ts";
import type { HostTopology } from "./topology.ts";

/**
 * The settings of stack `genesis` after validation: what `Pulumi.genesis.yaml` says, with every default filled in.
 * Secrets are not here; they stay Pulumi secrets (see `stacks/genesis.config.ts`).
 */
export interface GenesisSettings {
  /** Proxmox API, for example `https://192.168.1.10:8006/`. */
  readonly endpoint: string;
  /** Accept a self-signed certificate. @default false */
  readonly insecure: boolean;
  /** Proxmox node that everything is declared on. @default "pve" */
  readonly nodeName: string;
  /** Where the root-only steps connect (affinity, huge pages, ZFS, timers). */
  readonly ssh: {
    readonly host: string;
    readonly port: number;
    readonly user: string;
    readonly hostKey?: string | undefined;
  };
  /** Addresses (CIDR) that may reach 8006 and 22 on the host at every moment. */
  readonly adminCidrs: readonly string[];
  /** Login that cloud-init makes in every Linux guest, with this public key. */
  readonly admin: { readonly user: string; readonly publicKeys: readonly string[] };
  readonly host: HostSettings;
  readonly storage: StorageSettings;
  readonly networks: NetworkSettings;
  /** Number of workers, ids from 300. @default 2 */
  readonly workers: number;
  /** Changes to single machines of the table, by id. @default none */
  readonly machines?: Readonly<Record<string, MachineOverride>> | undefined;
  /** Images and media. */
  readonly images: ImageSettings;
  /** The host's GPU and TPU; undefined where it has none, and then no guest gets one. */
  readonly devices: { readonly gpu: PciDeviceSettings | undefined; readonly tpu: UsbDeviceSettings | undefined };
  /** Longest wait for a guest's agent, in seconds: without it a missing agent hangs an update for 15 minutes. @default 180 */
  readonly agentTimeoutSec: number;
  /** The Keeper on the host and in the VM with the GPU. @default not installed */
  readonly keeper?: KeeperSettings | undefined;
}

/** What a user may change about one machine; everything else follows from its role. */
export interface MachineOverride {
  readonly vcpus?: number | undefined;
  readonly ramMiB?: number | undefined;
  /** Balloon floor in MiB. @default as before, at most the memory; all of it where the machine cannot balloon */
  readonly balloonMinMiB?: number | undefined;
  readonly diskGiB?: number | undefined;
}

export interface HostSettings {
  readonly topology: HostTopology;
  /** Memory of the host, in MiB. @default 131072 */
  readonly ramMiB: number;
  /** Upper bound of the ZFS cache, in MiB (design §4). @default 4096 */
  readonly arcMiB: number;
  /** Memory kept for the host itself, in MiB (design §4). @default 4096 */
  readonly reservedMiB: number;
  /** Physical cores that the host keeps for itself and its I/O threads. @default 1 */
  readonly reservedCores: number;
}

export interface StorageSettings {
  /** Existing ZFS pool: adopted, never created or destroyed. @default "rpool" */
  readonly pool: string;
  /** Dataset below the pool that is ours. @default "hive" */
  readonly dataset: string;
  /** Proxmox id of the storage declared on that dataset. @default "hive-zfs" */
  readonly id: string;
  /** Existing directory storage for images, templates and snippets. @default "local" */
  readonly files: string;
  /** Whether the pool has redundancy; without it snapshots are taken more often (seed 001). @default true */
  readonly redundant: boolean;
}

export interface NetworkSettings {
  /** Existing bridge and subnet of the house: adopted. */
  readonly lan: {
    readonly bridge: string;
    readonly cidr: string;
    readonly gateway: string;
    readonly vlanId?: number | undefined;
    /** First host number given to machines. */ readonly firstHost: number;
  };
  readonly private: {
    readonly bridge: string;
    readonly cidr: string;
    readonly vlanId?: number | undefined;
    readonly mtu: number;
  };
  readonly dmz: { readonly bridge: string; readonly cidr: string; readonly vlanId?: number | undefined };
  /** DNS domain of the estate. @default "hive.internal" */
  readonly domain: string;
  /** Resolvers given to guests. */
  readonly dnsServers: readonly string[];
}

export interface ImageSettings {
  readonly ubuntu: ImageSource;
  readonly debian: ImageSource;
  readonly alpine: ImageSource;
  /** ISO volume of the user's own with the VirtIO drivers in it, for example `local:iso/win10-ltsc.iso`; no media when absent. */
  readonly windowsIso?: string | undefined;
}

export interface ImageSource {
  readonly url: string;
  readonly sha256?: string | undefined;
  readonly sha512?: string | undefined;
  readonly fileName: string;
}

export interface PciDeviceSettings {
  /** Name of the Proxmox resource mapping. @default "gpu-rtx3090" */
  readonly mapping: string;
  /** PCI address on the host without function, for example `0000:01:00`. */
  readonly path: string;
  /** `vendor:device`, for example `10de:2204`. */
  readonly id: string;
  /** Subsystem `vendor:device`. */
  readonly subsystemId?: string | undefined;
  readonly iommuGroup: number;
}

export interface UsbDeviceSettings {
  /** Name of the Proxmox resource mapping. @default "tpu-coral" */
  readonly mapping: string;
  /** `vendor:product`, for example `18d1:9302`. */
  readonly id: string;
}
