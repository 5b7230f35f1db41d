/** Rows under headings, each column as wide as its widest cell; the last column is not padded. */
export function renderTable(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [headings, ...rows];
  const widths = headings.map((_, column) => Math.max(...all.map((row) => [...(row[column] ?? "")].length)));
  return all
    .map((row) =>
      headings
        .map((_, column) => {
          const cell = row[column] ?? "";
          return column === headings.length - 1 ? cell : cell + " ".repeat((widths[column] ?? 0) - [...cell].length);
        })
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
