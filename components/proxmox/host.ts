import * as pulumi from "@pulumi/pulumi";
import type { HostTopology } from "../shared/topology.ts";

/** Arguments of {@link Host}: plain values, for whoever judges a plan must know them before anything exists. */
export interface HostArgs {
  /** Processors, as `smtTopology` and `parseLscpu` give them. */
  readonly topology: HostTopology;
  /** Memory of the host, in MiB. */
  readonly ramMiB: number;
  /** Upper bound of the ZFS cache, in MiB. */
  readonly arcMiB: number;
  /** Memory kept for the host itself, in MiB. */
  readonly reservedMiB: number;
  /** Names of the bridges by network. */
  readonly bridges: { readonly lan: string; readonly private: string; readonly dmz: string };
}

/**
 * The host as the stack takes it to be. It changes nothing there: the policies read it, so that they judge the estate
 * by its own host, whichever command starts them. A stack without it is judged by the seed's host.
 */
export class Host extends pulumi.ComponentResource {
  constructor(name: string, args: HostArgs, opts?: pulumi.ComponentResourceOptions) {
    super("hive:index:Host", name, args, opts);
    // The engine shows rules about the whole stack what a component registers, not what it was given.
    this.registerOutputs({ ...args });
  }
}
