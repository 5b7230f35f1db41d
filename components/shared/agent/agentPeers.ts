/** Whom an installed agent speaks with, and what each role brings into an installation. Pure. */
import * as z from "zod";
import type { Fault } from "../faults.ts";

/** A place in the configuration that names another machine. */
export interface Peer {
  readonly property: string;
  readonly host: string;
}

/** One role's share of an installation. */
export interface RolePlan {
  /** Machines that its configuration names. */
  readonly peers: readonly Peer[];
  /** Who connects to it although the configuration does not name them; undefined where nobody does. */
  readonly callers?: { readonly who: string; readonly why: string } | undefined;
  /** Where its configuration names files of secrets. */
  readonly secretFiles: readonly (readonly [property: string, file: string | undefined])[];
  /** Faults told before and after those of addresses and secrets. */
  readonly before: readonly Fault[];
  readonly after: readonly Fault[];
  /** Text of its unit, which speaks with these addresses alone; the Sentinel's speaks with all. */
  readonly unit: (network: readonly string[]) => string;
}

export function isLoopback(host: string): boolean {
  return host === "localhost" || host.startsWith("127.") || host === "::1";
}

const address = z.union([z.ipv4(), z.ipv6()]);
const network = z.union([address, z.cidrv4(), z.cidrv6()]);

/** Whether a text is an IP address. */
export function isAddress(text: string): boolean {
  return address.safeParse(text, { jitless: true }).success;
}

/** Whether a text is an IP address or network. */
export function isNetwork(text: string): boolean {
  return network.safeParse(text, { jitless: true }).success;
}
