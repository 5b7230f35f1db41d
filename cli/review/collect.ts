import type { EngineEvent, PolicyEvent, StepEventMetadata } from "@pulumi/pulumi/automation/index.js";
import { plainText } from "../engine/plainText.ts";
import { parseUrn } from "../engine/urn.ts";
import type { PolicyResult, PropertyChange, ReviewDiagnostic, ReviewInput, ReviewOp, ReviewStep } from "./model.ts";
import { parsePath, showValue, valueAt } from "./values.ts";

const ops: Readonly<Record<string, ReviewOp>> = {
  same: "same",
  create: "create",
  update: "update",
  delete: "delete",
  replace: "replace",
  "create-replacement": "replace",
  "delete-replaced": "replace",
  "import-replacement": "replace",
  "discard-replaced": "replace",
  import: "import",
  read: "read",
  "read-replacement": "read",
  "read-discard": "read",
};

/** Reads what a review needs out of a preview's events: one step for each resource, no raw inputs. */
export function collectReview(stack: string, events: readonly EngineEvent[]): ReviewInput {
  const steps = new Map<string, ReviewStep>();
  const policies = new Map<string, PolicyResult>();
  const diagnostics = new Map<string, ReviewDiagnostic>();
  let packs: readonly string[] = [];
  let finished = false;
  let failed = false;
  for (const event of events) {
    const metadata = event.resourcePreEvent?.metadata;
    if (metadata !== undefined) {
      const step = toStep(metadata);
      if (step !== undefined) steps.set(step.urn, merge(steps.get(step.urn), step));
    }
    if (event.policyEvent !== undefined) {
      const result = toPolicyResult(event.policyEvent);
      policies.set(JSON.stringify(result), result);
    }
    const diagnostic = event.diagnosticEvent;
    if (diagnostic?.ephemeral !== true && (diagnostic?.severity === "error" || diagnostic?.severity === "warning")) {
      const { severity, urn } = diagnostic;
      const message = plainText(diagnostic.message);
      if (severity === "error") failed = true;
      // The engine's own last word, which tells nothing.
      // Where plugins come from is this machine's affair.
      if (message !== "" && !/^(preview|update) failed$|^using \S+ from \$PATH at /.test(message))
        diagnostics.set(`${severity} ${urn ?? ""} ${message}`, { severity, urn, message });
    }
    if (event.summaryEvent !== undefined) {
      finished = true;
      packs = packsOf(event.summaryEvent);
    }
  }
  const shown = [...steps.values()].filter((step) => step.op !== "same" || unprotects(step));
  return {
    stack,
    steps: shown,
    policies: [...policies.values()],
    diagnostics: [...diagnostics.values()],
    packs,
    finished: finished && !failed,
  };
}

/** Packs as `name version`. The engine writes the field with a capital and adds where the pack lies; its types say neither. */
function packsOf(summary: NonNullable<EngineEvent["summaryEvent"]>): string[] {
  const packs: unknown = summary.policyPacks ?? Reflect.get(summary, "PolicyPacks") ?? {};
  if (typeof packs !== "object" || packs === null) return [];
  return Object.entries(packs).map(([name, version]) => `${name.split("|")[0] ?? name} ${String(version)}`.trim());
}

/** Whether a protection goes. A change of `protect` alone is no step of its own for the engine. */
export function unprotects({ protect, protection }: ReviewStep): boolean {
  return (
    (protect.before === true && protect.after === false) || (protection.before === true && protection.after === false)
  );
}

function toStep(metadata: StepEventMetadata): ReviewStep | undefined {
  const op = ops[metadata.op];
  if (op === undefined) return undefined;
  const before = metadata.old ?? undefined;
  const after = op === "delete" ? undefined : (metadata.new ?? undefined);
  return {
    op,
    urn: metadata.urn,
    type: metadata.type,
    name: parseUrn(metadata.urn)?.name ?? metadata.urn,
    changes: op === "update" || op === "replace" ? changesOf(metadata) : [],
    devices: { before: before && devicesOf(before.inputs), after: after && devicesOf(after.inputs) },
    protect: { before: before && before.protect === true, after: after && after.protect === true },
    protection: { before: before && protectionOf(before.inputs), after: after && protectionOf(after.inputs) },
  };
}

/** The engine tells a replacement in several steps; the first that knows a side of it counts. */
function merge(known: ReviewStep | undefined, step: ReviewStep): ReviewStep {
  if (known === undefined) return step;
  const paths = new Set(known.changes.map((change) => change.path));
  return {
    ...known,
    op: known.op === "replace" || step.op === "replace" ? "replace" : step.op,
    changes: [...known.changes, ...step.changes.filter((change) => !paths.has(change.path))],
    devices: { before: known.devices.before ?? step.devices.before, after: known.devices.after ?? step.devices.after },
    protect: { before: known.protect.before ?? step.protect.before, after: known.protect.after ?? step.protect.after },
    protection: {
      before: known.protection.before ?? step.protection.before,
      after: known.protection.after ?? step.protection.after,
    },
  };
}

function changesOf(metadata: StepEventMetadata): readonly PropertyChange[] {
  const forcing = new Set(metadata.keys ?? []);
  const detailed = Object.entries(metadata.detailedDiff ?? {});
  const paths: readonly (readonly [string, string])[] =
    detailed.length > 0
      ? detailed.map(([path, diff]) => [path, String(diff.diffKind)])
      : [...new Set([...(metadata.diffs ?? []), ...forcing])].map((path) => [path, "update"]);
  return paths.map(([path, kind]) => {
    const keys = parsePath(path);
    return {
      path,
      kind: kind.startsWith("add") ? "add" : kind.startsWith("delete") ? "delete" : "update",
      replaces: kind.endsWith("-replace") || forcing.has(path) || forcing.has(String(keys[0])),
      before: showValue(path, valueAt(metadata.old?.inputs, keys)),
      after: showValue(path, valueAt(metadata.new?.inputs, keys)),
    };
  });
}

function devicesOf(inputs: unknown): readonly string[] {
  return ["hostpcis", "usbs"].flatMap((list) => {
    const devices = valueAt(inputs, [list]);
    if (!Array.isArray(devices)) return [];
    return devices.flatMap((device: unknown) => {
      const names = ["mapping", "id", "host"].map((key) => valueAt(device, [key]));
      return names
        .filter((name) => typeof name === "string" && name !== "")
        .slice(0, 1)
        .map(String);
    });
  });
}

function protectionOf(inputs: unknown): boolean {
  return valueAt(inputs, ["protection"]) === true;
}

function toPolicyResult(event: PolicyEvent): PolicyResult {
  const lines = plainText(event.message).split("\n");
  const said = (label: string) =>
    lines
      .find((line) => line.startsWith(label))
      ?.slice(label.length)
      .trim();
  return {
    policy: event.policyName,
    pack: event.policyPackName,
    level: event.enforcementLevel === "mandatory" ? "mandatory" : "advisory",
    urn: event.resourceUrn === undefined || event.resourceUrn === "" ? undefined : event.resourceUrn,
    message: lines.filter((line) => !/^(Why|Fix): /.test(line)).join("\n"),
    reason: said("Why: "),
    fix: said("Fix: "),
  };
}
