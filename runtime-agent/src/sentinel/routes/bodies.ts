/** What callers of the admin API send, validated. */
import * as z from "zod";
import { dnsLabel } from "../../../../components/shared/check.ts";
import type { Fault } from "../../../../components/shared/faults.ts";
import { checkSize, parseAgentKind } from "../../../../components/shared/vps/sizing.ts";
import { ApiError } from "../../shared/localApi/index.ts";
import type { NewAgent } from "../core/events.ts";

/** Longest key, characters: runners take no longer one. */
export const mostKeyLength = 200;
/** No dot: in what is signed, `id.timestamp.body`, where the id ends must never be in doubt. */
export const keyForm = /^[\w:-]{1,200}$/;

const port = z.number().int().min(1).max(65535);
const host = z.string().regex(/^[A-Za-z0-9:](?:[A-Za-z0-9.:-]{0,251}[A-Za-z0-9:])?$/);
/** From a minute to a year. */
const ttlSec = z
  .number()
  .int()
  .min(60)
  .max(366 * 86_400);

const newAgent = z.strictObject({
  name: z.string().regex(dnsLabel),
  kind: z.string(),
  size: z.string(),
  ttlSec,
  mode: z.enum(["job", "resident"]).default("job"),
  idempotent: z.boolean().default(false),
  address: z.strictObject({ host, port }).exactOptional(),
  ssh: z
    .strictObject({
      host,
      port: port.default(22),
      user: z.string().regex(/^[a-z_][a-z0-9_-]{0,31}$/),
      hostKey: z
        .string()
        .regex(/^(?:ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)) [A-Za-z0-9+/]{32,2000}={0,2}$/),
    })
    .exactOptional(),
  provider: z
    .strictObject({ kind: z.enum(["proxmox", "lightsail"]), id: z.string().regex(/^[\w.-]{1,255}$/) })
    .exactOptional(),
});

const signal = z.strictObject({
  key: z.string().regex(keyForm),
  payload: z.json(),
  issuedMs: z.number().int().nonnegative().optional(),
});
const renewal = z.strictObject({ ttlSec });
const size = z.strictObject({ size: z.string().max(10) });

function refuse(fault: Fault | undefined): never {
  const { property = "(body)", limit = "another value", fix = "Correct it." } = fault ?? {};
  throw new ApiError(400, `${property} is not allowed`, { property, limit, fix });
}

function read<T>(schema: z.core.$ZodType<T>, body: unknown): T {
  const parsed = z.safeParse(schema, body, { jitless: true });
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  return refuse({
    property: issue === undefined || issue.path.length === 0 ? "(body)" : issue.path.join("."),
    limit: issue?.message ?? "",
    fix: "Correct it.",
  });
}

/** The agent of `POST /agents`. @throws ApiError 400 */
export function readNewAgent(body: unknown): NewAgent {
  const { ttlSec: seconds, kind: kindText, size: sizeText, ...rest } = read(newAgent, body);
  const kind = parseAgentKind("kind", kindText);
  if (!kind.ok) return refuse(kind.faults[0]);
  const checked = checkSize("size", kind.value, sizeText);
  if (!checked.ok) return refuse(checked.faults[0]);
  return { ...rest, kind: kind.value, size: checked.value, ttlMs: seconds * 1000 };
}

export function readSignal(body: unknown) {
  return read(signal, body);
}

export function readRenewal(body: unknown): { readonly ttlMs: number } {
  return { ttlMs: read(renewal, body).ttlSec * 1000 };
}

export function readSize(body: unknown): { readonly size: string } {
  return read(size, body);
}
