/** Lines of the journal, read back with the same suspicion as anything from outside. */
import * as z from "zod";
import { dnsLabel } from "../../../../components/shared/check.ts";
import { instanceId, runId } from "../../../../components/shared/signals/protocol.ts";
import type { Line } from "./types.ts";

const name = z.string().regex(dnsLabel);
const count = z.number().int().nonnegative();
const atMs = z.number();
const agentKey = z.string().regex(/^[0-9a-f]{64}$/);
const sizes = z.enum(["XS", "S", "M", "L"]);
const address = z.object({ host: z.string(), port: count });
const sshTarget = address.extend({ user: z.string(), hostKey: z.string() });
const provider = z.object({ kind: z.enum(["proxmox", "lightsail"]), id: z.string() });
const body = z.union([
  z.object({ bytes: count, json: z.string() }),
  z.object({ bytes: count, file: z.string().regex(/^[\w.-]+$/) }),
]);

const agent = z.object({
  name,
  id: z
    .string()
    .regex(/^(?:[0-9a-f]{32})?$/)
    .default(""),
  kind: z.enum(["micro-service", "browser-light", "browser-heavy", "batch", "experimental"]),
  size: sizes,
  mode: z.enum(["job", "resident"]),
  idempotent: z.boolean(),
  address: address.exactOptional(),
  provider: provider.exactOptional(),
  createdMs: atMs,
  expiresMs: atMs,
  key: agentKey,
  life: count,
  registerBeforeMs: atMs,
  pending: z.object({ key: agentKey, registerBeforeMs: atMs, provider: provider.exactOptional() }).exactOptional(),
  registered: z
    .object({
      ...{ instance: instanceId, address, ssh: sshTarget.exactOptional() },
      ...{ idempotent: z.boolean(), version: z.string(), atMs },
    })
    .exactOptional(),
  proposal: z.object({ from: sizes, to: sizes, kills: count }).exactOptional(),
  handedOver: z.object({ why: z.enum(["unregistered", "expired", "farewell"]), atMs }).exactOptional(),
});

const phase = z.enum(["waiting", "handed", "ended", "dead"]);
const end = z.object({
  state: z.enum(["completed", "failed", "interrupted"]),
  reason: z.string().nullable(),
  atMs,
  report: body.exactOptional(),
});

const run = z.object({
  runId,
  agent: name,
  key: z.string(),
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  payload: body.exactOptional(),
  acceptedMs: atMs,
  order: count,
  phase,
  attempts: count,
  sentSec: count,
  doubts: count,
  reason: z.string().exactOptional(),
  end: end.exactOptional(),
});

const step = z.object({
  order: count.exactOptional(),
  phase: phase.exactOptional(),
  attempts: count.exactOptional(),
  sentSec: count.exactOptional(),
  doubts: count.exactOptional(),
  reason: z.string().exactOptional(),
  end: end.exactOptional(),
});

const line = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("agent"), agent }),
  z.object({ kind: z.literal("agent-gone"), name }),
  z.object({ kind: z.literal("run"), run }),
  z.object({ kind: z.literal("step"), runId, step }),
  z.object({ kind: z.literal("run-gone"), runId }),
  z.object({ kind: z.literal("kept"), extension: z.string(), value: z.json() }),
]);

/** A line, or undefined where it cannot be believed. */
export function parseLine(value: unknown): Line | undefined {
  const parsed = line.safeParse(value, { jitless: true });
  return parsed.success ? parsed.data : undefined;
}
