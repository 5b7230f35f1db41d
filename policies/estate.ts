import type { PolicyResource } from "@pulumi/policy";
import { parseRootStep } from "../components/shared/rootOnly.ts";
import {
  type Maybe,
  at,
  booleanAt,
  isKnown,
  keysOf,
  listAt,
  numberAt,
  stringAt,
  stringsAt,
  unknownYet,
} from "./facts.ts";
import { type HostFacts, readHost } from "./host.ts";

export const vmType = "proxmoxve:index/vmLegacy:VmLegacy";
export const containerType = "proxmoxve:index/containerLegacy:ContainerLegacy";
export const guestType = "hive:index:ProxmoxGuest";
export const storageType = "hive:index:HostStorage";
export const stackType = "pulumi:pulumi:Stack";
export const commandType = "command:remote:Command";

/** What rules need of a resource, whether they are given one or the whole stack. */
export type Readable = Pick<PolicyResource, "type" | "name" | "urn" | "props" | "opts">;

/** A network card of a guest. */
export interface Nic {
  readonly bridge: Maybe<string>;
}

/** A device of the host that is passed to a guest. */
export interface PassedDevice {
  readonly bus: "pci" | "usb";
  /** Name of the resource mapping. */
  readonly mapping: Maybe<string>;
  /** Raw address instead of a mapping: only root@pam may set it. */
  readonly rawId: Maybe<string>;
}

/** The step over SSH that sets a guest's root-only fields. */
export interface RootStep {
  readonly urn: string;
  /** URN of the guest's component, when it belongs to one. */
  readonly parent: string | undefined;
  readonly vmId: Maybe<number>;
  /** CPU list of the vCPU threads, for example `1-2,17-18`. */
  readonly affinity: Maybe<string>;
  readonly hugepages: Maybe<string>;
}

/** A guest as the stack declares it. */
export interface Guest {
  readonly urn: string;
  readonly name: string;
  readonly kind: "vm" | "container";
  /** Whether its component is `ProxmoxGuest`: then the machine table declares it. */
  readonly declared: boolean;
  readonly id: Maybe<number>;
  readonly tags: Maybe<readonly Maybe<string>[]>;
  /** Values of its tags `role-…`. */
  readonly roles: Maybe<readonly string[]>;
  /** Values of its tags `owner-…`. */
  readonly owners: Maybe<readonly string[]>;
  readonly vcpus: Maybe<number>;
  readonly ramMiB: Maybe<number>;
  /** Balloon floor in MiB; absent or 0 when it cannot balloon. */
  readonly balloonMinMiB: Maybe<number>;
  readonly started: Maybe<boolean>;
  readonly onBoot: Maybe<boolean>;
  readonly startupOrder: Maybe<number>;
  readonly protection: Maybe<boolean>;
  readonly pulumiProtect: boolean;
  readonly ignoreChanges: readonly string[];
  readonly nics: Maybe<readonly Nic[]>;
  readonly devices: Maybe<readonly PassedDevice[]>;
  readonly rootStep: RootStep | undefined;
}

/** The estate that a stack declares. */
export interface Estate {
  readonly guests: readonly Guest[];
  readonly rootSteps: readonly RootStep[];
  /** Ids of the guests that snapshot schedules cover. */
  readonly snapshotGuests: Maybe<readonly number[]>;
  /** CPU list that the host confines all containers to (`HIVE_CONTAINER_CPUS` of a host step). */
  readonly containerCpus: Maybe<string>;
  /** The host that it is declared for. */
  readonly host: HostFacts;
}

/** Reads the estate out of a stack's resources; total, whatever is unknown or missing. */
export function readEstate(resources: readonly PolicyResource[]): Estate {
  const byUrn = new Map(resources.map((r) => [r.urn, r]));
  const componentOf = (resource: PolicyResource): string | undefined => {
    let here = resource.opts.parent ?? resource.parent?.urn;
    for (let depth = 0; here !== undefined && depth < 8; depth++) {
      const parent = byUrn.get(here);
      if (parent === undefined || parent.type === guestType) return here;
      here = parent.opts.parent ?? parent.parent?.urn;
    }
    return undefined;
  };
  const commands = resources.filter((r) => r.type === commandType);
  const rootSteps = commands.flatMap((r) => readRootStep(r, componentOf(r)));
  const containerCpus = commands.map((r) => variable(r, "HIVE_CONTAINER_CPUS")).filter((v) => v !== undefined);
  return {
    guests: resources.filter(isGuest).map((r) => {
      const parent = componentOf(r);
      const guest = readGuest(r);
      return {
        ...guest,
        declared: parent !== undefined && byUrn.get(parent)?.type === guestType,
        rootStep: rootSteps.find((step) =>
          isKnown(step.vmId) && isKnown(guest.id)
            ? step.vmId === guest.id
            : parent !== undefined && step.parent === parent,
        ),
      };
    }),
    rootSteps,
    snapshotGuests: readSnapshotGuests(resources),
    containerCpus: containerCpus.find(isKnown) ?? containerCpus[0],
    host: readHost(resources),
  };
}

export function isGuest(resource: Pick<Readable, "type">): boolean {
  return resource.type === vmType || resource.type === containerType;
}

/** One guest without what only the whole stack tells (`declared`, `rootStep`). */
export function readGuest(resource: Readable): Guest {
  // A provider that cannot preview hands back no property at all: everything is unknown then.
  const props: unknown = keysOf(resource.props).length === 0 ? unknownYet : resource.props;
  const vm = resource.type === vmType;
  const tags = stringsAt(props, "tags");
  return {
    urn: resource.urn,
    name: resource.name,
    kind: vm ? "vm" : "container",
    declared: false,
    id: numberAt(props, "vmId"),
    tags,
    roles: tagValues(tags, "role-"),
    owners: tagValues(tags, "owner-"),
    vcpus: numberAt(props, "cpu", "cores"),
    ramMiB: numberAt(props, "memory", "dedicated"),
    balloonMinMiB: vm ? numberAt(props, "memory", "floating") : undefined,
    started: booleanAt(props, "started"),
    onBoot: booleanAt(props, vm ? "onBoot" : "startOnBoot"),
    startupOrder: numberAt(props, "startup", "order"),
    protection: booleanAt(props, "protection"),
    pulumiProtect: resource.opts.protect,
    ignoreChanges: resource.opts.ignoreChanges,
    nics: readNics(listAt(props, vm ? "networkDevices" : "networkInterfaces")),
    devices: vm ? readDevices(listAt(props, "hostpcis"), listAt(props, "usbs")) : [],
    rootStep: undefined,
  };
}

function tagValues(tags: Guest["tags"], prefix: string): Maybe<readonly string[]> {
  if (!isKnown(tags)) return tags;
  const values = tags.flatMap((tag) => (isKnown(tag) && tag.startsWith(prefix) ? [tag.slice(prefix.length)] : []));
  return values.length === 0 && tags.includes(unknownYet) ? unknownYet : values;
}

function readNics(list: Maybe<readonly unknown[]>): Guest["nics"] {
  return isKnown(list) ? list.map((nic) => ({ bridge: stringAt(nic, "bridge") })) : list;
}

function readDevices(pcis: Maybe<readonly unknown[]>, usbs: Maybe<readonly unknown[]>): Guest["devices"] {
  if (pcis === unknownYet || usbs === unknownYet) return unknownYet;
  return [
    ...(pcis ?? []).map((device): PassedDevice => ({
      bus: "pci",
      mapping: stringAt(device, "mapping"),
      rawId: stringAt(device, "id"),
    })),
    ...(usbs ?? []).map((device): PassedDevice => ({
      bus: "usb",
      mapping: stringAt(device, "mapping"),
      rawId: stringAt(device, "host"),
    })),
  ];
}

function readRootStep(resource: PolicyResource, parent: string | undefined): readonly RootStep[] {
  const vmId = variable(resource, "HIVE_VMID");
  const affinity = variable(resource, "HIVE_AFFINITY");
  const named = /-root(-command)?$/.test(resource.name);
  // Other steps over SSH are commands too; one whose script is still unknown is told by its name.
  if (!named && !isKnown(affinity)) return [];
  return [
    {
      urn: resource.urn,
      parent,
      vmId: isKnown(vmId) ? Number(vmId) : vmId,
      affinity,
      hugepages: variable(resource, "HIVE_HUGEPAGES"),
    },
  ];
}

/** A variable of a remote command: of its environment, or assigned at the head of its script. */
function variable(resource: PolicyResource, name: string): Maybe<string> {
  const props: unknown = keysOf(resource.props).length === 0 ? unknownYet : resource.props;
  const given = stringAt(props, "environment", name);
  if (given !== undefined) return given;
  const update = stringAt(props, "update");
  const script = update === undefined ? stringAt(props, "create") : update;
  return isKnown(script) ? parseRootStep(script)[name] : script;
}

function readSnapshotGuests(resources: readonly PolicyResource[]): Maybe<readonly number[]> {
  const found: number[] = [];
  let uncertain = false;
  const add = (text: Maybe<string>) => {
    if (text === unknownYet) uncertain = true;
    else
      found.push(
        ...(text ?? "")
          .split(",")
          .filter((id) => id.trim() !== "")
          .map(Number),
      );
  };
  for (const resource of resources) {
    if (resource.type === commandType && /-snapshots(-command)?$/.test(resource.name)) {
      add(variable(resource, "HIVE_SNAPSHOT_GUESTS"));
    }
    if (resource.type === storageType) {
      const list = listAt(resource.props, "snapshotGuests");
      if (isKnown(list)) {
        for (const id of list) add(id === unknownYet ? unknownYet : String(at({ id }, "id")));
      } else add(list);
    }
  }
  return uncertain ? unknownYet : found;
}
