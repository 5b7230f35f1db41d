// The resource operations, in the published provider's terms: check, diff, create, update, delete.
import { randomBytes } from "node:crypto";
import type {
  CheckFailure,
  CheckResult,
  CreateResult,
  DiffResult,
  InvokeResult,
  Provider,
  UpdateResult,
} from "@pulumi/pulumi/provider/provider.js";
import { closeAllConnections, connectionFaults } from "./connection.ts";
import { copyToRemote } from "./copy.ts";
import type { EngineLog } from "./engine-log.ts";
import { runLocal } from "./local.ts";
import type { Finished } from "./output.ts";
import { runRemote } from "./remote.ts";
import type { Reporter } from "./remote.ts";
import { packageSchema, types } from "./schema.ts";
import type { TypeInfo } from "./schema.ts";
import { hasSecret, hasUnknown, isObject, plain, same, secret, sourceOf } from "./wire.ts";
import type { Properties, Source } from "./wire.ts";

export const version = "1.2.1";

export class CommandProvider implements Provider {
  readonly version = version;
  readonly #log: EngineLog;

  constructor(log: EngineLog) {
    this.#log = log;
  }

  getSchema(): Promise<string> {
    return Promise.resolve(packageSchema(version));
  }

  check(urn: string, _olds: unknown, news: unknown): Promise<CheckResult> {
    const [, info] = typeOf(urn);
    const inputs = withoutNulls(news);
    const failures: CheckFailure[] = [];
    for (const key of Object.keys(inputs)) {
      if (!info.inputs.includes(key)) failures.push({ property: key, reason: "is not a property of this resource" });
    }
    for (const key of info.required)
      if (inputs[key] === undefined) failures.push({ property: key, reason: "is required" });
    for (const key of ["create", "update", "delete", "stdin", "remotePath", "localPath", "dir"]) {
      const value = plain(inputs[key]);
      if (value !== undefined && !hasUnknown(value) && typeof value !== "string")
        failures.push({ property: key, reason: "must be a string" });
    }
    const environment = plain(inputs["environment"]);
    for (const name of Object.keys(isObject(environment) ? environment : {})) {
      if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
        failures.push({ property: `environment.${name}`, reason: "is not a name for an environment variable" });
    }
    const connection = plain(inputs["connection"]);
    if (connection !== undefined) {
      if (!hasUnknown(connection)) failures.push(...connectionFaults(connection));
      inputs["connection"] = secret(inputs["connection"]);
    }
    const source = plain(inputs["source"]);
    if (source !== undefined && !hasUnknown(source) && sourceOf(source) === undefined)
      failures.push({ property: "source", reason: "must be an asset or an archive" });
    return Promise.resolve({ inputs, failures });
  }

  diff(_id: string, urn: string, olds: unknown, news: unknown): Promise<DiffResult> {
    const [, info] = typeOf(urn);
    const before = withoutNulls(olds);
    const after = withoutNulls(news);
    const changed = info.inputs.filter((key) => !same(plain(before[key]), plain(after[key])));
    const replaces = changed.filter((key) => info.replaceOnChanges.includes(key));
    return Promise.resolve({ changes: changed.length > 0, replaces, deleteBeforeReplace: false });
  }

  async create(urn: string, properties: unknown): Promise<CreateResult> {
    const [token, info] = typeOf(urn);
    const inputs = withoutNulls(properties);
    const id = `${nameOf(urn)}${randomBytes(4).toString("hex")}`;
    return { id, outs: await this.#apply(urn, token, info, inputs, inputs["create"], {}) };
  }

  async update(_id: string, urn: string, olds: unknown, news: unknown): Promise<UpdateResult> {
    const [token, info] = typeOf(urn);
    const inputs = withoutNulls(news);
    const before = withoutNulls(olds);
    if (token.startsWith("command:remote:Copy")) {
      const moved = ["source", "localPath", "remotePath"].some((key) => !same(plain(before[key]), plain(inputs[key])));
      return { outs: moved ? await this.#apply(urn, token, info, inputs, undefined, {}) : outputsOf(info, inputs, {}) };
    }
    return {
      outs: await this.#apply(urn, token, info, inputs, inputs["update"] ?? inputs["create"], previousOf(before)),
    };
  }

  async delete(_id: string, urn: string, properties: unknown): Promise<void> {
    const [token] = typeOf(urn);
    const state = withoutNulls(properties);
    if (state["delete"] === undefined) return;
    const report = this.#log.reporter(urn);
    if (token === "command:remote:Command") await runRemote(state, state["delete"], previousOf(state), report);
    if (token === "command:local:Command") await runLocal(state, state["delete"], previousOf(state), report);
  }

  async invoke(token: string, inputs: unknown): Promise<InvokeResult> {
    if (token !== "command:local:run") throw new Error(`unknown function ${token}`);
    const args = withoutNulls(inputs);
    return { outputs: { ...args, ...(await runLocal(args, args["command"], {}, this.#log.reporter(""))) } };
  }

  cancel(): Promise<void> {
    closeAllConnections();
    return Promise.resolve();
  }

  async #apply(
    urn: string,
    token: string,
    info: TypeInfo,
    inputs: Properties,
    command: unknown,
    previous: Partial<Finished>,
  ): Promise<Properties> {
    const report: Reporter = this.#log.reporter(urn);
    if (token.startsWith("command:remote:Copy")) {
      await copyToRemote(plain(inputs["connection"]), copySource(inputs), String(plain(inputs["remotePath"])), report);
      return outputsOf(info, inputs, {});
    }
    if (command === undefined)
      return outputsOf(info, inputs, { stdout: previous.stdout ?? "", stderr: previous.stderr ?? "" });
    const run = token === "command:remote:Command" ? runRemote : runLocal;
    return outputsOf(info, inputs, await run(inputs, command, previous, report));
  }
}

function copySource(inputs: Properties): Source {
  if (inputs["localPath"] !== undefined) return { kind: "path", path: String(plain(inputs["localPath"])) };
  const source = sourceOf(plain(inputs["source"]));
  if (source === undefined) throw new Error("source is neither an asset nor an archive");
  return source;
}

/** State: the inputs as they came, and the streams; these are secret when a secret went into what produced them. */
function outputsOf(info: TypeInfo, inputs: Properties, streams: Partial<Finished>): Properties {
  const state: Properties = { ...inputs };
  if (state["connection"] !== undefined) state["connection"] = secret(state["connection"]);
  const tainted = ["create", "update", "delete", "stdin", "environment"].some((key) => hasSecret(inputs[key]));
  for (const key of info.outputs) {
    const value = key === "stdout" ? streams.stdout : streams.stderr;
    state[key] = tainted ? secret(value ?? "") : (value ?? "");
  }
  return state;
}

function previousOf(state: Properties): Partial<Finished> {
  const text = (key: string): string => String(plain(state[key]) ?? "");
  return { stdout: text("stdout"), stderr: text("stderr") };
}

function withoutNulls(value: unknown): Properties {
  return Object.fromEntries(
    Object.entries(isObject(value) ? value : {}).filter(
      ([key, entry]) => entry !== null && entry !== undefined && !key.startsWith("__"),
    ),
  );
}

/** urn:pulumi:STACK::PROJECT::PARENT$TYPE::NAME */
function typeOf(urn: string): [string, TypeInfo] {
  const token = (urn.split("::")[2] ?? "").split("$").at(-1) ?? "";
  const info = types[token];
  if (info === undefined)
    throw new Error(`resource type ${token} is not served by this provider; it has ${Object.keys(types).join(", ")}`);
  return [token, info];
}

function nameOf(urn: string): string {
  return urn.split("::").slice(3).join("::");
}
