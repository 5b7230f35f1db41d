import type { Problem } from "./access.ts";
import type { HostObject } from "../repair/objects.ts";
import type { HostTopology } from "../../components/shared/topology.ts";

/** What the host said, before anything is changed. A part that could not be asked is `undefined`. */
export interface HostObservation {
  /** Why the API did not accept us; `undefined` when it did. */
  readonly apiProblem: Problem | undefined;
  readonly sshProblem: Problem | undefined;
  /** Names of the cluster's nodes. */
  readonly nodes: readonly string[] | undefined;
  /** Privileges of the token by path, as `GET /access/permissions` gives them. */
  readonly permissions: Readonly<Record<string, readonly string[]>> | undefined;
  /** Name of the token, `USER@REALM!NAME`. */
  readonly tokenId: string;
  readonly uid: number | undefined;
  readonly hasQm: boolean | undefined;
  readonly bridges: readonly string[] | undefined;
  /** IPv4 addresses of the host itself, each with its interface. */
  readonly addresses: readonly { readonly iface: string; readonly address: string }[] | undefined;
  readonly zfsPools: readonly string[] | undefined;
  readonly storages:
    | readonly { readonly id: string; readonly content: readonly string[]; readonly freeMiB: number | undefined }[]
    | undefined;
  readonly pci:
    readonly { readonly address: string; readonly id: string; readonly iommuGroup: number | undefined }[] | undefined;
  readonly usb: readonly string[] | undefined;
  readonly ramMiB: number | undefined;
  readonly topology: HostTopology | undefined;
  /** Guests; ours carry our mark, or the state holds them (adopted ones get their mark by the next `up`). */
  readonly guests: readonly { readonly id: number; readonly name: string; readonly ours: boolean }[] | undefined;
  /** Bridges, storages, mappings and security groups, by the same rule. */
  readonly objects: readonly (Pick<HostObject, "kind" | "id"> & { readonly ours: boolean })[] | undefined;
  /** Volume ids of ISO images. */
  readonly isos: readonly string[] | undefined;
}
