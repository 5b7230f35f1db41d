// Calls of the Lightsail API, signed; retried where AWS's own clients would, and awaited where it works on.
import { readFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { setTimeout as sleep } from "node:timers/promises";
import aws4 from "aws4";
import { isRecord } from "../../host/files.ts";

export interface Settings {
  /** From AWS_ENDPOINT_URL_LIGHTSAIL, AWS_ENDPOINT_URL or the region, as AWS's SDKs have it. */
  endpoint: URL;
  region: string;
  accessKeyId: string;
  secretAccessKey: string;
}

/** The two keys, from their variables or from the shared credentials file. @throws Error that names what is missing */
function keysFrom(env: NodeJS.ProcessEnv): { accessKeyId: string; secretAccessKey: string } {
  const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SHARED_CREDENTIALS_FILE: file } = env;
  if (AWS_ACCESS_KEY_ID !== undefined && AWS_SECRET_ACCESS_KEY !== undefined)
    return { accessKeyId: AWS_ACCESS_KEY_ID, secretAccessKey: AWS_SECRET_ACCESS_KEY };
  if (file === undefined)
    throw new Error("neither AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY nor AWS_SHARED_CREDENTIALS_FILE is set");
  const profile = env["AWS_PROFILE"] ?? "default";
  const lines = readFileSync(file, "utf8").split("\n");
  const from = lines.indexOf(`[${profile}]`);
  const length = lines.slice(from + 1).findIndex((line) => line.startsWith("["));
  const own = lines.slice(from + 1, length < 0 ? undefined : from + 1 + length);
  const value = (name: string): string =>
    own.map((line) => line.split(/\s*=\s*(.*)/)).find(([key]) => key === name)?.[1] ?? "";
  const keys = { accessKeyId: value("aws_access_key_id"), secretAccessKey: value("aws_secret_access_key") };
  if (from < 0 || keys.accessKeyId === "" || keys.secretAccessKey === "")
    throw new Error(`${file} has no profile ${profile} with both keys`);
  return keys;
}

/** @throws Error that names the variable that is missing */
export function settingsFrom(env: NodeJS.ProcessEnv): Settings {
  const region = env["AWS_REGION"] ?? env["AWS_DEFAULT_REGION"] ?? "";
  const endpoint = env["AWS_ENDPOINT_URL_LIGHTSAIL"] ?? env["AWS_ENDPOINT_URL"] ?? "";
  if (region === "") throw new Error("AWS_REGION is not set");
  // A stand-in must never reach the real thing by a forgotten variable.
  if (endpoint === "")
    throw new Error("AWS_ENDPOINT_URL_LIGHTSAIL is not set: this provider is for the lab's AWS alone");
  return { endpoint: new URL(endpoint), region, ...keysFrom(env) };
}

export class CallFailed extends Error {
  readonly type: string;
  constructor(action: string, type: string, message: string) {
    super(`${action}: ${type}: ${message}`);
    this.type = type;
  }

  get notFound(): boolean {
    return this.type === "NotFoundException" || this.message.includes("DoesNotExist");
  }
}

const mostBytes = 16 * 1024 * 1024;
const timeoutMs = 30_000;
/** AWS SDK for Go v2, standard retry mode: three attempts, for answers of the 5xx kind and lost connections. */
const attempts = 3;

export type Json = Readonly<Record<string, unknown>>;

export class Lightsail {
  readonly #settings: Settings;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  get region(): string {
    return this.#settings.region;
  }

  /** @throws CallFailed with AWS's type and message; Error when nobody answers */
  async call(action: string, parameters: Json, region = this.region): Promise<Json> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const { status, body } = await this.#send(action, parameters, region);
        if (status === 200) return body;
        const type = String(body["__type"] ?? "unknown").replace(/^.*#/, "");
        throw Object.assign(new CallFailed(action, type, String(body["message"] ?? "")), { status });
      } catch (error) {
        const again = !(error instanceof CallFailed) || Number(Object(error).status) >= 500;
        if (!again || attempt >= attempts) throw error;
        await sleep(100 * 2 ** attempt);
      }
    }
  }

  /** Calls, and waits until every operation that this began has ended. */
  async perform(action: string, parameters: Json, region = this.region): Promise<Json> {
    const said = await this.call(action, parameters, region);
    const begun = [said["operation"], ...(Array.isArray(said["operations"]) ? said["operations"] : [])].filter(
      isRecord,
    );
    for (const { id } of begun) await this.#ended(String(id), region);
    return said;
  }

  async #ended(operationId: string, region: string): Promise<void> {
    for (let waitMs = 50; ; waitMs = Math.min(waitMs * 2, 1000)) {
      const { operation } = await this.call("GetOperation", { operationId }, region);
      const { status, errorDetails } = isRecord(operation) ? operation : {};
      if (status === "Succeeded" || status === "Completed") return;
      if (status === "Failed") throw new CallFailed("GetOperation", "Failed", String(errorDetails));
      await sleep(waitMs);
    }
  }

  #send(action: string, parameters: Json, region: string): Promise<{ status: number; body: Json }> {
    const { endpoint, accessKeyId, secretAccessKey } = this.#settings;
    const body = JSON.stringify(parameters);
    const headers = {
      "Content-Type": "application/x-amz-json-1.1",
      "X-Amz-Target": `Lightsail_20161128.${action}`,
    };
    const signed = aws4.sign(
      { service: "lightsail", region, method: "POST", host: endpoint.host, path: "/", headers, body },
      { accessKeyId, secretAccessKey },
    );
    const send = endpoint.protocol === "https:" ? httpsRequest : httpRequest;
    return new Promise((resolve, reject) => {
      const call = send(
        endpoint,
        { method: "POST", path: "/", headers: Object(signed.headers), timeout: timeoutMs, agent: false },
        (response) => {
          const chunks: Buffer[] = [];
          let size = 0;
          response.on("data", (chunk: Buffer) => {
            size += chunk.length;
            if (size > mostBytes) call.destroy(new Error("response too large"));
            else chunks.push(chunk);
          });
          response.on("error", reject);
          response.on("end", () => {
            const said = parsed(Buffer.concat(chunks).toString("utf8"));
            resolve({ status: response.statusCode ?? 0, body: said });
          });
        },
      );
      call.on("timeout", () => call.destroy(new Error(`${action}: timed out`)));
      call.on("error", reject);
      call.end(body);
    });
  }
}

function parsed(text: string): Json {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : {};
  } catch {
    return {};
  }
}
