// pveum(1): the part that setting up an API token needs. `pveum user token add` prints the secret once, as the real one does.
import { api, listOf, objectOf, textOf } from "./api.ts";
import type { Json, Params } from "./api.ts";
import { unknownCommand } from "./guest-tool.ts";
import { parseOptions } from "./options.ts";

export async function pveum(args: string[]): Promise<void> {
  const words = args.slice(
    0,
    args.findIndex((arg) => arg.startsWith("-")) < 0 ? args.length : args.findIndex((arg) => arg.startsWith("-")),
  );
  const { positional, options } = parseOptions(args, ["privsep", "propagate", "enable"]);
  const { "output-format": format, ...params } = options;
  const call = callFor(positional, params);
  if (call === undefined) return unknownCommand("pveum", words.join(" ") || undefined);
  const data = await api(call.method, call.path, call.params);
  if (data !== null) print(data, format);
}

interface Call {
  method: "GET" | "POST" | "PUT" | "DELETE";
  path: string;
  params: Params;
}

function callFor(positional: readonly string[], params: Params): Call | undefined {
  const [noun = "", verb = "", third = "", fourth = "", fifth = ""] = positional;
  const part = encodeURIComponent;
  const collection = { user: "/access/users", role: "/access/roles", group: "/access/groups" }[noun];
  const key = { user: "userid", role: "roleid", group: "groupid" }[noun];
  if (noun === "user" && verb === "token") {
    const base = `/access/users/${part(fourth)}/token`;
    if (third === "list") return { method: "GET", path: base, params };
    if (third === "add") return { method: "POST", path: `${base}/${part(fifth)}`, params };
    if (third === "modify") return { method: "PUT", path: `${base}/${part(fifth)}`, params };
    if (third === "remove" || third === "delete") return { method: "DELETE", path: `${base}/${part(fifth)}`, params };
    return undefined;
  }
  if (collection !== undefined && key !== undefined) {
    if (verb === "list") return { method: "GET", path: collection, params };
    if (verb === "add") return { method: "POST", path: collection, params: { ...params, [key]: third } };
    if (verb === "modify") return { method: "PUT", path: `${collection}/${part(third)}`, params };
    if (verb === "delete") return { method: "DELETE", path: `${collection}/${part(third)}`, params };
  }
  if ((noun === "acl" && verb === "modify") || noun === "aclmod") {
    return { method: "PUT", path: "/access/acl", params: { ...params, path: noun === "acl" ? third : verb } };
  }
  if ((noun === "acl" && verb === "list") || noun === "acllist") return { method: "GET", path: "/access/acl", params };
  return undefined;
}

function print(data: Json, format: string | undefined): void {
  if (format === "json") return void process.stdout.write(`${JSON.stringify(data)}\n`);
  const rows = Array.isArray(data) ? listOf(data).map(objectOf) : [objectOf(data)];
  for (const row of rows) {
    const keys = Object.keys(row).sort();
    process.stdout.write(`${keys.map((key) => `${key}: ${textOf(row[key])}`).join("\n")}\n`);
  }
}
