/**
 * Webhooks that ask for runs: Standard Webhooks on an address of the loopback, a private network or a mesh. The hook's
 * name and the `webhook-id` are the run's key, so that a sender's retry, or a copy of it, is the same run, and another
 * sender's webhook is not.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:http";
import * as z from "zod";
import type { SentinelConfig } from "../../../components/shared/agent/sentinelConfig.ts";
import { mostPayloadBytes } from "../../../components/shared/signals/protocol.ts";
import { decodeWebhookSecret, verifyWebhook } from "../../../components/shared/signals/webhooks.ts";
import { readSecretFile } from "../shared/secretFile.ts";
import type { Reply } from "./core/events.ts";
import { refusal } from "./core/events.ts";
import type { SentinelLoop } from "./loop.ts";
import { keyForm, mostKeyLength } from "./routes/bodies.ts";

type HooksConfig = NonNullable<SentinelConfig["hooks"]>;

export interface HooksOptions {
  readonly config: HooksConfig;
  readonly loop: Pick<SentinelLoop, "signal">;
  /** Unix ms. */
  readonly wallMs: () => number;
  readonly onError: (error: unknown, where: string) => void;
}

export interface Hooks {
  readonly port: number;
  /** Reads the secrets again: all of them, or it rejects and they stay as they are. */
  reread(): Promise<void>;
  close(): Promise<void>;
}

const mostConnections = 64;
const path = /^\/hooks\/([a-z0-9-]{1,63})$/;
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

async function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    if (!Buffer.isBuffer(chunk)) continue;
    size += chunk.length;
    if (size > mostPayloadBytes) return undefined;
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

async function readSecrets({ list }: HooksConfig): Promise<ReadonlyMap<string, readonly string[]>> {
  const read = list.map(async ({ name, secretFile }) => [name, await readHookSecrets(secretFile)] as const);
  return new Map(await Promise.all(read));
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
  const { config, loop } = options;
  let secrets = await readSecrets(config);

  async function serve(request: IncomingMessage): Promise<Reply> {
    const [, name] = path.exec((request.url ?? "").split("?", 1)[0] ?? "") ?? [];
    const hook = config.list.find((one) => one.name === name);
    if (request.method !== "POST") return refusal(405, "no such method here", "POST it.");
    const body = await readBody(request);
    if (body === undefined)
      return refusal(413, "the body is too large", "Send less.", `${String(mostPayloadBytes)} bytes`);
    const nowSec = Math.floor(options.wallMs() / 1000);
    const verdict = verifyWebhook(request.headers, body, secrets.get(name ?? "") ?? [], nowSec);
    if (hook === undefined || !verdict.ok) return notSigned;
    const prefix = `hook:${hook.name}:`;
    const key = `${prefix}${verdict.id}`;
    const limit = `1 to ${String(mostKeyLength - prefix.length)} characters`;
    if (!keyForm.test(key))
      return refusal(400, "a webhook-id of another form", "Use letters, digits and _ : -.", limit);
    const payload = payloadOf(body);
    if (payload === undefined) return refusal(400, "the body is not JSON", "Send JSON in UTF-8.");
    return loop.signal({ agent: hook.agent, key, payload });
  }

  const server = createServer(
    { requestTimeout: 10_000, headersTimeout: 5000, keepAliveTimeout: 5000, maxHeaderSize: 8192 },
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
  server.maxConnections = mostConnections;
  server.on("clientError", (_error, socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(config.listen.port, config.listen.host, () => {
      server.off("error", reject);
      resolve();
    });
  });
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : config.listen.port,
    async reread() {
      secrets = await readSecrets(config);
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
