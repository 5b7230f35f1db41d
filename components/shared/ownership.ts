/**
 * Who owns which field of a guest (design §4). Pulumi owns existence, disks, network cards, static limits and the
 * first GPU owner. The Keeper owns run state, the current GPU holder among the declared contenders, the balloon
 * target and thread affinity: what it changes Pulumi must not change back, so those fields carry `ignoreChanges`.
 */
export type Owner = "pulumi" | "keeper" | "root-step" | "first-boot" | "provider";

/** Which guests a row is about. */
export type OwnedGuest =
  | "vm"
  | "container"
  /** Has a balloon floor below its memory. */
  | "balloon"
  /** The GPU may be handed to it or taken away. */
  | "contender"
  /** Its state holds the affinity that the root-only step set. */
  | "affinity-in-state"
  /** Its state holds the huge pages that the root-only step set. */
  | "hugepages-in-state"
  /** It was adopted and has no cloud-init drive. */
  | "without-cloud-init";

/** One row of the ownership table. */
export interface FieldOwnership {
  /** Property path in the provider's resource, as `ignoreChanges` takes it. */
  readonly field: string;
  readonly owner: Owner;
  readonly appliesTo: readonly OwnedGuest[];
  /** Why it is so. */
  readonly reason: string;
}

/** The table. Fields that it does not name belong to Pulumi. */
export const ownership: readonly FieldOwnership[] = [
  {
    field: "started",
    owner: "keeper",
    appliesTo: ["vm", "container"],
    reason: "the Keeper starts, stops and suspends guests in the order of their ranks",
  },
  {
    field: "memory.floating",
    owner: "keeper",
    appliesTo: ["balloon"],
    reason: "the Keeper moves the balloon target of idle guests between floor and maximum",
  },
  {
    field: "hostpcis",
    owner: "keeper",
    appliesTo: ["contender"],
    reason: "the Keeper hands the GPU over among the declared contenders; Pulumi declares only its first owner",
  },
  {
    field: "cpu.affinity",
    owner: "root-step",
    // Only once the state holds it: before, `ignoreChanges` would copy the provider's default, an empty text, into the
    // inputs, and the provider refuses that as an affinity.
    appliesTo: ["affinity-in-state"],
    reason: "only root@pam may set it: the root-only step does, and the Keeper moves running threads",
  },
  {
    field: "memory.hugepages",
    owner: "root-step",
    appliesTo: ["hugepages-in-state"],
    reason: "only root@pam may set it: the root-only step does",
  },
  {
    field: "memory.keepHugepages",
    owner: "root-step",
    appliesTo: ["vm"],
    reason: "only root@pam may set it: the root-only step does",
  },
  {
    field: "disks[0].speed",
    owner: "provider",
    appliesTo: ["vm"],
    reason: "we set no disk limits, and the provider reads their absence back as a change (bpg 0.111.1, disk.go)",
  },
  {
    field: "initialization",
    owner: "first-boot",
    appliesTo: ["without-cloud-init"],
    reason:
      "an adopted guest was set up by somebody else: a drive added now would set it up a second time, and needs it powered off",
  },
  {
    field: "initialization.vendorDataFileId",
    owner: "first-boot",
    appliesTo: ["vm"],
    reason:
      "first-boot data acts once; the provider would replace the whole guest, disks included, for a changed snippet",
  },
];

/** The fields that Pulumi leaves alone on a guest of these kinds, for `ignoreChanges`. */
export function ignoredFields(kinds: readonly OwnedGuest[]): string[] {
  return ownership.filter((row) => row.appliesTo.some((kind) => kinds.includes(kind))).map((row) => row.field);
}
