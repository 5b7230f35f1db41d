import type { EngineEvent, StepEventMetadata, StepEventStateMetadata } from "@pulumi/pulumi/automation/index.js";

/** The engine's events as the Automation API gives them: plain JSON, so the enumerations of its types are texts here. */
type Json<T> = T extends (infer E)[]
  ? Json<E>[]
  : T extends string
    ? `${T}`
    : T extends object
      ? { [K in keyof T]: Json<T[K]> }
      : T;

interface Sketch {
  readonly op: `${StepEventMetadata["op"]}`;
  readonly name: string;
  readonly type?: string;
  readonly before?: Readonly<Record<string, unknown>>;
  readonly after?: Readonly<Record<string, unknown>>;
  readonly protect?: readonly [before: boolean, after: boolean];
  readonly keys?: readonly string[];
  readonly diff?: Readonly<
    Record<string, "add" | "add-replace" | "delete" | "delete-replace" | "update" | "update-replace">
  >;
}

const vmType = "proxmoxve:index/vmLegacy:VmLegacy";

/** An event as it comes over the wire. */
function wire(event: Json<Partial<EngineEvent>>): EngineEvent {
  const parsed: EngineEvent = JSON.parse(JSON.stringify({ sequence: 0, timestamp: 0, ...event }));
  return parsed;
}

/** One step of the preview. */
export function step({ op, name, type = vmType, before, after, protect, keys, diff }: Sketch): EngineEvent {
  const urn = `urn:pulumi:genesis::hive::hive:index:ProxmoxGuest$${type}::${name}`;
  const state = (inputs: Readonly<Record<string, unknown>>, isProtected: boolean): StepEventStateMetadata => ({
    type,
    urn,
    id: "1",
    parent: "",
    provider: "",
    protect: isProtected,
    inputs,
    outputs: {},
  });
  return wire({
    resourcePreEvent: {
      planning: true,
      metadata: {
        op,
        urn,
        type,
        provider: "",
        ...(before === undefined ? {} : { old: state(before, protect?.[0] ?? false) }),
        ...(after === undefined ? {} : { new: state(after, protect?.[1] ?? false) }),
        ...(keys === undefined ? {} : { keys: [...keys] }),
        ...(diff === undefined
          ? {}
          : {
              detailedDiff: Object.fromEntries(
                Object.entries(diff).map(([path, diffKind]) => [path, { diffKind, inputDiff: true }]),
              ),
            }),
      },
    },
  });
}

/** A violation as our rules word it. */
export function violation(
  policyName: string,
  name: string,
  message: string,
  level: "warning" | "mandatory",
): EngineEvent {
  return wire({
    policyEvent: {
      resourceUrn: name === "" ? "" : `urn:pulumi:genesis::hive::${vmType}::${name}`,
      message,
      color: "never",
      policyName,
      policyPackName: "pulumi-hive",
      policyPackVersion: "0.1.0",
      policyPackVersionTag: "0.1.0",
      enforcementLevel: level,
    },
  });
}

export function diagnostic(severity: "error" | "warning" | "info", message: string): EngineEvent {
  return wire({ diagnosticEvent: { message, color: "never", severity } });
}

export function summary(): EngineEvent {
  return wire({
    summaryEvent: {
      maybeCorrupt: false,
      durationSeconds: 1,
      resourceChanges: {},
      policyPacks: { "pulumi-hive": "v0.1.0" },
    },
  });
}

const gpu = [{ device: "hostpci0", mapping: "gpu-rtx3090" }];

/** A preview with something of everything. */
export const eventfulPreview: readonly EngineEvent[] = [
  step({ op: "same", name: "quiet", before: { vmId: 401 }, after: { vmId: 401 } }),
  step({
    op: "same",
    name: "bastion",
    before: { protection: true },
    after: { protection: true },
    protect: [true, false],
  }),
  step({
    op: "update",
    name: "brain",
    before: { hostpcis: gpu, memory: { dedicated: 65_536 }, tags: ["hive"], protection: true, userPassword: "x" },
    after: {
      hostpcis: [],
      memory: { dedicated: 32_768 },
      tags: ["hive", "a|b`c"],
      protection: false,
      userPassword: "y",
    },
    diff: {
      "hostpcis[0]": "delete",
      "memory.dedicated": "update",
      "tags[1]": "add",
      protection: "update",
      userPassword: "update",
    },
  }),
  step({ op: "create", name: "district", after: { hostpcis: gpu } }),
  step({
    op: "create-replacement",
    name: "council",
    before: { vmId: 101 },
    after: { vmId: 109 },
    keys: ["vmId"],
    diff: { vmId: "update-replace" },
  }),
  step({ op: "replace", name: "council", before: { vmId: 101 }, after: { vmId: 109 }, keys: ["vmId"] }),
  step({ op: "delete-replaced", name: "council", before: { vmId: 101 } }),
  step({
    op: "delete",
    name: "worker-302",
    type: "proxmoxve:index/containerLegacy:ContainerLegacy",
    before: { vmId: 302 },
  }),
  violation(
    "guest-id-range",
    "council",
    "Guest ids are 100 to 401.\nGuest council has id 109 <b>&</b> @admin.\nWhy: Firewall rules tell guests apart.\nFix: Choose a free id.",
    "mandatory",
  ),
  violation("guest-tags", "", "A stranger's rule\nwithout reason", "warning"),
  diagnostic("warning", "using pulumi-analyzer-policy-nodejs from $PATH"),
  diagnostic("error", "preview failed"),
  summary(),
];
