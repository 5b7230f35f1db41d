import type * as pulumi from "@pulumi/pulumi";
import type { ServerPlan } from "../shared/vps/serverPlan.ts";

/** What each provider's server is made from. */
export interface PartsOf<T> {
  readonly name: string;
  readonly place: T;
  /** The server's name at the provider. */
  readonly hostname: string;
  readonly plan: ServerPlan;
  readonly publicKey: string;
  /** What a server that may reach no private network reaches all the same. */
  readonly peers: readonly { readonly address: string; readonly port: number }[];
  readonly parent: pulumi.Resource;
}

/** A server as a provider makes it. */
export interface MadeServer {
  /** What lives on it is `deletedWith` it. */
  readonly machine: pulumi.CustomResource;
  /** Its firewall is closed, and its address its own. */
  readonly ready: readonly pulumi.Resource[];
  readonly address: pulumi.Output<string>;
  /** Its SSH host key as the provider witnessed it; an empty text where it did not. @default it cannot tell */
  readonly witnessedKey?: pulumi.Output<string>;
  /** Its id, if it is a container on a Proxmox host. */
  readonly container?: string;
  /** Differs from that of every other server, also of one that had its name before. */
  readonly life: pulumi.Output<string>;
  /** The provider's own name for it. */
  readonly serverId: pulumi.Output<string>;
}
