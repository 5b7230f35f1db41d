// pvesh(1): the API from the shell.
import { api, finishTask, listOf, objectOf, textOf } from "./api.ts";
import type { Json } from "./api.ts";
import { ToolError } from "./errors.ts";
import { parseOptions } from "./options.ts";

const methods = { get: "GET", ls: "GET", create: "POST", set: "PUT", delete: "DELETE" } as const;

export async function pvesh(args: string[]): Promise<void> {
  const [command, ...rest] = args;
  const method =
    command === "get" || command === "ls" || command === "create" || command === "set" || command === "delete"
      ? methods[command]
      : undefined;
  if (method === undefined) {
    throw new ToolError(
      `ERROR: ${command === undefined ? "no command specified" : `unknown command 'pvesh ${command}'`}\nUSAGE: pvesh <COMMAND> [ARGS] [OPTIONS]`,
      255,
    );
  }
  const { positional, options } = parseOptions(rest, ["human-readable", "noborder", "noheader", "noproxy", "quiet"]);
  const path = positional[0];
  if (path === undefined)
    throw new ToolError(`400 not enough arguments\npvesh ${command} <api_path> [OPTIONS] [FORMAT_OPTIONS]`, 255);
  const {
    "output-format": format = "text",
    "human-readable": _h,
    noborder: _b,
    noheader: _n,
    noproxy: _p,
    quiet,
    ...params
  } = options;
  const data = await api(method, `/${path.replace(/^\/+/, "")}`, params);
  if (method !== "GET") await finishTask(data);
  if (quiet === "1" || data === null) return;
  if (format === "json") process.stdout.write(`${JSON.stringify(data)}\n`);
  else if (format === "json-pretty" || format === "yaml") process.stdout.write(`${JSON.stringify(data, null, 3)}\n`);
  else process.stdout.write(asText(data));
}

function asText(data: Json): string {
  if (Array.isArray(data)) {
    const rows = listOf(data).map((row) => (typeof row === "object" ? objectOf(row) : { value: row }));
    const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))].sort();
    return rows.map((row) => `${columns.map((column) => textOf(row[column])).join("  ")}\n`).join("");
  }
  if (typeof data !== "object") return `${textOf(data)}\n`;
  return Object.entries(objectOf(data))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}  ${textOf(value)}\n`)
    .join("");
}
