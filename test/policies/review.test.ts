import assert from "node:assert/strict";
import fc from "fast-check";
import { readFile, writeFile } from "node:fs/promises";
import {
  type ReviewInput,
  classify,
  collectReview,
  maxReviewLength,
  renderReview,
  reviewPasses,
} from "../../cli/review/index.ts";
import { samples } from "./credentialSamples.ts";
import { diagnostic, eventfulPreview, step, summary, violation } from "./reviewFixture.ts";

const golden = new URL("golden/review.md.txt", import.meta.url);
const review = (...events: Parameters<typeof collectReview>[1]) => collectReview("genesis", [...events, summary()]);
const gpu = { hostpcis: [{ device: "hostpci0", mapping: "gpu-rtx3090" }] };
const none = { hostpcis: [] };
const risksOf = (...events: Parameters<typeof collectReview>[1]) =>
  classify(review(...events).steps).risks.map(({ kind, subject, what }) => `${kind}: ${subject} ${what}`);

describe("review", () => {
  it("renders as the golden Markdown", async () => {
    const text = renderReview(collectReview("genesis", eventfulPreview));
    if (process.env["UPDATE_GOLDEN"] === "1") await writeFile(golden, text);
    assert.equal(text, await readFile(golden, "utf8"));
  });

  it("takes the steps of one replacement for one change", () => {
    const { groups } = classify(collectReview("genesis", eventfulPreview).steps);
    assert.deepEqual(
      groups.map(({ op, steps }) => [op, steps.map((s) => s.name)]),
      [
        ["delete", ["worker-302"]],
        ["replace", ["council"]],
        ["update", ["brain"]],
        ["create", ["district"]],
      ],
    );
  });

  it("tells where a device goes", () => {
    assert.deepEqual(
      risksOf(
        step({ op: "update", name: "brain", before: gpu, after: none }),
        step({ op: "update", name: "district", before: none, after: gpu }),
      ),
      ["passthrough: gpu-rtx3090 moves from brain to district"],
    );
    assert.deepEqual(risksOf(step({ op: "update", name: "brain", before: gpu, after: none })), [
      "passthrough: gpu-rtx3090 is taken from brain",
    ]);
    assert.deepEqual(
      risksOf(step({ op: "update", name: "brain", before: {}, after: { usbs: [{ mapping: "tpu" }] } })),
      ["passthrough: tpu is given to brain"],
    );
    assert.deepEqual(risksOf(step({ op: "delete", name: "brain", before: gpu })), [
      "deletion: brain is deleted",
      "passthrough: gpu-rtx3090 is taken from brain",
    ]);
    assert.deepEqual(
      risksOf(step({ op: "create", name: "brain", after: gpu })),
      [],
      "a first owner takes it from nobody",
    );
    assert.deepEqual(risksOf(step({ op: "update", name: "brain", before: gpu, after: gpu })), []);
  });

  it("sees a protection go, with the guest or without another change of it", () => {
    const lost = { before: { protection: true }, after: { protection: true }, protect: [true, false] as const };
    assert.deepEqual(risksOf(step({ op: "same", name: "brain", ...lost })), [
      "protection: brain loses Pulumi's protection",
    ]);
    const kept = { before: { protection: false }, after: { protection: true }, protect: [false, true] as const };
    assert.deepEqual(risksOf(step({ op: "update", name: "brain", ...kept })), []);
  });

  it("passes only a whole preview without a mandatory violation", () => {
    const create = step({ op: "create", name: "brain", after: {} });
    assert.equal(reviewPasses(review(create)), true);
    assert.equal(reviewPasses(review(create, violation("r", "brain", "m", "warning"))), true);
    assert.equal(reviewPasses(review(create, violation("r", "brain", "m", "mandatory"))), false);
    assert.equal(reviewPasses(review(create, diagnostic("error", "the host does not answer"))), false);
    assert.equal(reviewPasses(collectReview("genesis", [create])), false, "no summary: killed half-way");
  });

  it("says in one line what the verdict is", () => {
    const verdict = (input: ReviewInput) => renderReview(input).split("\n")[2];
    assert.equal(verdict(review()), "✅ **No changes.**");
    const create = step({ op: "create", name: "brain", after: {} });
    assert.equal(verdict(review(create)), "✅ **Allowed**: 1 change, none of them risky.");
    const remove = step({ op: "delete", name: "old", before: {} });
    assert.equal(verdict(review(create, remove)), "⚠️ **Risky**: 1 risky change of 2 changes. Read them first.");
    assert.match(verdict(collectReview("genesis", [create])) ?? "", /^❌ \*\*Unknown\*\*/);
  });

  it("shows a violation once, however often it is reported", () => {
    const twice = violation("r", "brain", "m\nWhy: w\nFix: f", "mandatory");
    const { policies } = review(twice, twice);
    assert.deepEqual(
      policies.map((p) => [p.message, p.reason, p.fix]),
      [["m", "w", "f"]],
    );
  });
});

/** Faults in the structure of a rendered review. */
function faultsOf(text: string): readonly string[] {
  const faults: string[] = [];
  if ((text.match(/^<details>$/gm)?.length ?? 0) !== (text.match(/^<\/details>$/gm)?.length ?? 0))
    faults.push("details");
  for (const line of text.split("\n")) {
    if (line.startsWith("|") && line.replace(/\\\|/g, "").split("|").length !== 5) faults.push(`cells: ${line}`);
    const known =
      /^(|##? ?.*|### .*|\|.*\||- .*| {2}- (Why|Fix): .*|<\/?details>|<summary>[A-Z][a-z ]+: \d+<\/summary>|[❌✅⚠].*|.*\.)$/su;
    if (!known.test(line)) faults.push(`line: ${line}`);
    const outside = line.replace(/\\.|`[^`]*`/g, "");
    if (/<(?!br>|\/?details>$|summary>|\/summary>$)/.test(outside)) faults.push(`HTML: ${line}`);
    if (/`/.test(outside)) faults.push(`open code span: ${line}`);
    if (/@\w/.test(outside)) faults.push(`mention: ${line}`);
  }
  return faults;
}

const hostile = fc.oneof(
  fc.string({ unit: "binary", maxLength: 60 }),
  fc
    .array(
      fc.constantFrom("|", "`", "\\", "\n", "<b>", "</details>", "@admin", "- ", "\r", "\u202e", "#", "[x](y)", "a"),
      { maxLength: 12 },
    )
    .map((p) => p.join("")),
);

function inputs(text: fc.Arbitrary<string>): fc.Arbitrary<ReviewInput> {
  const maybe = fc.option(text, { nil: undefined });
  const sides = <T>(value: fc.Arbitrary<T>) =>
    fc.record({ before: fc.option(value, { nil: undefined }), after: fc.option(value, { nil: undefined }) });
  const change = fc.record({
    path: text,
    kind: fc.constantFrom("add" as const, "delete" as const, "update" as const),
    replaces: fc.boolean(),
    before: maybe,
    after: maybe,
  });
  return fc.record({
    stack: text,
    steps: fc.array(
      fc.record({
        op: fc.constantFrom(
          "create" as const,
          "update" as const,
          "replace" as const,
          "delete" as const,
          "same" as const,
        ),
        urn: text,
        type: text,
        name: text,
        changes: fc.array(change, { maxLength: 20 }),
        devices: sides(fc.array(text, { maxLength: 2 })),
        protect: sides(fc.boolean()),
        protection: sides(fc.boolean()),
      }),
    ),
    policies: fc.array(
      fc.record({
        policy: text,
        pack: text,
        level: fc.constantFrom("mandatory" as const, "advisory" as const),
        urn: maybe,
        message: text,
        reason: maybe,
        fix: maybe,
      }),
    ),
    diagnostics: fc.array(
      fc.record({ severity: fc.constantFrom("error" as const, "warning" as const), urn: maybe, message: text }),
    ),
    packs: fc.array(text),
    finished: fc.boolean(),
  });
}

describe("review of any input", () => {
  it("keeps tables, lists and details whole", () => {
    fc.assert(
      fc.property(inputs(hostile), (input) => {
        assert.deepEqual(faultsOf(renderReview(input)), []);
      }),
    );
  });

  it("keeps to its length, whole even then, and says what it left out", () => {
    fc.assert(
      fc.property(inputs(hostile), fc.integer({ min: 5000, max: 9000 }), (input, maxLength) => {
        const many = { ...input, policies: Array.from({ length: 60 }, () => input.policies).flat() };
        const text = renderReview(many, maxLength);
        assert.ok(text.length <= maxLength, String(text.length));
        assert.deepEqual(faultsOf(text), []);
        const whole = renderReview(many, 10_000_000);
        assert.equal(text !== whole, text.includes("left out for length"));
      }),
      { numRuns: 50, endOnFailure: true },
    );
  });

  it("shows no credential, wherever it stands", () => {
    const sample = fc.constantFrom(...samples);
    fc.assert(
      fc.property(
        sample.chain((s) =>
          inputs(fc.constantFrom(s.text, `x ${s.text}`, `${"long ".repeat(38)}${s.text}`, "plain")).map((input) => ({
            s,
            input,
          })),
        ),
        ({ s, input }) => {
          assert.ok(!renderReview(input).includes(s.secret));
        },
      ),
    );
  });

  it("shows no value of a property that is named like a secret, nor one that the engine calls secret", () => {
    const secret = { "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", ciphertext: "sesame" };
    const update = step({
      op: "update",
      name: "brain",
      before: { plain: secret, apiToken: "sesame", deep: [{ password: "sesame" }] },
      after: { plain: "[secret]", apiToken: "sesame-2", deep: [{ password: "sesame-2" }] },
      diff: { plain: "update", apiToken: "update", "deep[0].password": "update" },
    });
    const text = renderReview(review(update));
    assert.ok(!text.includes("sesame"), text);
    assert.equal(text.split("[secret]").length - 1, 6, text);
  });

  it("stays below what GitHub takes for a comment", () => {
    const events = Array.from({ length: 3000 }, (_, n) =>
      step({ op: "delete", name: `guest-${String(n)}`, before: {} }),
    );
    const text = renderReview(review(...events));
    assert.ok(text.length <= maxReviewLength && maxReviewLength < 65_536);
    assert.match(text, /- … and \d+ more, left out for length/);
  });
});
