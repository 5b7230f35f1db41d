import assert from "node:assert/strict";
import fc from "fast-check";
import { type Outcome, admit, reviewOf } from "../../runtime-agent/src/nerve/core/admission.ts";
import { fieldsOf, itemsOf } from "../../runtime-agent/src/nerve/core/annotations.ts";
import { defaultSpotPolicy } from "../../runtime-agent/src/nerve/core/spot/types.ts";
import { asyncPod, jobOwner, oddText, patched, patient, reviewFor, rules } from "../support/nerve.ts";

const now = Date.UTC(2026, 10, 22);
const gate = { name: "nerve.io/hold" };
const outcomeOf = (pod: unknown): Outcome => admit(reviewFor(pod), rules, now).outcome;
const specOf = (pod: unknown): Readonly<Record<string, unknown>> => fieldsOf(fieldsOf(pod)["spec"]);
const annotationsOf = (pod: unknown): Readonly<Record<string, unknown>> =>
  fieldsOf(fieldsOf(fieldsOf(pod)["metadata"])["annotations"]);
const after = (pod: unknown): unknown => patched(pod, admit(reviewFor(pod), rules, now).patch);
const volume = (kind: string): Record<string, unknown> => ({ volumes: [{ name: "data", [kind]: {} }] });

describe("Nerve: what a Pod's creation is answered", () => {
  it("holds a patient job's Pod with its own gate beside those of others", () => {
    const others = [{ name: "example.org/quota" }];
    for (const [schedulingGates, expected] of [
      [undefined, [gate]],
      [null, [gate]],
      [[], [gate]],
      [others, [...others, gate]],
    ]) {
      const pod = asyncPod(patient, { schedulingGates });
      const held = after(pod);
      assert.equal(outcomeOf(pod), "held");
      assert.deepEqual(specOf(held)["schedulingGates"], expected);
      assert.deepEqual({ ...specOf(held), schedulingGates }, specOf(pod));
      assert.equal(outcomeOf(held), "already-held");
    }
  });

  it("leaves alone what is not its to hold", () => {
    const owned = (owner: unknown): Record<string, unknown> => asyncPod(patient, {}, { ownerReferences: [owner] });
    const cases: readonly (readonly [unknown, Outcome])[] = [
      [asyncPod(patient, {}, { labels: {} }), "synchronous"],
      [asyncPod(patient, {}, { labels: { "nerve.io/tier": "sync" } }), "synchronous"],
      [asyncPod(patient, {}, { ownerReferences: undefined }), "bare"],
      [owned({ ...jobOwner, controller: undefined }), "bare"],
      ...["StatefulSet", "DaemonSet", "Node"].map((kind) => [owned({ ...jobOwner, kind }), "stateful"] as const),
      [owned({ ...jobOwner, kind: "PyTorchJob" }), "held"],
      [asyncPod(patient, { nodeName: "spot-a" }), "placed"],
      [asyncPod(patient, { schedulerName: "volcano" }), "placed"],
      ...["persistentVolumeClaim", "ephemeral", "hostPath", "local", "awsElasticBlockStore", "yetToCome"].map(
        (kind) => [asyncPod(patient, volume(kind)), "pinned"] as const,
      ),
      ...["configMap", "emptyDir", "projected", "nfs"].map(
        (kind) => [asyncPod(patient, volume(kind)), "held"] as const,
      ),
    ];
    for (const [pod, expected] of cases) {
      assert.equal(outcomeOf(pod), expected, JSON.stringify(pod));
      if (expected !== "held") assert.deepEqual(after(pod), pod);
    }
  });

  it("is asked about creations of Pods alone", () => {
    const review = reviewFor(asyncPod());
    const request = fieldsOf(review["request"]);
    for (const other of [
      { ...review, apiVersion: "admission.k8s.io/v1beta1" },
      { ...review, request: { ...request, operation: "UPDATE" } },
      { ...review, request: { ...request, subResource: "binding" } },
      { ...review, request: { ...request, resource: { group: "", version: "v1", resource: "nodes" } } },
      { ...review, request: { ...request, object: { ...asyncPod(), spec: null } } },
    ])
      assert.deepEqual(admit(other, rules, now), { outcome: "not-asked", patch: [], warnings: [] });
  });

  it("holds up to the last moment from which on demand still comes in time, and a dead agent's gate still goes", () => {
    const [work, start] = [4 * 3_600_000, rules.changeoverMs];
    const { workMargin, startMargin, lookMs } = defaultSpotPolicy;
    const least = work * (1 + workMargin) + start * startMargin + lookMs + 60_000;
    const at = (spareMs: number): unknown =>
      asyncPod({ ...patient, "nerve.io/deadline": new Date(now + least + spareMs).toISOString() });
    assert.deepEqual([outcomeOf(at(0)), outcomeOf(at(-1)), outcomeOf(at(-now))], ["held", "no-slack", "no-slack"]);
    // A duration counts from creation where that is known.
    const old = { creationTimestamp: new Date(now - 20 * 3_600_000).toISOString() };
    assert.equal(outcomeOf(asyncPod(patient, {}, old)), "no-slack");
  });

  it("lets a malformed Pod through with every reason on it and in the warnings", () => {
    const pod = asyncPod({ "nerve.io/deadline": "so\u0007on\u{1f600}", other: "kept" });
    const { outcome, warnings } = admit(reviewFor(pod), rules, now);
    const through = after(pod);
    const { "nerve.io/ignored": reason, ...rest } = annotationsOf(through);
    assert.equal(outcome, "malformed");
    assert.match(
      String(reason),
      /^nerve\.io\/deadline is "so\\u0007on😀"; allowed: .* nerve\.io\/expected-duration is missing;/,
    );
    assert.deepEqual([rest, specOf(through)], [annotationsOf(pod), specOf(pod)]);
    assert.equal(warnings.length, 2);
    assert.match(warnings[1] ?? "", /^Nerve ignores this Pod: nerve\.io\/expected-duration is missing; /);
    assert.deepEqual(after(through), through);
    const bare = after(asyncPod({}, {}, { annotations: undefined }));
    assert.match(String(annotationsOf(bare)["nerve.io/ignored"]), /^nerve\.io\/deadline is missing/);
  });

  it("shows what no header takes as something else, the same each time", () => {
    for (const text of ["\u0085\u007f", `${"x".repeat(78)}\u{1f600}`, "\ud800"]) {
      const pod = asyncPod({ ...patient, "nerve.io/deadline": text, "nerve.io/\u0085": "" });
      const { warnings, patch } = admit(reviewFor(pod), rules, now);
      const texts = [...warnings, ...patch.map(({ value }) => String(value))];
      for (const shown of texts) assert.ok(!/\p{Cc}/u.test(shown) && shown.isWellFormed(), JSON.stringify(shown));
      assert.equal(outcomeOf(after(pod)), "malformed");
      assert.deepEqual(admit(reviewFor(after(pod)), rules, now).patch, []);
    }
  });

  it("allows whatever comes, with a patch that applies, and changes nothing the second time", () => {
    const value = fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.constantFrom("8h", "1h", "0", null), oddText);
    const annotations = fc.dictionary(
      fc.constantFrom(...Object.keys(patient), "nerve.io/zones", "nerve.io/ignored", "nerve.io/x", "__proto__"),
      value,
    );
    const gates = fc.oneof(
      fc.array(fc.oneof(fc.constant(gate), fc.record({ name: fc.string() }))),
      fc.jsonValue({ maxDepth: 2 }),
    );
    const pod = fc
      .record({ annotations, gates, owner: fc.oneof(fc.constant(jobOwner), fc.jsonValue({ maxDepth: 2 })) })
      .map((given) =>
        asyncPod(
          { ...patient, ...given.annotations },
          { schedulingGates: given.gates },
          { ownerReferences: [given.owner] },
        ),
      );
    const review = fc.oneof(
      { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 2 }) },
      { weight: 3, arbitrary: pod.map(reviewFor) },
    );
    fc.assert(
      fc.property(review, fc.integer({ min: 0, max: 2 ** 52 }), (question, nowMs) => {
        const given = admit(question, rules, nowMs);
        const { response } = reviewOf(question, given);
        assert.equal(fieldsOf(response)["allowed"], true);
        for (const warning of given.warnings) assert.ok(warning.length <= 256 && !/\p{Cc}/u.test(warning));
        const before = fieldsOf(fieldsOf(question)["request"])["object"];
        // As the API server has it: by way of UTF-8.
        const once: unknown = JSON.parse(Buffer.from(JSON.stringify(patched(before, given.patch) ?? null)).toString());
        assert.deepEqual(admit(reviewFor(once), rules, nowMs).patch, []);
        const others = (object: unknown): readonly unknown[] =>
          itemsOf(specOf(object)["schedulingGates"]).filter((one) => fieldsOf(one)["name"] !== gate.name);
        assert.deepEqual(others(once), JSON.parse(JSON.stringify(others(before))));
      }),
      { numRuns: 200 },
    );
  });

  it("answers in the API server's form", () => {
    const review = reviewFor(asyncPod());
    const given = admit(review, rules, now);
    const { response, ...kind } = reviewOf(review, given);
    assert.deepEqual(kind, { apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview" });
    const { patch, ...rest } = fieldsOf(response);
    assert.deepEqual(rest, { uid: "705ab4f5-6393-11e8-b7cc-42010a800002", allowed: true, patchType: "JSONPatch" });
    assert.deepEqual(JSON.parse(Buffer.from(String(patch), "base64").toString()), given.patch);
    const none = { outcome: "not-asked", patch: [], warnings: [] } as const;
    assert.deepEqual(reviewOf(7, none)["response"], { uid: "", allowed: true });
  });
});
