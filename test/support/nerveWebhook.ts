/** An authority for a webhook's certificates, the files that a kubelet mounts, and a caller as the API server is one. */
import { renameSync, writeFileSync } from "node:fs";
import { type Agent, request } from "node:https";
import { join } from "node:path";
import { generate } from "selfsigned";

export const serviceName = "nerve.nerve-system.svc";

export interface Pair {
  readonly cert: string;
  readonly key: string;
}

export interface Authority {
  /** PEM. */
  readonly ca: string;
  /** A certificate for the webhook's Service and loopback. @param untilMs Unix time. @default in an hour */
  issue(untilMs?: number): Promise<Pair>;
}

const ec = {
  keyType: "ec",
  curve: "P-256",
  algorithm: "sha256",
  notBeforeDate: new Date(Date.now() - 86_400_000),
} as const;

export async function newAuthority(name: string): Promise<Authority> {
  const ca = await generate([{ name: "commonName", value: name }], {
    ...ec,
    notAfterDate: new Date(Date.now() + 86_400_000),
    extensions: [
      { name: "basicConstraints", cA: true, critical: true },
      { name: "keyUsage", keyCertSign: true, cRLSign: true, critical: true },
    ],
  });
  return {
    ca: ca.cert,
    async issue(untilMs = Date.now() + 3_600_000) {
      const leaf = await generate([{ name: "commonName", value: serviceName }], {
        ...ec,
        notAfterDate: new Date(untilMs),
        ca: { key: ca.private, cert: ca.cert },
        extensions: [
          { name: "basicConstraints", cA: false, critical: true },
          { name: "keyUsage", digitalSignature: true, critical: true },
          { name: "extKeyUsage", serverAuth: true },
          {
            name: "subjectAltName",
            altNames: [
              { type: 2, value: serviceName },
              { type: 7, ip: "127.0.0.1" },
            ],
          },
        ],
      });
      return { cert: leaf.cert, key: leaf.private };
    },
  };
}

export interface CertificatePlace {
  readonly certificateFile: string;
  readonly keyFile: string;
}

export function certificatePlace(folder: string): CertificatePlace {
  return { certificateFile: join(folder, "tls.crt"), keyFile: join(folder, "tls.key") };
}

/** Puts files in their place, each whole or not at all; the other is left out where it is not given. */
export function mount({ certificateFile, keyFile }: CertificatePlace, { cert, key }: Partial<Pair>): void {
  for (const [file, text] of [
    [certificateFile, cert],
    [keyFile, key],
  ] as const) {
    if (text === undefined) continue;
    writeFileSync(`${file}.new`, text, { mode: 0o600 });
    renameSync(`${file}.new`, file);
  }
}

export interface Call {
  readonly port: number;
  /** What the caller trusts. */
  readonly ca: string | readonly string[];
  readonly path?: string;
  readonly method?: string;
  /** JSON of what is no text or bytes. */
  readonly body?: unknown;
  /** @default a connection of its own */
  readonly agent?: Agent;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface CallAnswer {
  readonly status: number;
  readonly text: string;
}

/** Asks the webhook; rejects where there is no answer. */
export function callWebhook({
  port,
  ca,
  path = "/admit?timeout=2s",
  method = "POST",
  ...more
}: Call): Promise<CallAnswer> {
  const { body, agent, headers = {} } = more;
  const bytes = body === undefined || typeof body === "string" || body instanceof Buffer ? body : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        ...{ host: "127.0.0.1", port, path, method, ca: [ca].flat(), servername: serviceName, headers },
        agent: agent ?? false,
        signal: AbortSignal.timeout(30_000),
      },
      (incoming) => {
        let text = "";
        incoming.setEncoding("utf8").on("data", (part: string) => (text += part));
        incoming.once("error", reject);
        incoming.once("end", () => resolve({ status: incoming.statusCode ?? 0, text }));
      },
    );
    outgoing.once("error", reject);
    outgoing.end(bytes);
  });
}
