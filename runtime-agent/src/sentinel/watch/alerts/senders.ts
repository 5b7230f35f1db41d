/** How messages reach people: a webhook in the form of Standard Webhooks 1.0, and a topic of ntfy. */
import { signWebhook, decodeWebhookSecret } from "../../../../../components/shared/signals/webhooks.ts";
import type { ChannelConfig } from "../../../../../components/shared/agent/sentinelWatchConfig.ts";
import { readSecretFile } from "../../../shared/secretFile.ts";
import type { Message } from "../core/outbox.ts";
import { exchange } from "../exchange.ts";
import { bodyOf, titleOf } from "./text.ts";

/** Sends one message; throws when nobody took it. Sent again, it is the same message with the same id. */
export type Sender = (message: Message, wallMs: number, stop: AbortSignal) => Promise<void>;

const deadlineMs = 10_000;

async function post(
  url: string,
  headers: Readonly<Record<string, string>>,
  body: string,
  stop: AbortSignal,
): Promise<void> {
  const { status } = await exchange({
    url,
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body,
    deadlineMs,
    stop,
    mostBytes: 64 * 1024,
  });
  // Redirects too: whoever moves a webhook tells its sender (standard-webhooks.md, "Redirects").
  if (status < 200 || status > 299) throw new Error(`HTTP ${String(status)}`);
}

/** `type`, `timestamp`, `data`, as the standard's payload has them. The same text for each try. */
function webhookBody(message: Message): string {
  return JSON.stringify({
    type: "hive.alert",
    timestamp: new Date(message.firstMs).toISOString(),
    data: {
      title: titleOf(message),
      lost: message.lost,
      alerts: message.alerts.map(({ atMs, subject, kind, text }) => ({
        at: new Date(atMs).toISOString(),
        subject,
        kind,
        text,
      })),
    },
  });
}

export function webhookSender(url: string, secret: string): Sender {
  return async (message, wallMs, stop) => {
    const body = webhookBody(message);
    await post(url, { ...signWebhook(message.id, Math.floor(wallMs / 1000), body, secret) }, body, stop);
  };
}

/** docs.ntfy.sh/publish, "Publish as JSON": priority 1 to 5, 3 is the default; the tags become emojis. */
export function ntfySender(url: string, topic: string, token?: string): Sender {
  return async (message, _wallMs, stop) => {
    const problem = message.alerts.some(({ kind }) => kind === "problem");
    const body = JSON.stringify({
      topic,
      title: titleOf(message),
      message: bodyOf(message),
      priority: problem ? 4 : 3,
      tags: [problem ? "rotating_light" : "white_check_mark"],
    });
    await post(url, token === undefined ? {} : { authorization: `Bearer ${token}` }, body, stop);
  };
}

const readWebhookSecret = (file: string): Promise<string> =>
  readSecretFile(
    file,
    (text) => (decodeWebhookSecret(text) === undefined ? undefined : text),
    "is not whsec_ and the base64 of 24 to 64 bytes. Write the secret that its receiver has.",
  );
const readTopic = (file: string): Promise<string> =>
  readSecretFile(
    file,
    // ntfy, server/server.go: topicRegex.
    (text) => (/^[-_A-Za-z0-9]{1,64}$/.test(text) ? text : undefined),
    "is not the name of a topic: letters, digits, - and _, at most 64. Choose one that nobody guesses.",
  );
const readToken = (file: string): Promise<string> =>
  readSecretFile(
    file,
    (text) => (/^tk_[A-Za-z0-9]{10,64}$/.test(text) ? text : undefined),
    "is not an access token of ntfy, tk_… Copy it from `ntfy token add`.",
  );

/**
 * The sender of a channel of the configuration, with its secrets read.
 * @throws SecretFileError
 */
export async function openChannel(channel: ChannelConfig): Promise<Sender> {
  if (channel.type === "webhook") return webhookSender(channel.url, await readWebhookSecret(channel.secretFile));
  const token = channel.tokenFile === undefined ? undefined : await readToken(channel.tokenFile);
  return ntfySender(channel.url, await readTopic(channel.topicFile), token);
}
