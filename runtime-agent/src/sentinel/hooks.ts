/**
 * What comes from outside: webhooks that ask for runs, and heartbeats (`beats.ts`). Webhooks are Standard Webhooks on an address of the loopback, a private network or a mesh. The hook's
 * name and the `webhook-id` are the run's key, so that a sender's retry, or a copy of it, is the same run, and another
 * sender's webhook is not.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:http";
import * as z from "zod";
import type { SentinelConfig } from "../../../components/shared/agent/sentinelConfig.ts";
import type { WatchdogConfig } from "../../../components/shared/agent/sentinelWatchConfig.ts";
import { mostPayloadBytes } from "../../../components/shared/signals/protocol.ts";
import { decodeWebhookSecret, verifyWebhook } from "../../../components/shared/signals/webhooks.ts";
import { boundConnections } from "../shared/boundedHttp.ts";
import { readSecretFile } from "../shared/secretFile.ts";
import { createBeats, mostBeatBytes, readBeatTokens, type BeatTokens } from "./beats.ts";
import type { Reply } from "./core/events.ts";
import { refusal } from "./core/events.ts";
import type { SentinelLoop } from "./loop.ts";
import { keyForm, mostKeyLength } from "./routes/bodies.ts";

type HooksConfig = NonNullable<SentinelConfig["hooks"]>;

/** What of the configuration may change while it runs. */
interface Callers {
  readonly hooks: HooksConfig["list"];
  readonly watchdogs: readonly WatchdogConfig[];
}

export interface HooksOptions extends Callers {
  readonly listen: HooksConfig["listen"];
  readonly loop: Pick<SentinelLoop, "signal">;
  /** A heartbeat was called; false when there is none of this name. */
  readonly beat: (name: string) => boolean;
  readonly monotonicMs: () => number;
  /** Unix ms. */
  readonly wallMs: () => number;
  readonly onError: (error: unknown, where: string) => void;
}

export interface Hooks {
  readonly port: number;
  /** Reads the secrets of other callers, or those of the same ones again; rejects when one cannot be read. What it gives takes them over. */
  prepare(callers: Callers): Promise<() => void>;
  close(): Promise<void>;
}

const mostConnections = 64;
const path = /^\/(hooks|beats)\/([a-z0-9-]{1,63})$/;
/** Nobody learns which hooks there are, nor what was wrong with the signature. */
const notSigned = refusal(401, "not signed", "Sign it as Standard Webhooks says, with this hook's secret.");

/** One or two secrets, a line each. @throws SecretFileError */
export function readHookSecrets(file: string): Promise<readonly string[]> {
  const decode = (text: string): readonly string[] | undefined => {
    const secrets = text.split(/\s+/);
    const good = secrets.length <= 2 && secrets.every((secret) => decodeWebhookSecret(secret) !== undefined);
    return good ? secrets : undefined;
  };
  return readSecretFile(file, decode, "is not one or two secrets `whsec_…`, each on a line. Write them.");
}

async function readBody(request: IncomingMessage, mostBytes: number): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    if (!Buffer.isBuffer(chunk)) continue;
    size += chunk.length;
    if (size > mostBytes) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function answer(response: ServerResponse, { status, json }: Reply): void {
  if (response.headersSent || response.destroyed) return;
  const body = Buffer.from(`${JSON.stringify(json)}\n`, "utf8");
  const close = status >= 400 ? { connection: "close" } : {};
  response.writeHead(status, { "content-type": "application/json", "content-length": body.length, ...close });
  response.end(body);
}

/** Callers with the secrets that they show. */
interface Known {
  readonly hooks: ReadonlyMap<string, { readonly agent: string; readonly secrets: readonly string[] }>;
  readonly tokens: BeatTokens;
}

async function readCallers({ hooks, watchdogs }: Callers): Promise<Known> {
  const read = hooks.map(async ({ name, agent, secretFile }) => {
    const secrets = await readHookSecrets(secretFile);
    return [name, { agent, secrets }] as const;
  });
  return { hooks: new Map(await Promise.all(read)), tokens: await readBeatTokens(watchdogs) };
}

/** The payload that a body is, or undefined where it is not JSON. */
function payloadOf(body: Buffer) {
  try {
    return z.json().safeParse(JSON.parse(body.toString("utf8")), { jitless: true }).data;
  } catch {
    return undefined;
  }
}

/** Starts listening. Rejects with the listen error, or when a secret cannot be read. */
export async function startHooks(options: HooksOptions): Promise<Hooks> {
  const { listen, loop, beat, monotonicMs } = options;
  let known = await readCallers(options);
  const called = createBeats({ tokens: () => known.tokens, beat, monotonicMs });

  async function serve(request: IncomingMessage): Promise<Reply> {
    const [, kind, name = ""] = path.exec((request.url ?? "").split("?", 1)[0] ?? "") ?? [];
    if (request.method !== "POST") return refusal(405, "no such method here", "POST it.");
    const mostBytes = kind === "beats" ? mostBeatBytes : mostPayloadBytes;
    const body = await readBody(request, mostBytes);
    if (body === undefined) return refusal(413, "the body is too large", "Send less.", `${String(mostBytes)} bytes`);
    return kind === "beats" ? called(name, request.headers.authorization) : signed(request, name, body);
  }

  async function signed({ headers }: IncomingMessage, name: string, body: Buffer): Promise<Reply> {
    const hook = known.hooks.get(name);
    const verdict = verifyWebhook(headers, body, hook?.secrets ?? [], Math.floor(options.wallMs() / 1000));
    if (hook === undefined || !verdict.ok) return notSigned;
    const prefix = `hook:${name}:`;
    const key = `${prefix}${verdict.id}`;
    const limit = `1 to ${String(mostKeyLength - prefix.length)} characters`;
    if (!keyForm.test(key))
      return refusal(400, "a webhook-id of another form", "Use letters, digits and _ : -.", limit);
    const payload = payloadOf(body);
    if (payload === undefined) return refusal(400, "the body is not JSON", "Send JSON in UTF-8.");
    return loop.signal({ agent: hook.agent, key, payload });
  }

  const server = createServer(
    {
      ...{ requestTimeout: 10_000, headersTimeout: 5000, connectionsCheckingInterval: 5000 },
      ...{ keepAliveTimeout: 5000, maxHeaderSize: 8192 },
    },
    (request, response) => {
      serve(request).then(
        (reply) => answer(response, reply),
        (error: unknown) => {
          if (request.destroyed && !request.complete) return;
          options.onError(error, "hooks");
          answer(response, refusal(500, "the Sentinel failed", "Its log says why."));
        },
      );
    },
  );
  boundConnections(server, { mostConnections }, false);
  server.on("clientError", (_error, socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(listen.port, listen.host, () => {
      server.off("error", reject);
      resolve();
    });
  });
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : listen.port,
    async prepare(callers) {
      const next = await readCallers(callers);
      return () => {
        known = next;
      };
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
