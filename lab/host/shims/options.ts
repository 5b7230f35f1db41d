// Arguments in the form of Proxmox' CLI handler (PVE::JSONSchema::get_options): -key value, --key value, --key=value.
import { ToolError } from "./errors.ts";
import type { Params } from "./api.ts";

export interface ParsedOptions {
  positional: string[];
  options: Params;
}

/** Boolean options may stand alone; every other key takes the next argument. */
export function parseOptions(args: readonly string[], switches: readonly string[] = []): ParsedOptions {
  const positional: string[] = [];
  const options: Params = {};
  const rest = [...args];
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    const match = /^--?([A-Za-z][\w-]*)(?:=([\s\S]*))?$/.exec(arg);
    const key = match?.[1];
    if (key === undefined) {
      positional.push(arg);
      continue;
    }
    const inline = match?.[2];
    const next = rest[0];
    if (inline !== undefined) add(options, key, inline);
    else if (switches.includes(key) && (next === undefined || !/^(0|1|yes|no|true|false|on|off)$/.test(next)))
      options[key] = "1";
    else if (next === undefined)
      throw new ToolError(`400 unable to parse option\nOption ${key} requires an argument`, 255);
    else add(options, key, rest.shift() ?? "");
  }
  return { positional, options };
}

function add(options: Params, key: string, value: string): void {
  if (options[key] !== undefined && key !== "delete") throw new ToolError(`400 duplicate option '${key}'`, 255);
  options[key] = options[key] === undefined ? value : `${options[key]},${value}`;
}

export function requireCount(positional: readonly string[], names: readonly string[], usage: string): void {
  if (positional.length === names.length) return;
  throw new ToolError(
    positional.length < names.length ? `400 not enough arguments\n${usage}` : `400 too many arguments\n${usage}`,
    255,
  );
}
