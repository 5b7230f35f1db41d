/** Pods as Nerve's webhook is asked about them, and what a JSON patch makes of one. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { type AdmissionRules, type PatchOperation } from "../../runtime-agent/src/nerve/core/admission.ts";
import { isMapping } from "../../runtime-agent/src/nerve/core/annotations.ts";
import { defaultSpotPolicy } from "../../runtime-agent/src/nerve/core/spot/types.ts";

export const asyncLabel = { "nerve.io/tier": "async" };
/** A job of four hours with a day for it. */
export const patient = { "nerve.io/deadline": "24h", "nerve.io/expected-duration": "4h" };
export const rules: AdmissionRules = { changeoverMs: 780_000, policy: defaultSpotPolicy };

/** Text with what JSON escapes, what no HTTP header takes, and what is no character alone. */
export const oddText = fc.string({
  unit: fc.constantFrom(
    "a",
    "8",
    "h",
    " ",
    '"',
    "\\",
    "/",
    "~",
    "\n",
    "\u0007",
    "\u007f",
    "\u0085",
    "é",
    "\u{1f600}",
    "\ud800",
  ),
});

export const jobOwner = { apiVersion: "batch/v1", kind: "Job", name: "train", uid: "u", controller: true };

/** A Pod of a Job, labelled for Nerve. */
export function asyncPod(
  annotations: Readonly<Record<string, unknown>> = patient,
  spec: Readonly<Record<string, unknown>> = {},
  metadata: Readonly<Record<string, unknown>> = {},
): Record<string, unknown> {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { generateName: "train-", labels: asyncLabel, annotations, ownerReferences: [jobOwner], ...metadata },
    spec: { schedulerName: "default-scheduler", containers: [{ name: "main", image: "none" }], ...spec },
  };
}

/** The API server's question about an object that is to be created. */
export function reviewFor(object: unknown): Record<string, unknown> {
  return {
    apiVersion: "admission.k8s.io/v1",
    kind: "AdmissionReview",
    request: {
      uid: "705ab4f5-6393-11e8-b7cc-42010a800002",
      resource: { group: "", version: "v1", resource: "pods" },
      operation: "CREATE",
      namespace: "default",
      object,
    },
  };
}

/** What the operations of a patch make of a document (RFC 6902, `add`). @throws AssertionError when one does not apply */
export function patched(document: unknown, patch: readonly PatchOperation[]): unknown {
  const whole: unknown = structuredClone(document);
  for (const { op, path, value } of patch) {
    assert.equal(op, "add");
    const keys = path
      .split("/")
      .slice(1)
      .map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"));
    const last = keys.pop();
    assert.ok(last !== undefined && path.startsWith("/"), path);
    let parent: unknown = whole;
    for (const key of keys) {
      assert.ok(isMapping(parent) && Object.hasOwn(parent, key), `${path}: there is no ${key}`);
      parent = parent[key];
    }
    if (Array.isArray(parent)) {
      assert.equal(last, "-");
      parent.push(value);
    } else {
      assert.ok(isMapping(parent), `${path}: nothing to add to`);
      Object.assign(parent, { [last]: value });
    }
  }
  return whole;
}
