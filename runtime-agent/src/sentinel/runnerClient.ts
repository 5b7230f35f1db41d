/**
 * How the Sentinel speaks to runners: HTTP over TLS with the agent's key, or SSH where the agent was made so.
 */
import type { Agent } from "node:https";
import { mostBodyBytes, runReport } from "../../../components/shared/signals/protocol.ts";
import type { WebhookHeaders } from "../../../components/shared/signals/webhooks.ts";
import { firstWebhookSecret, signWebhook } from "../../../components/shared/signals/webhooks.ts";
import { agentIdentity, pskCall, pskClient } from "../shared/pskTls.ts";
import type { PskAnswer } from "../shared/pskTls.ts";
import type { AgentRecord, Run, SshTarget } from "./core/types.ts";
import type { Asked, Delivered, Runners } from "./loop.ts";

/** A signal as it travels: what was signed, and its signature. */
export interface SignedSignal {
  readonly headers: WebhookHeaders;
  readonly body: string;
}

/** What goes over SSH: a signal, or `GET` of what a runner tells of a run. */
export type SshAsked = SignedSignal | { readonly get: string };

/** Asks a runner by another way than HTTP. Rejects when that fails. */
export type SecondTransport = (target: SshTarget, agent: string, asked: SshAsked) => Promise<PskAnswer>;

export interface RunnerClientOptions {
  readonly deadlineMs: number;
  readonly ssh?: SecondTransport | undefined;
  readonly onTry?: (agent: string, transport: "http" | "ssh", outcome: Delivered["kind"]) => void;
}

export interface RunnerClient extends Runners {
  /** The end of an agent's log as its runner answers it, `GET /v1/runs/:id/log`. Rejects when it does not. */
  log(runId: string, agent: AgentRecord, from: number): Promise<PskAnswer>;
  /** Forgets an agent whose key is void. */
  cutOff(agent: string): void;
  close(): void;
}

/** Errors of a connection that was never made: nothing of the message was read. */
const neverMade = new Set(["ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH", "ENOTFOUND", "EAI_AGAIN", "EADDRNOTAVAIL"]);
/** Answers that say: not taken, not now. */
const notNow = new Set([408, 410, 425, 429, 503]);
const mostReasonLength = 300;

function reasonOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).slice(0, mostReasonLength);
}

function failed(error: unknown): Delivered {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return { kind: neverMade.has(code) ? "later" : "unknown", reason: reasonOf(error) };
}

/** What an answer to a signal means. */
export function readAnswer({ status, text }: PskAnswer, runId: string): Delivered {
  const said = `the runner answered ${String(status)}: ${text.replaceAll(/\s+/g, " ").slice(0, mostReasonLength)}`;
  if (status === 200 || status === 202) {
    const report = reportIn(text);
    // What was answered is not known, but something was.
    if (report === undefined) return { kind: "unknown", reason: said };
    return report.runId === runId
      ? { kind: "taken", report }
      : { kind: "never", reason: "the runner named another run" };
  }
  // 401 is for a time that was not believed, which may be because the signal is there already; the next is newer.
  if (status === 401 || (status >= 500 && status !== 503)) return { kind: "unknown", reason: said };
  return { kind: notNow.has(status) ? "later" : "never", reason: said };
}

function reportIn(text: string) {
  try {
    return runReport.safeParse(JSON.parse(text), { jitless: true }).data;
  } catch {
    return undefined;
  }
}

/** The same bytes at each try: the runner takes another body under the same key for another signal. */
export function signedSignal(run: Run, agent: AgentRecord, payload: string): SignedSignal {
  const [name, runId] = [JSON.stringify(agent.name), JSON.stringify(run.runId)];
  const body = `{"type":"run","agent":${name},"runId":${runId},"payload":${payload}}`;
  return { body, headers: signWebhook(run.key, run.sentSec, body, firstWebhookSecret(Buffer.from(agent.key, "hex"))) };
}

export function createRunnerClient(options: RunnerClientOptions): RunnerClient {
  const { deadlineMs } = options;
  const agents = new Map<string, { readonly key: string; readonly pool: Agent }>();

  function poolOf({ name, key }: AgentRecord): Agent {
    const held = agents.get(name);
    if (held?.key === key) return held.pool;
    held?.pool.destroy();
    const pool = pskClient({ identity: agentIdentity(name), key: Buffer.from(key, "hex") });
    agents.set(name, { key, pool });
    return pool;
  }

  /** Where the runner said that it is to be asked by SSH, and by nothing else. */
  const sshOnly = ({ registered }: AgentRecord): SshTarget | undefined =>
    options.ssh === undefined ? undefined : registered?.ssh;

  function call(agent: AgentRecord, method: "GET" | "POST", path: string, signal?: SignedSignal): Promise<PskAnswer> {
    const target = sshOnly(agent);
    if (target !== undefined && options.ssh !== undefined)
      return options.ssh(target, agent.name, signal ?? { get: path });
    const address = agent.address ?? agent.registered?.address;
    if (address === undefined) return Promise.reject(new Error("it has no address"));
    return pskCall({
      ...address,
      agent: poolOf(agent),
      method,
      path,
      timeoutMs: deadlineMs,
      mostBytes: 4 * mostBodyBytes,
      ...(signal === undefined ? {} : { headers: { ...signal.headers }, body: signal.body }),
    });
  }

  async function ask(runId: string, agent: AgentRecord): Promise<Asked> {
    try {
      const { status, text } = await call(agent, "GET", `/v1/runs/${runId}`);
      if (status === 404) return { kind: "no-such-run" };
      const report = status === 200 ? reportIn(text) : undefined;
      return report?.runId === runId ? { kind: "report", report } : { kind: "nothing" };
    } catch {
      return { kind: "nothing" };
    }
  }

  async function deliver(run: Run, agent: AgentRecord, payload: string): Promise<Delivered> {
    let outcome: Delivered;
    try {
      const given = await call(agent, "POST", "/v1/signals", signedSignal(run, agent, payload));
      outcome = readAnswer(given, run.runId);
    } catch (error) {
      outcome = failed(error);
    }
    options.onTry?.(agent.name, sshOnly(agent) === undefined ? "http" : "ssh", outcome.kind);
    return outcome;
  }

  return {
    deliver,
    ask,
    log: (runId, agent, from) => call(agent, "GET", `/v1/runs/${runId}/log?from=${String(from)}`),
    cutOff(agent) {
      agents.get(agent)?.pool.destroy();
      agents.delete(agent);
    },
    close() {
      for (const { pool } of agents.values()) pool.destroy();
      agents.clear();
    },
  };
}
