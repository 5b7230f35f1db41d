import { redactCredentials } from "../../components/shared/credentials.ts";
import { shorten } from "./values.ts";

/** Longest name in a code span, and longest sentence, in UTF-16 units. */
const maxNameLength = 200;
const maxSentenceLength = 600;

// eslint-disable-next-line no-control-regex
const invisible = /[\u0000-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+/g;

/** One line: without credentials, line breaks, control characters and marks that change the direction of text. */
function oneLine(text: string, length: number): string {
  return shorten(redactCredentials(text).replace(invisible, " ").replace(/\s+/g, " ").trim(), length);
}

/** A name as a code span, which nothing in it can leave, in a table or out of it. */
export function code(text: string): string {
  // A bar would end the table's cell, a back-tick the span; in a code span neither can be escaped everywhere.
  const line = oneLine(text, maxNameLength).replaceAll("`", "ˋ").replaceAll("|", "¦");
  return line === "" ? "–" : `\`${line}\``;
}

/** A sentence as text without any markup, mention or link of its own. */
export function prose(text: string): string {
  return oneLine(text, maxSentenceLength)
    .replace(/[\\`*_{}[\]<>|~#&$!]/g, "\\$&")
    .replace(/^(\d{1,9})([.)])/, "$1\\$2")
    .replace(/^[-+=]/, "\\$&")
    .replaceAll("@", "@\u2060")
    .replaceAll("://", ":\u2060//");
}

/** Part of a document: rows may be left out from the end when space runs out, head and tail never. */
export interface Section {
  readonly head: readonly string[];
  readonly rows: readonly string[];
  readonly tail: readonly string[];
  /** Who gets space first when there is too little: the lower rank. @default 0 */
  readonly rank?: number;
}

/** Joins sections to at most `maxLength` UTF-16 units; says how many rows were left out. */
export function joinSections(sections: readonly Section[], maxLength: number): string {
  const note = (omitted: number) => `- … and ${String(omitted)} more, left out for length`;
  const frame = ({ head, rows, tail }: Section) => [...head, "", note(rows.length), ...tail].join("\n").length + 2;
  let left = maxLength - sections.reduce((sum, section) => sum + frame(section), 0);
  const kept = new Map<Section, number>();
  for (const section of sections.toSorted((a, b) => (a.rank ?? 0) - (b.rank ?? 0))) {
    let rows = 0;
    for (const row of section.rows) {
      if (row.length + 1 > left) break;
      left -= row.length + 1;
      rows += 1;
    }
    kept.set(section, rows);
  }
  const parts = sections.map((section) => {
    const rows = section.rows.slice(0, kept.get(section) ?? 0);
    const omitted = section.rows.length - rows.length;
    // An empty line ends a table before the note.
    return [...section.head, ...rows, ...(omitted === 0 ? [] : ["", note(omitted)]), ...section.tail].join("\n");
  });
  return `${parts.join("\n\n")}\n`;
}
