import type { EngineEvent, OpType } from "@pulumi/pulumi/automation/index.js";
import type { Fault } from "../../components/shared/faults.ts";
import { adviceFor } from "./advice.ts";
import { type Changes, countChanges } from "./changes.ts";
import { plainText } from "./plainText.ts";
import { describeUrn } from "./urn.ts";

/** What has been learnt from the engine's events so far. */
export interface Progress {
  /** Operations that run, by URN, with the time of their start in seconds. */
  readonly running: ReadonlyMap<string, { readonly op: OpType; readonly startedSec: number }>;
  readonly changes: Changes;
  readonly errors: readonly EngineFault[];
  readonly policies: readonly PolicyFinding[];
  /** Resources that were changed, in order. */
  readonly steps: readonly Step[];
}

export interface EngineFault extends Fault {
  /** URN, when the engine names one. */
  readonly urn?: string | undefined;
}

export interface PolicyFinding {
  readonly policy: string;
  readonly level: "warning" | "mandatory";
  readonly resource: string;
  readonly message: string;
}

export interface Step {
  readonly op: OpType;
  readonly urn: string;
}

export const noProgress: Progress = {
  running: new Map(),
  changes: countChanges(undefined),
  errors: [],
  policies: [],
  steps: [],
};

const quiet = new Set<OpType>(["same", "read", "discard", "discard-replaced", "remove-pending-replace"]);
const doing: Readonly<Partial<Record<OpType, readonly [string, string]>>> = {
  create: ["creating", "created"],
  update: ["updating", "updated"],
  delete: ["deleting", "deleted"],
  replace: ["replacing", "replaced"],
  "create-replacement": ["creating again", "created again"],
  "delete-replaced": ["deleting the old", "deleted the old"],
  refresh: ["reading", "read"],
  import: ["importing", "imported"],
};

/** Components and the stack itself are not steps that a person waits for. */
const isCustom = (type: string): boolean => !type.startsWith("pulumi:") && !type.startsWith("hive:");

/** Takes one event in: the new knowledge, and the lines to show for it. Pure and total. */
export function advance(
  progress: Progress,
  event: EngineEvent,
): { readonly progress: Progress; readonly lines: string[] } {
  const lines: string[] = [];
  const pre = event.resourcePreEvent;
  const done = event.resOutputsEvent;
  if (pre !== undefined && !quiet.has(pre.metadata.op)) {
    const { op, urn, type } = pre.metadata;
    const running = new Map(progress.running).set(urn, { op, startedSec: event.timestamp });
    if (pre.planning !== true && isCustom(type) && op !== "refresh" && op !== "replace")
      lines.push(`${doing[op]?.[0] ?? op} ${describeUrn(urn)}`);
    return { progress: { ...progress, running, steps: [...progress.steps, { op, urn }] }, lines };
  }
  if (done !== undefined) {
    const { op, urn, type } = done.metadata;
    const began = progress.running.get(urn);
    const running = new Map(progress.running);
    running.delete(urn);
    if (done.planning !== true && began !== undefined && isCustom(type) && op !== "refresh" && op !== "replace") {
      const took = Math.max(0, event.timestamp - began.startedSec);
      lines.push(`${doing[op]?.[1] ?? op} ${describeUrn(urn)}${took >= 1 ? ` (${String(took)} s)` : ""}`);
    }
    return { progress: { ...progress, running }, lines };
  }
  if (event.resOpFailedEvent !== undefined) {
    const running = new Map(progress.running);
    running.delete(event.resOpFailedEvent.metadata.urn);
    return { progress: { ...progress, running }, lines };
  }
  if (event.diagnosticEvent !== undefined) return diagnostic(progress, event.diagnosticEvent);
  if (event.policyEvent !== undefined) {
    const { policyName, enforcementLevel, resourceUrn, message } = event.policyEvent;
    const resource = resourceUrn === undefined ? "the stack" : describeUrn(resourceUrn);
    const finding = { policy: policyName, level: enforcementLevel, resource, message: plainText(message) };
    lines.push(`policy ${policyName} (${enforcementLevel}) on ${resource}: ${finding.message}`);
    return { progress: { ...progress, policies: [...progress.policies, finding] }, lines };
  }
  if (event.summaryEvent !== undefined)
    return { progress: { ...progress, changes: countChanges(event.summaryEvent.resourceChanges) }, lines };
  return { progress, lines };
}

function diagnostic(
  progress: Progress,
  event: NonNullable<EngineEvent["diagnosticEvent"]>,
): { readonly progress: Progress; readonly lines: string[] } {
  const message = plainText(event.message);
  if (event.ephemeral === true || message === "") return { progress, lines: [] };
  const subject = event.urn === undefined || event.urn === "" ? "the stack" : describeUrn(event.urn);
  // Where plugins come from was told by the set-up.
  if (/^using \S+ from \$PATH at /.test(message)) return { progress, lines: [] };
  if (event.severity === "warning") return { progress, lines: [`warning: ${subject}: ${message}`] };
  // The engine repeats at the end that the update failed; the cause was told before.
  if (event.severity !== "error" || /^(update|preview|destroy) failed$/.test(message)) return { progress, lines: [] };
  const fault: EngineFault = {
    property: subject,
    limit: message,
    fix: adviceFor(message),
    urn: event.urn,
  };
  // The same words come once as the program's error and once as the engine's.
  if (progress.errors.some((known) => known.limit === message && known.property === subject))
    return { progress, lines: [] };
  return { progress: { ...progress, errors: [...progress.errors, fault] }, lines: [] };
}

/** Lines about what has been running for long, so that nobody thinks it hangs. */
export function stillRunning(progress: Progress, nowSec: number, atLeastSec: number): string[] {
  return [...progress.running]
    .filter(([, { startedSec }]) => nowSec - startedSec >= atLeastSec)
    .map(
      ([urn, { op, startedSec }]) =>
        `still ${doing[op]?.[0] ?? op} ${describeUrn(urn)}, ${String(Math.round(nowSec - startedSec))} s so far`,
    );
}

/** A failure of the engine as people read it: where, what, and what to do. */
export function describeEngineFault(fault: EngineFault): string {
  return `${fault.property}: ${fault.limit}\n    ${fault.fix}`;
}
