import type * as pulumi from "@pulumi/pulumi";
import type { NicSpec } from "../proxmox/guestSpec.ts";

/** A server on one's own Proxmox host. */
export interface ProxmoxPlace {
  readonly provider: "proxmox";
  readonly nodeName: string;
  /** 300 to 399 for a container, else 100 to 299. */
  readonly vmId: number;
  /** A container starts in seconds; a VM has a kernel of its own. @default "container" */
  readonly guest?: "container" | "vm" | undefined;
  /** Both have systemd, which the agents need. @default "debian" */
  readonly os?: "debian" | "ubuntu" | undefined;
  /** Proxmox storage for its disk. */
  readonly storageId: pulumi.Input<string>;
  /** Container template, or disk image of a VM, as a volume. */
  readonly image: pulumi.Input<string>;
  /** Snippet that brings a VM its guest agent. @default none */
  readonly vendorData?: pulumi.Input<string> | undefined;
  /** GiB. @default 8 */
  readonly diskGiB?: number | undefined;
  /** Its one network card. */
  readonly nic: NicSpec;
  readonly dns: { readonly domain: string; readonly servers: readonly string[] };
  /** Pool that it is put in; of a throwaway server the one that the reaper sees. @default none */
  readonly pool?: string | undefined;
  /** Storage for the Sentinel's backup every night. @default none */
  readonly backupStorage?: string | undefined;
}

/** A server at AWS Lightsail. */
export interface LightsailPlace {
  readonly provider: "lightsail";
  /** Availability zone, such as `eu-west-3a`. */
  readonly zone: string;
  /** Debian or Ubuntu. @default "debian_12" */
  readonly blueprint?: string | undefined;
  /**
   * Asks Lightsail which SSH host key it witnessed on an instance (`GetInstanceAccessDetails`), `ssh-ed25519 AAAA…`; an
   * empty text where it did not. @default nobody is asked: the first key that the server shows is kept
   */
  readonly hostKeyOf?: ((instance: string, createdAt: string) => Promise<string>) | undefined;
}

/** Where a server is made. */
export type VpsPlace = ProxmoxPlace | LightsailPlace;

/** The account that a place makes for logging in: root in a container, one that may use sudo elsewhere. */
export function loginOf(place: VpsPlace): string {
  if (place.provider === "proxmox") return place.guest === "vm" ? "hive" : "root";
  return place.blueprint?.startsWith("ubuntu") === true ? "ubuntu" : "admin";
}
