/** The table of sources: where the behaviour of every route was read. */
import { pveRoutes } from "./routes.ts";

export interface SourceRow {
  readonly method: string;
  readonly path: string;
  readonly source: string;
}

/** One row a route, sorted by path and method. */
export function routeSources(): SourceRow[] {
  return pveRoutes
    .map(({ method, path, source }) => ({ method, path, source }))
    .sort((a, b) => (a.path === b.path ? a.method.localeCompare(b.method) : a.path.localeCompare(b.path)));
}

/** The table as Markdown, for the documentation. */
export function sourcesMarkdown(): string {
  const rows = routeSources().map((row) => `| ${row.method} | \`${row.path}\` | ${row.source} |`);
  return ["| method | path | source |", "|---|---|---|", ...rows].join("\n");
}
