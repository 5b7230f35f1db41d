/**
 * What a Pod's creation is answered: Nerve's gate, a word why not, or nothing. Pure, and total on any JSON. Whatever comes,
 * the Pod is allowed. Asked again about its own answer, it changes nothing (`reinvocationPolicy`).
 *
 * @see https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
 */
import { describeFault } from "../../../../components/shared/faults.ts";
import { holdGate, nerveAnnotations, tierLabel } from "../../../../components/shared/nerve/names.ts";
import { type JobTerms, fieldsOf, isMapping, itemsOf, jobOf } from "./annotations.ts";
import { slackOf } from "./spot/slack.ts";
import type { JobState, SpotPolicy } from "./spot/types.ts";

export interface AdmissionRules {
  /** What each start of a machine is expected to lose: boot, image, reading the checkpoint, ms. */
  readonly changeoverMs: number;
  readonly policy: SpotPolicy;
}

/**
 * What became of a Pod; all but the first are left as they are, a malformed one but for its annotation.
 * - `held`: it has the gate from now on.
 * - `already-held`: it had it.
 * - `no-slack`: its deadline leaves no time to wait.
 * - `malformed`: its annotations cannot be read.
 * - `synchronous`: it has another tier.
 * - `bare`: no controller would make it anew.
 * - `stateful`: its controller is one whose Pods have an identity or a node of their own.
 * - `pinned`: a volume binds it to a place.
 * - `placed`: it names its node or a scheduler of its own.
 * - `not-asked`: this is no creation of a Pod.
 */
export const outcomes = [
  "held",
  "already-held",
  "no-slack",
  "malformed",
  "synchronous",
  "bare",
  "stateful",
  "pinned",
  "placed",
  "not-asked",
] as const;
export type Outcome = (typeof outcomes)[number];

/** An operation of RFC 6902. */
export interface PatchOperation {
  readonly op: "add";
  readonly path: string;
  readonly value: unknown;
}

export interface Admission {
  readonly outcome: Outcome;
  readonly patch: readonly PatchOperation[];
  /** Shown to whoever creates the Pod. */
  readonly warnings: readonly string[];
}

/** How long a gate may outlive a dead agent, ms (issue 6: each is gone within 60 s). That time is kept beside the slack. */
const deadManMs = 60_000;
/** The API server cuts a longer warning (KEP-1693), and several above 4096 bytes together. */
const longestWarning = 256;
const mostWarnings = 8;
/** All annotations of an object together have at most 256 KiB. */
const longestReason = 1024;

/** Controllers whose Pods have an identity or a node of their own; those of the same name in other groups too. */
const stateful = new Set(["StatefulSet", "DaemonSet", "Node"]);
/** Volumes that are there wherever the Pod is. A claim, a path or a disk of a node binds it to a place or a zone. */
const moving = new Set([
  ...["configMap", "secret", "projected", "downwardAPI", "emptyDir", "csi", "image", "gitRepo"],
  ...["nfs", "cephfs", "glusterfs", "azureFile"],
]);

const fresh: JobState = {
  place: { kind: "idle" },
  doneMs: 0,
  reportedShare: undefined,
  longestStartMs: undefined,
  started: false,
  hopsMs: [],
};

/** What an `AdmissionReview` of `admission.k8s.io/v1` asks, answered at `nowMs` (Unix time). Never throws. */
export function admit(review: unknown, rules: AdmissionRules, nowMs: number): Admission {
  const request = fieldsOf(fieldsOf(review)["request"]);
  const pod = request["object"];
  const untouched = (outcome: Outcome): Admission => ({ outcome, patch: [], warnings: [] });
  const left = isCreation(review, request) && isMapping(pod) ? leftAlone(pod) : "not-asked";
  if (left !== undefined || !isMapping(pod)) return untouched(left ?? "not-asked");
  const job = jobOf(pod);
  if (!job.ok) {
    const reasons = job.faults.map(describeFault).map(plain);
    const reason = cut(reasons.join(" "), longestReason);
    const warnings = reasons.slice(0, mostWarnings).map((one) => cut(`Nerve ignores this Pod: ${one}`, longestWarning));
    return { outcome: "malformed", patch: annotate(pod, reason), warnings };
  }
  const spec = fieldsOf(pod["spec"]);
  if (gatesOf(spec).includes(holdGate)) return untouched("already-held");
  if (!mayWait(job.value, createdMs(pod) ?? nowMs, rules, nowMs)) return untouched("no-slack");
  const gate = { name: holdGate };
  const patch: PatchOperation = Array.isArray(spec["schedulingGates"])
    ? { op: "add", path: "/spec/schedulingGates/-", value: gate }
    : { op: "add", path: "/spec/schedulingGates", value: [gate] };
  return { outcome: "held", patch: [patch], warnings: [] };
}

/** The answer as the API server takes it. It goes by `uid`, which is empty where the question had none. */
export function reviewOf(question: unknown, { patch, warnings }: Admission): Readonly<Record<string, unknown>> {
  const { uid } = fieldsOf(fieldsOf(question)["request"]);
  return {
    apiVersion: "admission.k8s.io/v1",
    kind: "AdmissionReview",
    response: {
      uid: typeof uid === "string" ? uid : "",
      allowed: true,
      ...(warnings.length === 0 ? {} : { warnings }),
      ...(patch.length === 0
        ? {}
        : { patchType: "JSONPatch", patch: Buffer.from(JSON.stringify(patch)).toString("base64") }),
    },
  };
}

function isCreation(review: unknown, request: Readonly<Record<string, unknown>>): boolean {
  const { group = "", version, resource } = fieldsOf(request["resource"]);
  const { subResource = "" } = request;
  return (
    fieldsOf(review)["apiVersion"] === "admission.k8s.io/v1" &&
    request["operation"] === "CREATE" &&
    [group, version, resource, subResource].join("/") === "/v1/pods/"
  );
}

/** Why a Pod is none of Nerve's concern, whatever its annotations say; undefined when it is. */
function leftAlone(pod: Readonly<Record<string, unknown>>): Outcome | undefined {
  const metadata = fieldsOf(pod["metadata"]);
  if (!isMapping(pod["spec"])) return "not-asked";
  const { nodeName = "", schedulerName = "", volumes } = pod["spec"];
  if (fieldsOf(metadata["labels"])[tierLabel.name] !== tierLabel.value) return "synchronous";
  const controller = itemsOf(metadata["ownerReferences"])
    .map(fieldsOf)
    .find((owner) => owner["controller"] === true);
  if (controller === undefined) return "bare";
  const { kind } = controller;
  if (typeof kind !== "string" || stateful.has(kind)) return "stateful";
  // The API server refuses a Pod that has both a node and a gate. Another scheduler may not know of gates.
  if (nodeName !== "" || (schedulerName !== "" && schedulerName !== "default-scheduler")) return "placed";
  return itemsOf(volumes).every(isMoving) ? undefined : "pinned";
}

/** A volume is its name and one more field, which tells its kind. */
function isMoving(volume: unknown): boolean {
  return Object.keys(fieldsOf(volume)).every((key) => key === "name" || moving.has(key));
}

function gatesOf(spec: Readonly<Record<string, unknown>>): readonly unknown[] {
  return itemsOf(spec["schedulingGates"]).map((gate) => fieldsOf(gate)["name"]);
}

/** Unix time, ms; undefined while the API server has not set it, which it does after admission. */
function createdMs(pod: Readonly<Record<string, unknown>>): number | undefined {
  const { creationTimestamp } = fieldsOf(pod["metadata"]);
  const ms = typeof creationTimestamp === "string" ? Date.parse(creationTimestamp) : Number.NaN;
  return Number.isNaN(ms) ? undefined : ms;
}

/** Whether the job may wait by the rule that keeps the deadline (`slack.ts`), even when this agent dies at once. */
function mayWait({ deadline, expectedMs }: JobTerms, created: number, rules: AdmissionRules, nowMs: number): boolean {
  const { changeoverMs, policy } = rules;
  const deadlineMs = deadline.kind === "at" ? deadline.ms : created + deadline.ms;
  const job = { workMs: expectedMs, deadlineMs, changeoverMs, atRiskMs: 0 };
  const { safeSlackMs, worstStartMs } = slackOf(job, fresh, policy, nowMs);
  return safeSlackMs - worstStartMs >= policy.lookMs + deadManMs;
}

/** Says on the Pod why it is ignored, unless that is there already. */
function annotate(pod: Readonly<Record<string, unknown>>, reason: string): readonly PatchOperation[] {
  const { ignored } = nerveAnnotations;
  const metadata = pod["metadata"];
  const annotations = fieldsOf(metadata)["annotations"];
  if (fieldsOf(annotations)[ignored] === reason) return [];
  if (isMapping(annotations))
    return [{ op: "add", path: `/metadata/annotations/${ignored.replace("/", "~1")}`, value: reason }];
  return [{ op: "add", path: "/metadata/annotations", value: { [ignored]: reason } }];
}

/** Text for an HTTP header and for an annotation that comes back as it was written. */
function plain(text: string): string {
  return text.replace(/\p{Cc}/gu, "?").toWellFormed();
}

function cut(text: string, most: number): string {
  return (text.length > most ? `${text.slice(0, most - 1)}…` : text).toWellFormed();
}
