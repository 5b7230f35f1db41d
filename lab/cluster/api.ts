// A client of the Kubernetes API for tests and the lab: JSON over HTTPS with the cluster's own CA and one identity's token.
import { Agent, request } from "node:https";
import * as z from "zod";

export type PatchType = "merge" | "strategic-merge" | "json";

export interface ApiAnswer {
  readonly status: number;
  /** Parsed JSON; the text itself where the answer is not JSON. */
  readonly body: unknown;
  /** Its `Warning` headers, joined; undefined where it gave none. */
  readonly warning: string | undefined;
}

/** The API refused: its `status` code, and its own `reason` (`Forbidden`, `NotFound`, …), empty where it gave none. */
export class ApiRefusal extends Error {
  override readonly name = "ApiRefusal";
  readonly status: number;
  readonly reason: string;

  constructor(call: string, status: number, reason: string, message: string) {
    super(`${call}: ${String(status)} ${message}`);
    this.status = status;
    this.reason = reason;
  }
}

const refusal = z.looseObject({ message: z.string().default(""), reason: z.string().default("") });
/** How long one request may take, ms; a watch is no request of this client. */
const patienceMs = 60_000;

interface Call {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  readonly body?: unknown;
  readonly contentType?: string;
}

export class KubeApi {
  readonly url: string;
  readonly #agent: Agent;
  readonly #token: string | undefined;

  /** @param token undefined calls as nobody */
  constructor(url: string, ca: string, token: string | undefined, agent = new Agent({ ca, keepAlive: true })) {
    this.url = url;
    this.#token = token;
    this.#agent = agent;
  }

  /** The same API, called by another identity. */
  as(token: string | undefined): KubeApi {
    return new KubeApi(this.url, "", token, this.#agent);
  }

  close(): void {
    this.#agent.destroy();
  }

  /** Whatever it answers. @throws Error when nobody does within a minute */
  call({ method, path, body, contentType = "application/json" }: Call): Promise<ApiAnswer> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    return new Promise((resolve, reject) => {
      const outgoing = request(
        new URL(path, this.url),
        {
          ...{ method, agent: this.#agent, signal: AbortSignal.timeout(patienceMs) },
          headers: {
            accept: "application/json",
            ...(this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` }),
            ...(text === undefined ? {} : { "content-type": contentType, "content-length": Buffer.byteLength(text) }),
          },
        },
        (incoming) => {
          let said = "";
          incoming.setEncoding("utf8").on("data", (part: string) => (said += part));
          incoming.once("error", reject);
          incoming.once("end", () =>
            resolve({ status: incoming.statusCode ?? 0, body: parsed(said), warning: incoming.headers.warning }),
          );
        },
      );
      outgoing.once("error", reject);
      outgoing.end(text);
    });
  }

  /** @throws ApiRefusal when it answers no; Error when it answers something else than `form` */
  async get<T>(form: z.core.$ZodType<T>, path: string): Promise<T> {
    return this.#read(form, { method: "GET", path });
  }

  /** Creates `body` in the collection `path`. @throws as `get` does */
  async create<T>(form: z.core.$ZodType<T>, path: string, body: unknown): Promise<T> {
    return this.#read(form, { method: "POST", path, body });
  }

  /** @throws as `get` does */
  async patch<T>(form: z.core.$ZodType<T>, path: string, type: PatchType, body: unknown): Promise<T> {
    return this.#read(form, { method: "PATCH", path, body, contentType: `application/${type}-patch+json` });
  }

  /** True when it was there. @throws ApiRefusal when it answers no for another reason */
  async remove(path: string, options: { readonly gracePeriodSeconds?: number } = {}): Promise<boolean> {
    const call = { method: "DELETE", path, body: { propagationPolicy: "Background", ...options } } as const;
    const answer = await this.call(call);
    if (answer.status === 404) return false;
    accepted(call, answer);
    return true;
  }

  async #read<T>(form: z.core.$ZodType<T>, call: Call): Promise<T> {
    const read = z.safeParse(form, accepted(call, await this.call(call)));
    if (!read.success) throw new Error(`${call.method} ${call.path}: ${z.prettifyError(read.error)}`);
    return read.data;
  }
}

function accepted({ method, path }: Call, { status, body }: ApiAnswer): unknown {
  if (status >= 200 && status < 300) return body;
  const { success, data } = refusal.safeParse(body);
  const { message, reason } = success ? data : { message: String(body), reason: "" };
  throw new ApiRefusal(`${method} ${path}`, status, reason, message);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
