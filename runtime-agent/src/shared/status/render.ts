/** Any status document for people: values as aligned lines, lists of records as tables. Pure. */
const longestCell = 60;

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** One cell: control characters made visible, so that no name can move the cursor of a terminal. */
function cell(value: unknown): string {
  const text = value === undefined || value === null ? "–" : typeof value === "string" ? value : JSON.stringify(value);
  const printable = text.replaceAll(/\p{Cc}/gu, "?");
  return printable.length > longestCell ? `${printable.slice(0, longestCell - 1)}…` : printable;
}

function table(rows: readonly Readonly<Record<string, unknown>>[], indent: string): readonly string[] {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const lines = [columns, ...rows.map((row) => columns.map((column) => cell(row[column])))];
  const widths = columns.map((_, index) => Math.max(...lines.map((line) => (line[index] ?? "").length)));
  return lines.map((line) => `${indent}${line.map((text, at) => text.padEnd(widths[at] ?? 0)).join("  ")}`.trimEnd());
}

function block(value: Readonly<Record<string, unknown>>, indent: string): readonly string[] {
  const width = Math.max(0, ...Object.keys(value).map((key) => key.length));
  return Object.entries(value).flatMap(([key, item]) => {
    if (isRecord(item) && Object.keys(item).length > 0) return [`${indent}${key}:`, ...block(item, `${indent}  `)];
    if (Array.isArray(item) && item.length > 0 && item.every(isRecord)) {
      return [`${indent}${key}:`, ...table(item, `${indent}  `)];
    }
    const text = Array.isArray(item) ? (item.length === 0 ? "none" : item.map(cell).join(", ")) : cell(item);
    return [`${indent}${key.padEnd(width)}  ${text}`];
  });
}

/** The document as lines of text, each with its line end. */
export function renderStatus(status: unknown): string {
  const lines = isRecord(status) ? block(status, "") : [cell(status)];
  return lines.map((line) => `${line}\n`).join("");
}
