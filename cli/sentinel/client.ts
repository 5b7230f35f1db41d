import * as z from "zod";
import { CommandFailure } from "../output/failure.ts";
import {
  type AgentSeen,
  agentSeen,
  type LogPiece,
  logPiece,
  type Minted,
  minted,
  refused,
  type RunSeen,
  runSeen,
  taken,
} from "./answers.ts";
import type { SentinelAnswer, SentinelCall, SentinelLine } from "./line.ts";

/** What the Sentinel is told of a new agent. */
export interface NewAgent {
  readonly name: string;
  readonly kind: string;
  readonly size: string;
  readonly ttlSec: number;
  readonly mode: "job" | "resident";
  readonly idempotent: boolean;
  /** Where its server will be, by the provider's own name: what the reaper deletes. */
  readonly provider: { readonly kind: "proxmox" | "lightsail"; readonly id: string };
}

/** The Sentinel's admin API in words. Each call throws {@link SentinelUnreachable}, or CommandFailure with its refusal. */
export interface Sentinel {
  /** Registers an agent and mints its key; the same words again get the same key while no server used it. */
  readonly register: (agent: NewAgent) => Promise<Minted>;
  /** A key for the next server of an agent. */
  readonly mint: (name: string) => Promise<Minted>;
  readonly agents: () => Promise<readonly AgentSeen[]>;
  readonly agent: (name: string) => Promise<AgentSeen | undefined>;
  readonly renew: (name: string, ttlSec: number) => Promise<void>;
  readonly resize: (name: string, size: string) => Promise<void>;
  /** @returns whether there was one */
  readonly remove: (name: string) => Promise<boolean>;
  readonly signal: (name: string, key: string, payload: unknown) => Promise<Pick<RunSeen, "runId" | "state">>;
  /** Newest first. */
  readonly runs: (name: string) => Promise<readonly RunSeen[]>;
  readonly run: (runId: string) => Promise<RunSeen | undefined>;
  readonly log: (runId: string, from: number) => Promise<LogPiece | undefined>;
}

/** Reads an answer that must have a form. @throws CommandFailure with the refusal, or that it is no answer of ours */
function read<T>(call: SentinelCall, { status, json }: SentinelAnswer, form: z.core.$ZodType<T>): T {
  if (status >= 200 && status < 300) {
    const parsed = z.safeParse(form, json);
    if (parsed.success) return parsed.data;
    throw new CommandFailure(
      `the Sentinel's answer to ${call.method} ${call.path} is of another version: give it and this checkout the same release`,
    );
  }
  throw refusalOf(call, { status, json });
}

function refusalOf(call: SentinelCall, { status, json }: SentinelAnswer): CommandFailure {
  const parsed = refused.safeParse(json);
  if (!parsed.success)
    return new CommandFailure(`the Sentinel answered ${String(status)} to ${call.method} ${call.path}`);
  const { error, property, limit, fix } = parsed.data;
  const where = property === null || property === undefined ? "" : `${property}: `;
  const bound = limit === null || limit === undefined ? "" : `; allowed: ${limit}`;
  const help = fix === null || fix === undefined ? "" : `. ${fix}`;
  return new CommandFailure(`the Sentinel refuses: ${where}${error}${bound}${help}`, { details: { status } });
}

const anything = z.unknown();

/** The Sentinel at the end of a line. */
export function sentinelOn(line: SentinelLine): Sentinel {
  const ask = async <T>(call: SentinelCall, form: z.core.$ZodType<T>): Promise<T> =>
    read(call, await line.call(call), form);
  /** Undefined for a 404. */
  const find = async <T>(call: SentinelCall, form: z.core.$ZodType<T>): Promise<T | undefined> => {
    const answer = await line.call(call);
    return answer.status === 404 ? undefined : read(call, answer, form);
  };
  const at = (name: string, rest = ""): string => `/agents/${encodeURIComponent(name)}${rest}`;
  const post = (path: string, body: unknown = {}): SentinelCall => ({ method: "POST", path, body });
  const get = (path: string): SentinelCall => ({ method: "GET", path });
  return {
    register: (agent) => ask(post("/agents", agent), minted),
    mint: (name) => ask(post(at(name, "/registration")), minted),
    agents: async () => (await ask(get("/agents"), z.object({ agents: z.array(agentSeen) }))).agents,
    agent: (name) => find(get(at(name)), agentSeen),
    renew: async (name, ttlSec) => void (await ask(post(at(name, "/renew"), { ttlSec }), anything)),
    resize: async (name, size) => void (await ask(post(at(name, "/resize"), { size }), anything)),
    remove: async (name) => {
      const call: SentinelCall = { method: "DELETE", path: at(name) };
      const answer = await line.call(call);
      if (answer.status === 404) return false;
      read(call, answer, anything);
      return true;
    },
    signal: (name, key, payload) => ask(post(at(name, "/signals"), { key, payload }), taken),
    runs: async (name) => (await ask(get(at(name, "/runs")), z.object({ runs: z.array(runSeen) }))).runs.toReversed(),
    run: (runId) => find(get(`/runs/${encodeURIComponent(runId)}`), runSeen),
    log: (runId, from) => find(get(`/runs/${encodeURIComponent(runId)}/log?from=${String(from)}`), logPiece),
  };
}
