// pulumi-resource-aws for the lab: the Lightsail part of the published provider, in its terms. Credentials, region and
// endpoint come from AWS's own variables; arguments of an explicit provider do not reach a provider in TypeScript.
import { randomBytes } from "node:crypto";
import type {
  CheckFailure,
  CheckResult,
  CreateResult,
  DiffResult,
  Provider,
  ReadResult,
  UpdateResult,
} from "@pulumi/pulumi/provider/provider.js";
import { hasSecret, hasUnknown, isObject, plain, same, secret } from "../command/wire.ts";
import type { Lightsail } from "./client.ts";
import { handlers } from "./resources.ts";
import type { Fields, Handler } from "./resources.ts";
import { packageSchema, types } from "./schema.ts";
import type { Shape, TypeInfo } from "./schema.ts";

export const version = "7.48.0";

/** instance.go: two to 255 characters, a letter or digit first. */
const nameForm = /^[A-Za-z0-9][\w.-]{0,253}[A-Za-z0-9]$/;

export class AwsProvider implements Provider {
  readonly version = version;
  readonly #connect: () => Lightsail;

  /** @param connect called with the first resource, so that a schema can be had without credentials */
  constructor(connect: () => Lightsail) {
    this.#connect = connect;
  }

  getSchema(): Promise<string> {
    return Promise.resolve(packageSchema(version));
  }

  check(urn: string, olds: unknown, news: unknown): Promise<CheckResult> {
    const { info, name } = typeOf(urn);
    const before = known(olds);
    const inputs = withoutNulls(news);
    if (info.autoName && inputs["name"] === undefined && inputs["namePrefix"] === undefined)
      inputs["name"] = before["name"] ?? `${name}-${randomBytes(4).toString("hex").slice(0, 7)}`;
    if (inputs["name"] === undefined && inputs["namePrefix"] !== undefined)
      inputs["name"] = before["name"] ?? `${String(plain(inputs["namePrefix"]))}${randomBytes(13).toString("hex")}`;
    const failures: CheckFailure[] = [];
    for (const property of Object.keys(inputs))
      if (!(property in info.inputs)) failures.push({ property, reason: "is not a property of this resource" });
    for (const property of info.required)
      if (inputs[property] === undefined) failures.push({ property, reason: "is required" });
    for (const [property, shape] of Object.entries(info.inputs)) {
      const value = plain(inputs[property]);
      if (value === undefined || hasUnknown(value)) continue;
      const reason = wrong(shape, value);
      if (reason !== undefined) failures.push({ property, reason });
    }
    const wanted = plain(inputs["name"]);
    if (typeof wanted === "string" && !hasUnknown(wanted) && !nameForm.test(wanted))
      failures.push({
        property: "name",
        reason: "must contain only alphanumeric characters, underscores, hyphens, and dots",
      });
    return Promise.resolve({ inputs, failures });
  }

  diff(_id: string, urn: string, olds: unknown, news: unknown): Promise<DiffResult> {
    const { info, name } = typeOf(urn);
    const [before, after] = [known(olds), withoutNulls(news)];
    const changed = Object.keys(info.inputs).filter((key) => {
      const value = plain(after[key]);
      // What AWS filled in by itself is no difference (Computed in the Terraform schema).
      return value === undefined ? isGone(info.inputs[key], before[key]) : !same(before[key], value);
    });
    const replaces = changed.filter((key) => info.replaceOnChanges.includes(key));
    // A name that somebody chose is taken until its holder is gone (pulumi-terraform-bridge, nameRequiresDeleteBeforeReplace).
    const old = String(before["name"]);
    const chosen = info.autoName && !(old.startsWith(`${name}-`) && /^[0-9a-f]{7}$/.test(old.slice(name.length + 1)));
    const deleteBeforeReplace = replaces.length > 0 && chosen && same(before["name"], plain(after["name"]));
    return Promise.resolve({ changes: changed.length > 0, replaces, deleteBeforeReplace });
  }

  async create(urn: string, properties: unknown): Promise<CreateResult> {
    const { info, handler } = typeOf(urn);
    const inputs = known(properties);
    const aws = this.#connect();
    const { id, extra = {} } = await handler.create(aws, inputs);
    const state = await handler.read(aws, id, { ...inputs, ...extra });
    return { id, outs: told(info, state ?? { ...inputs, ...extra }, properties) };
  }

  async read(id: string, urn: string, props: unknown): Promise<ReadResult> {
    const { info, handler } = typeOf(urn);
    const state = await handler.read(this.#connect(), id, known(props));
    if (state === undefined) return {};
    const inputs = Object.fromEntries(Object.entries(state).filter(([key]) => key in info.inputs));
    return { id, props: told(info, state, props), inputs: told(info, inputs, props) };
  }

  async update(id: string, urn: string, olds: unknown, news: unknown): Promise<UpdateResult> {
    const { info, handler } = typeOf(urn);
    const [before, after] = [known(olds), known(news)];
    const aws = this.#connect();
    await handler.update?.(aws, id, before, after);
    const carried = (info.secretOutputs ?? []).map((key): [string, unknown] => [key, before[key]]);
    const state = await handler.read(aws, id, { ...after, ...Object.fromEntries(carried) });
    return { outs: told(info, state ?? after, news) };
  }

  async delete(id: string, urn: string, properties: unknown): Promise<void> {
    await typeOf(urn).handler.delete(this.#connect(), id, known(properties));
  }
}

function isGone(shape: Shape | undefined, before: unknown): boolean {
  if (before === undefined) return false;
  return shape === "tags" || shape === "addOn";
}

/** State as the engine keeps it; what must not be seen, and what came as a secret, is wrapped. */
function told(info: TypeInfo, state: Fields, given: unknown): Fields {
  const inputs = withoutNulls(given);
  return Object.fromEntries(
    Object.entries(state)
      .filter(([key, value]) => value !== undefined && (key in info.inputs || key in info.outputs))
      .map(([key, value]) => {
        const hidden = info.secretOutputs?.includes(key) === true || hasSecret(inputs[key]);
        return [key, hidden ? secret(value) : value];
      }),
  );
}

function wrong(shape: Shape, value: unknown): string | undefined {
  switch (shape) {
    case "text":
      return typeof value === "string" ? undefined : "must be a string";
    case "number":
      return typeof value === "number" ? undefined : "must be a number";
    case "yes-no":
      return typeof value === "boolean" ? undefined : "must be true or false";
    case "texts":
      return Array.isArray(value) && value.every((entry) => typeof entry === "string") ? undefined : "must be strings";
    case "tags":
      return isObject(value) && Object.values(value).every((entry) => typeof entry === "string")
        ? undefined
        : "must be strings by name";
    case "addOn":
      return isObject(value) && ["type", "snapshotTime", "status"].every((key) => typeof value[key] === "string")
        ? undefined
        : "needs type, snapshotTime and status";
    case "ports":
      return Array.isArray(value) && value.length > 0 && value.every(isPort)
        ? undefined
        : "must be one or more of fromPort, toPort (0 to 65535) and protocol (tcp, all, udp, icmp, icmpv6)";
  }
}

function isPort(value: unknown): boolean {
  if (!isObject(value)) return false;
  const inRange = [value["fromPort"], value["toPort"]].every(
    (port) => typeof port === "number" && Number.isInteger(port) && port >= 0 && port <= 65_535,
  );
  return inRange && ["tcp", "all", "udp", "icmp", "icmpv6"].includes(String(value["protocol"]));
}

function known(value: unknown): Fields {
  const bare = plain(withoutNulls(value));
  return isObject(bare) ? bare : {};
}

function withoutNulls(value: unknown): Fields {
  return Object.fromEntries(
    Object.entries(isObject(value) ? value : {}).filter(
      ([key, entry]) => entry !== null && entry !== undefined && !key.startsWith("__"),
    ),
  );
}

/** urn:pulumi:STACK::PROJECT::PARENT$TYPE::NAME */
function typeOf(urn: string): { info: TypeInfo; handler: Handler; name: string } {
  const [, , path = "", ...name] = urn.split("::");
  const token = path.split("$").at(-1) ?? "";
  const [info, handler] = [types[token], handlers[token]];
  if (info === undefined || handler === undefined)
    throw new Error(`resource type ${token} is not served by the lab's AWS; it has ${Object.keys(types).join(", ")}`);
  return { info, handler, name: name.join("::") };
}
