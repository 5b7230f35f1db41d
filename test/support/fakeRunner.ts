// A runner that keeps its side of the contract and counts what it is asked: what it holds survives its kills.
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { RunReport, RunState } from "../../components/shared/signals/protocol.ts";
import { signal } from "../../components/shared/signals/protocol.ts";
import { firstWebhookSecret, verifyWebhook } from "../../components/shared/signals/webhooks.ts";
import type { BoundedListener, BoundedReply, BoundedRequest } from "../../runtime-agent/src/shared/boundedHttp.ts";
import { listenPsk } from "../../runtime-agent/src/shared/boundedHttp.ts";
import { agentIdentity, pskCall, pskClient } from "../../runtime-agent/src/shared/pskTls.ts";
import { freePort } from "../../lab/host/freePort.ts";
import { reportOf } from "./sentinelModel.ts";

interface Held {
  readonly runId: string;
  readonly body: string;
  sec: number;
  state: RunState;
  taken: boolean;
}

export interface FakeRunner {
  readonly instance: string;
  /** Run ids in the order in which they were begun. */
  readonly begun: readonly string[];
  readonly payloads: ReadonlyMap<string, unknown>;
  /** What went wrong that never may. */
  readonly faults: readonly string[];
  /**
   * The runner is there; the Sentinel's answer to its registration, 0 when it gave none.
   * @param patient whether it registers until there is an answer: on a busy machine a handshake may come too late
   */
  up(patient?: boolean): Promise<number>;
  /** It is gone at once, and a run that was under way with it. */
  kill(): Promise<void>;
  /** Whether answers to signals get lost: they were taken all the same. */
  lossy: boolean;
  /** Whether runs wait to be done. */
  idle: boolean;
  post(path: string, body: object): Promise<number>;
}

/** Hang guards, ms: one call, which waits for the Sentinel's disk, and all of a registration. */
const callMs = 30_000;
const patientMs = 60_000;

export async function fakeRunner(name: string, key: string, sentinelPort: number): Promise<FakeRunner> {
  const psk = Buffer.from(key, "hex");
  const instance = randomBytes(16).toString("hex");
  const secret = firstWebhookSecret(psk);
  const identity = agentIdentity(name);
  const port = await freePort();
  const held = new Map<string, Held>();
  const begun: string[] = [];
  const payloads = new Map<string, unknown>();
  const faults: string[] = [];
  let listener: BoundedListener | undefined;
  let alive: AbortController | undefined;

  const post = async (path: string, body: object): Promise<number> => {
    const agent = pskClient({ identity: agentIdentity(name, psk), key: psk });
    try {
      const call = { agent, host: "127.0.0.1", port: sentinelPort, method: "POST", path, timeoutMs: callMs } as const;
      return (await pskCall({ ...call, body: JSON.stringify(body) })).status;
    } finally {
      agent.destroy();
    }
  };

  function takeSignal({ headers, body }: BoundedRequest): BoundedReply {
    const verdict = verifyWebhook(headers, body, [secret], Math.floor(Date.now() / 1000));
    if (!verdict.ok) {
      faults.push(`a signal that is ${verdict.reason}`);
      return { status: 401, json: {} };
    }
    const given = signal.parse(JSON.parse(body.toString("utf8")));
    const text = body.toString("utf8");
    const known = held.get(verdict.id);
    if (known === undefined) {
      held.set(verdict.id, {
        runId: given.runId,
        body: text,
        sec: verdict.timestampSec,
        state: "queued",
        taken: false,
      });
      payloads.set(verdict.id, given.payload);
      return { status: 202, json: reportOf(given.runId, "queued") };
    }
    if (known.body !== text) faults.push(`another body under ${verdict.id}`);
    if (verdict.timestampSec <= known.sec) return { status: 401, json: {} };
    known.sec = verdict.timestampSec;
    return { status: 200, json: reportOf(known.runId, known.state) };
  }

  async function answer(request: BoundedRequest): Promise<BoundedReply> {
    if (request.path === "/v1/signals") {
      const reply = takeSignal(request);
      if (!runner.lossy) return reply;
      throw new Error("the answer is lost");
    }
    const id = /^\/v1\/runs\/(run_[0-9a-f]{32})(\/log)?$/.exec(request.path);
    const run = [...held.values()].find(({ runId }) => runId === id?.[1]);
    if (run === undefined) return { status: 404, json: {} };
    if (id?.[2] === undefined) return { status: 200, json: reportOf(run.runId, run.state) };
    return { status: 200, json: { from: 0, next: 5, text: "hello", end: true } };
  }

  /** One run at a time, first come, first served; then its result until it is taken. */
  async function work(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const next = [...held.values()].find((run) => run.state === "queued");
      if (next !== undefined && !runner.idle) {
        next.state = "running";
        if (begun.includes(next.runId)) faults.push(`${next.runId} was begun twice`);
        begun.push(next.runId);
        await sleep(1);
        if (!signal.aborted) next.state = "completed";
      }
      for (const run of held.values())
        if ((run.state === "completed" || run.state === "interrupted") && !run.taken && !signal.aborted)
          run.taken = (await post("/v1/results", resultOf(run)).catch(() => 0)) === 204;
      await sleep(2);
    }
  }

  function resultOf({ runId, state }: Held): RunReport {
    return { ...reportOf(runId, state), result: { did: runId }, logTail: "x".repeat(2000) };
  }

  async function beat(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const body = { instance, ready: true, running: null, queued: 0, crashLoop: false };
      await post("/v1/heartbeat", body).catch(() => 0);
      await sleep(300, undefined, { signal }).catch(() => undefined);
    }
  }

  const runner: FakeRunner = {
    instance,
    begun,
    payloads,
    faults,
    lossy: false,
    idle: false,
    post,
    async up(patient = false) {
      listener = await listenPsk({
        listen: { host: "127.0.0.1", port },
        keyOf: (who) => (who === identity ? psk : undefined),
        mostBodyBytes: 1024 * 1024,
        handle: answer,
        onError: () => undefined,
      });
      const address = { host: "127.0.0.1", port };
      const registration = { instance, address, mode: "job", idempotent: false, version: "1.0.0" };
      let status = await post("/v1/register", registration).catch(() => 0);
      for (const end = performance.now() + patientMs; patient && status === 0 && performance.now() < end;)
        status = await sleep(50).then(() => post("/v1/register", registration).catch(() => 0));
      alive = new AbortController();
      void work(alive.signal);
      void beat(alive.signal);
      return status;
    },
    async kill() {
      alive?.abort();
      await listener?.close();
      for (const run of held.values()) if (run.state === "running") run.state = "interrupted";
    },
  };
  return runner;
}
