import * as z from "zod";
import { CommandFailure } from "../output/failure.ts";
import {
  type AgentSeen,
  agentSeen,
  type LogPiece,
  logPiece,
  type Minted,
  minted,
  reaperSeen,
  type RegistrationSeen,
  registrationSeen,
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

/** A server that only the end in its tags deletes. */
export interface HeldServer {
  readonly provider: NewAgent["provider"]["kind"];
  readonly id: string;
  /** Of its tags. */
  readonly agent: string;
}

/** The Sentinel's admin API in words. Each call throws {@link SentinelUnreachable}, or CommandFailure with its refusal. */
export interface Sentinel {
  /** Registers an agent and mints its key; the same words again get the same key while no server used it. */
  readonly register: (agent: NewAgent) => Promise<Minted>;
  /** A key for the next server of an agent, and where that will be; the one in use is good until that server registers. */
  readonly mint: (name: string, provider?: NewAgent["provider"]) => Promise<Minted>;
  readonly agents: () => Promise<readonly AgentSeen[]>;
  readonly agent: (name: string) => Promise<AgentSeen | undefined>;
  /** The same agent, by its keys. */
  readonly registration: (name: string) => Promise<RegistrationSeen | undefined>;
  readonly reaper: () => Promise<{
    readonly estate: string | undefined;
    readonly stranded: readonly string[];
    /** Where it may delete servers. */
    readonly providers: readonly NewAgent["provider"]["kind"][];
    /** Of Lightsail: the one that it looks at. */
    readonly region: string | undefined;
    /** Servers of this Hive that the registry does not know, after the Sentinel was set back or made anew. */
    readonly held: readonly HeldServer[];
  }>;
  readonly renew: (name: string, ttlSec: number) => Promise<void>;
  readonly resize: (name: string, size: string) => Promise<void>;
  /**
   * @param id that registration alone, not a later one of the same name
   * @returns whether there was one
   */
  readonly remove: (name: string, id?: string) => Promise<boolean>;
  readonly signal: (name: string, key: string, payload: unknown) => Promise<Pick<RunSeen, "runId" | "state">>;
  /** Public half of its SSH key, `ssh-ed25519 AAAA…`. */
  readonly sshKey: () => Promise<string>;
  /** Newest first. */
  readonly runs: (name: string) => Promise<readonly RunSeen[]>;
  readonly run: (runId: string) => Promise<RunSeen | undefined>;
  /** Runs that were given up until a person asks again. */
  readonly deadLetters: () => Promise<readonly RunSeen[]>;
  /** Sends a dead one again, as the same run. */
  readonly askAgain: (runId: string) => Promise<Pick<RunSeen, "runId" | "state">>;
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
    mint: (name, provider) => ask(post(at(name, "/registration"), { provider }), minted),
    agents: async () => (await ask(get("/agents"), z.object({ agents: z.array(agentSeen) }))).agents,
    agent: (name) => find(get(at(name)), agentSeen),
    registration: (name) => find(get(at(name)), registrationSeen),
    reaper: async () => {
      const { estate, stranded, providers } = await ask(get("/reaper"), reaperSeen);
      const held = providers.flatMap(({ kind, servers }) =>
        servers.flatMap(({ id, agent, held: isHeld }) => (isHeld ? [{ provider: kind, id, agent }] : [])),
      );
      const region = providers.find(({ kind }) => kind === "lightsail")?.region;
      return { estate, stranded, providers: providers.map(({ kind }) => kind), region, held };
    },
    renew: async (name, ttlSec) => void (await ask(post(at(name, "/renew"), { ttlSec }), anything)),
    resize: async (name, size) => void (await ask(post(at(name, "/resize"), { size }), anything)),
    remove: async (name, id) => {
      const call: SentinelCall = { method: "DELETE", path: at(name, id === undefined ? "" : `?id=${id}`) };
      const answer = await line.call(call);
      if (answer.status === 404) return false;
      read(call, answer, anything);
      return true;
    },
    signal: (name, key, payload) => ask(post(at(name, "/signals"), { key, payload }), taken),
    sshKey: async () => (await ask(get("/ssh-key"), z.object({ publicKey: z.string() }))).publicKey,
    runs: async (name) => (await ask(get(at(name, "/runs")), z.object({ runs: z.array(runSeen) }))).runs.toReversed(),
    run: (runId) => find(get(`/runs/${encodeURIComponent(runId)}`), runSeen),
    deadLetters: async () => (await ask(get("/dead-letters"), z.object({ deadLetters: z.array(runSeen) }))).deadLetters,
    askAgain: (runId) => ask(post(`/dead-letters/${encodeURIComponent(runId)}/retry`), taken),
    log: (runId, from) => find(get(`/runs/${encodeURIComponent(runId)}/log?from=${String(from)}`), logPiece),
  };
}
