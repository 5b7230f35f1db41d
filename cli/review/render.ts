import { redactCredentials } from "../../components/shared/credentials.ts";
import { parseUrn } from "../engine/urn.ts";
import { type Classified, type RiskKind, classify } from "./classify.ts";
import { type Section, code, joinSections, prose } from "./markdown.ts";
import type { PolicyResult, PropertyChange, ReviewInput, ReviewOp, ReviewStep } from "./model.ts";

/** GitHub refuses comments above 65,536 characters; the rest is left to whatever is put around the review. */
export const maxReviewLength = 60_000;

/** Most properties shown of one resource. */
const maxChangesShown = 12;

const groupTitles: Readonly<Record<ReviewOp, string>> = {
  delete: "Deleted",
  replace: "Replaced",
  update: "Updated",
  create: "Created",
  import: "Imported",
  read: "Read",
  same: "Unchanged",
};

const riskTitles: Readonly<Record<RiskKind, string>> = {
  deletion: "Deletion",
  replacement: "Replacement",
  passthrough: "Passthrough move",
  protection: "Protection removed",
};

/** Whether a review lets the change pass: the preview came to its end and no mandatory rule is broken. */
export function reviewPasses(input: ReviewInput): boolean {
  return input.finished && !input.policies.some((result) => result.level === "mandatory");
}

/**
 * A preview as Markdown fit for a pull request: verdict, what stops it, risky changes, changes, other policy results.
 * Whatever the input holds, the document stays whole, shows no credential and has at most `maxLength` UTF-16 units.
 */
export function renderReview(input: ReviewInput, maxLength: number = maxReviewLength): string {
  const classified = classify(input.steps);
  const sections: readonly Section[] = [
    { head: [`## Review of stack ${code(input.stack)}`, "", verdict(input, classified)], rows: [], tail: [] },
    // What stops the change comes first of all.
    ...policySections(input, "mandatory"),
    ...(classified.risks.length === 0
      ? []
      : [
          {
            head: ["### Risky changes", "", "| Risk | What | |", "| --- | --- | --- |"],
            rows: riskRows(classified),
            tail: [],
          },
        ]),
    ...changeSections(classified),
    ...policySections(input, "advisory"),
    ...diagnosticSections(input),
    { head: [footer(input)], rows: [], tail: [] },
  ];
  return joinSections(sections, maxLength);
}

function verdict(input: ReviewInput, { risks, groups }: Classified): string {
  const mandatory = input.policies.filter((result) => result.level === "mandatory").length;
  const total = groups.reduce((sum, group) => sum + group.steps.length, 0);
  if (mandatory > 0) return `❌ **Not allowed**: ${count(mandatory, "mandatory policy violation")}.`;
  if (!input.finished) return "❌ **Unknown**: the preview did not come to its end, so changes may be missing below.";
  if (risks.length > 0)
    return `⚠️ **Risky**: ${count(risks.length, "risky change")} of ${count(total, "change")}. Read them first.`;
  return total === 0 ? "✅ **No changes.**" : `✅ **Allowed**: ${count(total, "change")}, none of them risky.`;
}

function count(number: number, noun: string): string {
  return `${String(number)} ${noun}${number === 1 ? "" : "s"}`;
}

function riskRows({ risks }: Classified): readonly string[] {
  return risks.map(
    ({ kind, subject, type, what }) =>
      `| ${riskTitles[kind]} | ${code(subject)} ${prose(what)} | ${type === undefined ? "device" : code(shortType(type))} |`,
  );
}

function changeSections({ groups }: Classified): readonly Section[] {
  if (groups.length === 0) return [];
  const details = groups.map(({ op, steps }) => ({
    head: [
      "<details>",
      `<summary>${groupTitles[op]}: ${String(steps.length)}</summary>`,
      "",
      "| Resource | Type | Properties |",
      "| --- | --- | --- |",
    ],
    rows: steps.map((step) => `| ${code(step.name)} | ${code(shortType(step.type))} | ${properties(step)} |`),
    tail: ["", "</details>"],
    rank: 2,
  }));
  return [{ head: ["### Changes"], rows: [], tail: [] }, ...details];
}

function properties({ changes }: ReviewStep): string {
  if (changes.length === 0) return "–";
  const shown = changes.slice(0, maxChangesShown).map(property);
  const rest = changes.length - shown.length;
  return [...shown, ...(rest === 0 ? [] : [`and ${String(rest)} more`])].join("<br>");
}

function property({ path, kind, replaces, before, after }: PropertyChange): string {
  const sign = kind === "add" ? "+" : kind === "delete" ? "−" : "~";
  const from = before === undefined ? "" : code(before);
  const to = after === undefined ? "" : code(after);
  const values = from === "" && to === "" ? "" : `: ${from === "" ? "–" : from} → ${to === "" ? "–" : to}`;
  return `${sign} ${code(path)}${values}${replaces ? " (forces replacement)" : ""}`;
}

function policySections(input: ReviewInput, level: PolicyResult["level"]): readonly Section[] {
  const results = input.policies.filter((result) => result.level === level);
  if (results.length === 0) return [];
  const title = level === "mandatory" ? "Mandatory policy violations" : "Advisory policy violations";
  const rows = results.map((result) => {
    const lines = [
      `- **${prose(result.policy)}**${result.urn === undefined ? "" : ` on ${resource(result.urn)}`}: ${prose(result.message)}`,
      ...(result.reason === undefined ? [] : [`  - Why: ${prose(result.reason)}`]),
      ...(result.fix === undefined ? [] : [`  - Fix: ${prose(result.fix)}`]),
    ];
    return lines.join("\n");
  });
  if (level === "mandatory") return [{ head: [`### ${title}`, ""], rows, tail: [] }];
  return [
    {
      head: ["<details>", `<summary>${title}: ${String(results.length)}</summary>`, ""],
      rows,
      tail: ["", "</details>"],
    },
  ];
}

function diagnosticSections({ diagnostics }: ReviewInput): readonly Section[] {
  return (["error", "warning"] as const).flatMap((severity) => {
    const own = diagnostics.filter((diagnostic) => diagnostic.severity === severity);
    if (own.length === 0) return [];
    const rows = own.map(({ urn, message }) => `- ${urn === undefined ? "" : `${resource(urn)}: `}${prose(message)}`);
    return severity === "error"
      ? [{ head: ["### Errors", ""], rows, tail: [] }]
      : [
          {
            head: ["<details>", `<summary>Warnings: ${String(own.length)}</summary>`, ""],
            rows,
            tail: ["", "</details>"],
          },
        ];
  });
}

function resource(urn: string): string {
  // Taking a credential apart would leave halves that nothing recognises: hide it first.
  const parts = parseUrn(redactCredentials(urn));
  return parts === undefined ? code(urn) : `${code(parts.name)} (${code(shortType(parts.type))})`;
}

/** `VmLegacy` of `proxmoxve:index/vmLegacy:VmLegacy`. */
function shortType(type: string): string {
  return redactCredentials(type).split(":").at(-1) ?? "";
}

function footer({ packs, policies }: ReviewInput): string {
  if (packs.length === 0) return policies.length === 0 ? "No policy pack ran." : "Policies ran.";
  const clean = policies.length === 0 ? ", without a violation" : "";
  return `Policy packs: ${packs.slice(0, 8).map(code).join(", ")}${clean}.`;
}
