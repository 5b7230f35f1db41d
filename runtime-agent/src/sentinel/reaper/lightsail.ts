/**
 * Throwaway servers at AWS Lightsail (`lightsailCall.ts`). The user's policy lets it delete what carries our tag and
 * nothing else (`reaperRights.ts`); here the tags are read as well, and again before an instance is deleted.
 */
import * as z from "zod";
import {
  type AwsCredentials,
  credentialsIn,
  lightsailEndpoint,
  signedHeaders,
} from "../../../../components/shared/vps/lightsailCall.ts";
import { readLightsailTags, sameTags } from "../../../../components/shared/vps/tags.ts";
import { readSecretFile } from "../../shared/secretFile.ts";
import { exchange } from "../watch/exchange.ts";
import type { Seen, ServerProvider } from "./types.ts";

/** Of a credentials file: room for some dozen profiles. */
const mostCredentialsBytes = 8192;

/**
 * Reads a profile of a file in the form of AWS's shared credentials file that only its owner can read.
 * @throws SecretFileError
 */
export function readAwsCredentials(file: string, profile: string): Promise<AwsCredentials> {
  return readSecretFile(
    file,
    (text) => {
      const found = credentialsIn(text, profile);
      if (found === undefined) return undefined;
      const { accessKeyId, secretAccessKey } = found;
      const wellFormed = /^[A-Z0-9]{16,128}$/.test(accessKeyId) && /^[A-Za-z0-9/+=]{20,128}$/.test(secretAccessKey);
      return wellFormed ? found : undefined;
    },
    `has no profile [${profile}] with aws_access_key_id and aws_secret_access_key. Write it as aws configure does.`,
    mostCredentialsBytes,
  );
}

export interface LightsailOptions {
  readonly region: string;
  readonly credentials: AwsCredentials;
  /** @default https://lightsail.REGION.amazonaws.com */
  readonly endpoint?: string | undefined;
  /** For one call, ms. @default 15 000 */
  readonly deadlineMs?: number;
}

/** Never holds a credential. */
export class AwsError extends Error {
  override readonly name = "AwsError";
  /** For example `NotFoundException`. */
  readonly code: string;

  constructor(operation: string, code: string, said: string) {
    super(`${operation}: ${code}${said === "" ? "" : `: ${said}`}`);
    this.code = code;
  }
}

const instance = z.object({
  name: z.string(),
  tags: z.array(z.object({ key: z.string(), value: z.string().optional() })).optional(),
});
const page = z.object({ instances: z.array(instance).optional(), nextPageToken: z.string().optional() });
const one = z.object({ instance });
/** `__type` may carry the service's name before a `#` (AWS JSON 1.1, "Error types"). */
const refusal = z.object({ __type: z.string(), message: z.string().optional(), Message: z.string().optional() });
const operations = z.object({
  operations: z.array(z.object({ status: z.string().optional(), errorCode: z.string().optional() })).optional(),
});
/** Pages that are read at most; Lightsail gives some hundred instances on each. */
const mostPages = 100;

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export function lightsailServers(options: LightsailOptions): ServerProvider {
  const { region, credentials } = options;
  const stop = new AbortController();
  const url = new URL(options.endpoint ?? lightsailEndpoint(region));

  async function call<T>(operation: string, parameters: object, schema: z.core.$ZodType<T>): Promise<T> {
    const body = JSON.stringify(parameters);
    const headers = signedHeaders({ region, host: url.host, action: operation, body }, credentials);
    const { status, text } = await exchange({
      url: new URL("/", url),
      method: "POST",
      headers,
      body,
      deadlineMs: options.deadlineMs ?? 15_000,
      stop: stop.signal,
      mostBytes: 16 * 1024 * 1024,
    });
    const raw = jsonOf(text);
    if (status !== 200) {
      const said = refusal.safeParse(raw);
      if (!said.success) throw new AwsError(operation, `HTTP ${String(status)}`, "");
      const code = said.data.__type.split("#").at(-1) ?? "";
      throw new AwsError(operation, code, (said.data.message ?? said.data.Message ?? "").slice(0, 300));
    }
    const parsed = z.safeParse(schema, raw);
    if (!parsed.success) throw new AwsError(operation, "nonsense", "an answer of another form");
    return parsed.data;
  }

  function see({ name, tags = [] }: z.infer<typeof instance>): Seen {
    const named = Object.fromEntries(tags.map(({ key, value }) => [key, value ?? ""]));
    const read = readLightsailTags(named);
    if (read !== undefined) return { servers: [{ provider: "lightsail", id: name, name, tags: read }], strangers: [] };
    // An account holds other things too: only what says that it is ours is worth a word.
    const claims = tags.some(({ key }) => key.startsWith("hive:"));
    return { servers: [], strangers: claims ? [{ id: name, why: "it lacks one of our tags" }] : [] };
  }

  return {
    kind: "lightsail",
    region,
    async look() {
      const found: Seen[] = [];
      let pageToken: string | undefined;
      for (let n = 0; n < mostPages; n += 1) {
        const { instances = [], nextPageToken } = await call(
          "GetInstances",
          pageToken === undefined ? {} : { pageToken },
          page,
        );
        found.push(...instances.map(see));
        if (nextPageToken === undefined || nextPageToken === "")
          return { servers: found.flatMap((seen) => seen.servers), strangers: found.flatMap((seen) => seen.strangers) };
        pageToken = nextPageToken;
      }
      throw new AwsError("GetInstances", "nonsense", "the list does not end");
    },
    async remove(server) {
      const instanceName = server.id;
      try {
        const [now] = see((await call("GetInstance", { instanceName }, one)).instance).servers;
        if (now === undefined || !sameTags(now.tags, server.tags))
          throw new AwsError("GetInstance", "changed", `instance ${instanceName} carries other tags by now`);
        const done = await call("DeleteInstance", { instanceName, forceDeleteAddOns: true }, operations);
        const failed = done.operations?.find(({ status }) => status === "Failed");
        if (failed !== undefined) throw new AwsError("DeleteInstance", failed.errorCode ?? "Failed", "");
      } catch (error) {
        if (error instanceof AwsError && error.code === "NotFoundException") return "gone";
        throw error;
      }
      return "deleted";
    },
    close: () => stop.abort(),
  };
}
