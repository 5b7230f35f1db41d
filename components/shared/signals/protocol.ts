/**
 * The words that the Sentinel and the runner on a throwaway server exchange (seed 004, "Sentinel -> Agent Lourd"): JSON
 * over HTTP/1.1 over TLS with a pre-shared key, validated before use.
 *
 * The guarantee. Delivery happens at least once. Each key has one durable run id. A completed run never starts again. An
 * interrupted run is retried under the same id only if its agent declares itself idempotent, else it is reported
 * `interrupted`.
 */
import * as z from "zod";
import { dnsLabel } from "../check.ts";

/** Longest payload of a signal, as JSON text, bytes. */
export const mostPayloadBytes = 256 * 1024;
/** Longest body of any message, bytes: a payload and what is around it. */
export const mostBodyBytes = mostPayloadBytes + 8 * 1024;
/** Characters of a log's end that travel with a result. */
export const mostLogTail = 16 * 1024;
/** Runs that may wait at one runner. */
export const mostQueued = 1000;

const agentName = z.string().regex(dnsLabel);
/** Chosen by whoever asks for a run: the same key is the same run. */
export const signalKey = z.string().regex(/^[\w.:-]{1,200}$/);
/** Given by the Sentinel, once for each key. */
export const runId = z.string().regex(/^run_[0-9a-f]{32}$/);
/** Made by a runner at its first start, and kept: tells a server from its successor of the same name. */
export const instanceId = z.string().regex(/^[0-9a-f]{32}$/);
const wallMs = z.number().int().nonnegative();
const words = z.string().max(2000);

/** Body of a signal, `POST /v1/signals`: signed, with the key as its `webhook-id`. */
export const signal = z.strictObject({
  type: z.literal("run"),
  agent: agentName,
  runId,
  /** Handed to the agent as JSON. */
  payload: z.json(),
});
export type Signal = z.infer<typeof signal>;

/**
 * What a run can be. `queued` and `running` go on; the others are ends. `interrupted`: it was begun, and nobody knows how
 * far it came (the server or the agent's process went away).
 */
export const runState = z.enum(["queued", "running", "completed", "failed", "interrupted"]);
export type RunState = z.infer<typeof runState>;
export const runEnds: ReadonlySet<RunState> = new Set(["completed", "failed", "interrupted"]);

/** How a run stands: the answer to a signal, to `GET /v1/runs/:id`, and, when it is at its end, the body of a result. */
export const runReport = z.strictObject({
  runId,
  state: runState,
  /** Starts of the agent for this run, those by systemd's Restart= included. */
  attempts: z.number().int().nonnegative(),
  /** Exit status, or the name of the signal that ended it; null while there is none. */
  exit: z.union([z.number().int().min(0).max(255), z.string().regex(/^SIG[A-Z0-9+-]{1,12}$/)]).nullable(),
  /** Processes that the kernel killed for memory in this run. */
  oomKills: z.number().int().nonnegative(),
  startedMs: wallMs.nullable(),
  endedMs: wallMs.nullable(),
  /** Why it failed or was interrupted, for people. */
  reason: words.nullable(),
  /** What the agent wrote to the file that `HEAVY_AGENT_RESULT` names, as JSON; null when it wrote none. */
  result: z.json(),
  logTail: z.string().max(mostLogTail),
});
export type RunReport = z.infer<typeof runReport>;

/** A server's public key, as a line of known_hosts without its host. */
export const sshHostKey = z
  .string()
  .regex(/^(?:ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)) [A-Za-z0-9+/]{32,2000}={0,2}$/);
/** A name of an account on a server. */
export const sshUser = z.string().regex(/^[a-z_][a-z0-9_-]{0,31}$/);
const hostAndPort = { host: z.string().min(1).max(253), port: z.number().int().min(1).max(65535) };

/** `POST /v1/register`. Again from the same instance: the same answer. From another one, the token is used up: 409. */
export const registration = z.strictObject({
  instance: instanceId,
  /** Where signals are to go. */
  address: z.strictObject(hostAndPort),
  /** Signals and questions are to go this way instead, to the server that shows this key. */
  ssh: z.strictObject({ ...hostAndPort, user: sshUser, hostKey: sshHostKey }).exactOptional(),
  mode: z.enum(["job", "resident"]),
  idempotent: z.boolean(),
  version: z.string().max(64),
});
export type Registration = z.infer<typeof registration>;

/** What the kernel counts for the agent's cgroup (memory.events, cgroup-v2.rst), since the server's start. */
export const memoryEvents = z.strictObject({
  high: z.number().int().nonnegative(),
  max: z.number().int().nonnegative(),
  oom: z.number().int().nonnegative(),
  oomKill: z.number().int().nonnegative(),
});
export type MemoryEvents = z.infer<typeof memoryEvents>;

/** `POST /v1/heartbeat`: renews the lease. */
export const heartbeat = z.strictObject({
  instance: instanceId,
  /** Whether the agent itself says that it can work. */
  ready: z.boolean(),
  running: runId.nullable(),
  queued: z.number().int().nonnegative(),
  /** Undefined where the kernel does not count. */
  memory: memoryEvents.optional(),
  /** Share of the last 60 s in which some task waited for memory, percent (PSI `some avg60`). */
  memoryPressurePercent: z.number().min(0).max(100).optional(),
  /** The start limit stopped the agent. */
  crashLoop: z.boolean(),
});
export type Heartbeat = z.infer<typeof heartbeat>;

/** The answer to a registration and to each heartbeat. */
export const lease = z.strictObject({
  /** For so long the Sentinel believes that the runner lives, ms from the answer. */
  validMs: z.number().int().positive(),
  heartbeatMs: z.number().int().positive(),
  /** When the server's time to live ends, Unix ms: the runner then asks to be destroyed. */
  expiresMs: wallMs,
});
export type Lease = z.infer<typeof lease>;

/** `POST /v1/farewell`: the time to live is over, or the server is being taken down. */
export const farewell = z.strictObject({ instance: instanceId, reason: z.enum(["expired", "destroyed"]) });
export type Farewell = z.infer<typeof farewell>;
