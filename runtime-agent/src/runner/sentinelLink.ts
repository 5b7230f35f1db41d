/**
 * The runner's calls to its Sentinel: registration, then a heartbeat that renews the lease; results until each is taken;
 * at the end of the server's time, or of the server itself, the farewell. A Sentinel that is away costs nothing but waiting.
 */
import {
  lease as leaseSchema,
  type Heartbeat,
  type Lease,
  type Registration,
  type RunReport,
} from "../../../components/shared/signals/protocol.ts";
import type { Clock } from "../shared/clock.ts";
import { failpoint } from "../shared/failpoints.ts";
import type { Log } from "../shared/log.ts";
import type { PskAnswer } from "../shared/pskTls.ts";

export interface SentinelParts {
  readonly clock: Clock;
  readonly log: Log;
  /** In [0, 1). */
  readonly random: () => number;
  readonly post: (path: string, body: unknown, signal: AbortSignal) => Promise<PskAnswer>;
  readonly registration: Registration;
  readonly heartbeat: () => Promise<Heartbeat>;
  readonly onLease: (lease: Lease) => void;
  /** The oldest report that waits. */
  readonly nextReport: () => RunReport | undefined;
  readonly onDelivered: (runId: string) => void;
  /** Whether the server's time is over, and nothing that the Sentinel could still be given holds it up. */
  readonly farewellDue: () => boolean;
}

export interface SentinelLink {
  /** There may be a report to deliver. */
  wake(): void;
  /** Why the Sentinel does not know this runner; undefined when it does. */
  fault(): string | undefined;
  /** Whether the farewell has been taken. */
  readonly parted: boolean;
  /**
   * Tells the Sentinel that the server is being taken down, after the results that wait, in {@link mostFarewellMs} at
   * most. Then it is quiet for {@link quietMs}; a server that is still there goes on.
   * @returns why the Sentinel could not be told; undefined when it was
   */
  leave(): Promise<string | undefined>;
  /** Whether the server is being taken down: it is no time to begin a run. */
  readonly leaving: boolean;
  stop(): Promise<void>;
}

const firstWaitMs = 500;
const mostWaitMs = 60_000;
/** For so long a farewell waits for results to be taken, ms. */
const lastResultsMs = 3_000;
/** For so long the Sentinel may take to answer a farewell, ms. */
const farewellAnswerMs = 5_000;
/** Longest that a farewell takes, ms. */
export const mostFarewellMs = lastResultsMs + farewellAnswerMs;
/** A server whose end was announced is not heard of for so long, ms: its deletion may have failed. */
export const quietMs = 300_000;
/** Between two looks at what waits for the Sentinel, ms. */
const lookMs = 50;
/** Between two heartbeats until the Sentinel has said how often, ms. */
const usualHeartbeatMs = 10_000;

/** A doubling wait, of which a random part up to a half is left away: many runners do not come back together. */
export function backOffMs(failures: number, random: () => number, mostMs = mostWaitMs): number {
  const full = Math.min(mostMs, firstWaitMs * 2 ** Math.min(20, Math.max(0, failures - 1)));
  return full * (1 - random() / 2);
}

function words(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return "code" in error ? String(error.code) : error.message;
}

export function linkToSentinel(parts: SentinelParts): SentinelLink {
  const { clock, log } = parts;
  const stopped = new AbortController();
  const { instance } = parts.registration;
  let registered = false;
  let parted = false;
  let quietUntilMs = Number.NEGATIVE_INFINITY;
  let fault: string | undefined = "not registered yet";
  let ring: (() => void) | undefined;

  function say(next: string | undefined): void {
    if (next === fault) return;
    if (next === undefined) log.notice("the Sentinel knows this runner");
    else log.warning("Sentinel", { reason: next });
    fault = next;
  }

  /** One call; undefined when it came to nothing. */
  async function post(path: string, body: unknown): Promise<PskAnswer | undefined> {
    try {
      return await parts.post(path, body, stopped.signal);
    } catch (error) {
      if (!stopped.signal.aborted) say(`it cannot be reached: ${words(error)}`);
      return undefined;
    }
  }

  function leaseOf(text: string): Lease | undefined {
    try {
      return leaseSchema.safeParse(JSON.parse(text), { jitless: true }).data;
    } catch {
      return undefined;
    }
  }

  /** @returns how long until the next beat, ms; undefined when it failed */
  async function beat(): Promise<number | undefined> {
    const answer = registered
      ? await post("/v1/heartbeat", await parts.heartbeat())
      : await post("/v1/register", parts.registration);
    if (answer === undefined) return undefined;
    const lease = answer.status === 200 ? leaseOf(answer.text) : undefined;
    if (lease === undefined) {
      // Whatever it is that it does not know any more, a registration tells it.
      if (answer.status >= 400 && answer.status < 500) registered = false;
      say(
        answer.status === 409
          ? "the registration token was used by another server"
          : `it answered ${String(answer.status)}`,
      );
      return undefined;
    }
    say(undefined);
    parts.onLease(lease);
    if (!registered) {
      registered = true;
      // At once: what a registration does not say, whether the agent can work, is in the first heartbeat.
      return 0;
    }
    return lease.heartbeatMs;
  }

  async function partIfDue(): Promise<void> {
    if (!parts.farewellDue()) {
      parted = false;
      return;
    }
    if (parted || !registered) return;
    const answer = await post("/v1/farewell", { instance, reason: "expired" });
    parted = answer?.status === 204 || answer?.status === 200;
    if (parted) log.notice("the server's time is over: its end is asked for");
  }

  async function leave(): Promise<string | undefined> {
    quietUntilMs = clock.monotonicMs() + quietMs;
    const giveUpMs = clock.monotonicMs() + lastResultsMs;
    while (parts.nextReport() !== undefined && clock.monotonicMs() < giveUpMs)
      await clock.sleep(lookMs, stopped.signal);
    const inTime = AbortSignal.any([stopped.signal, AbortSignal.timeout(farewellAnswerMs)]);
    try {
      const { status } = await parts.post("/v1/farewell", { instance, reason: "destroyed" }, inTime);
      if (status !== 204 && status !== 200) return `the Sentinel answered ${String(status)}`;
    } catch (error) {
      return `the Sentinel cannot be reached: ${words(error)}`;
    }
    log.notice("the server is being taken down: the Sentinel was told");
    return undefined;
  }

  async function keepLease(): Promise<void> {
    let failures = 0;
    let everyMs = usualHeartbeatMs;
    while (!stopped.signal.aborted) {
      const quietForMs = quietUntilMs - clock.monotonicMs();
      if (quietForMs > 0) {
        await clock.sleep(quietForMs, stopped.signal);
        continue;
      }
      const next = await beat();
      failures = next === undefined ? failures + 1 : 0;
      if (next !== undefined && next > 0) everyMs = next;
      await partIfDue();
      // A lease is renewed no later for having failed once.
      const waitMs = next ?? backOffMs(failures, parts.random, registered ? everyMs : mostWaitMs);
      await clock.sleep(waitMs, stopped.signal);
    }
  }

  /** Ends with the time, or with a ring. */
  async function waitForRing(ms: number): Promise<void> {
    const rung = new AbortController();
    ring = () => rung.abort();
    await clock.sleep(ms, rung.signal);
    ring = undefined;
  }

  async function deliver(): Promise<void> {
    let failures = 0;
    while (!stopped.signal.aborted) {
      const report = parts.nextReport();
      if (report === undefined) {
        failures = 0;
        await waitForRing(mostWaitMs);
        continue;
      }
      await failpoint("runner.before-deliver");
      const answer = await post("/v1/results", report);
      await failpoint("runner.after-deliver");
      if (answer?.status === 204) {
        failures = 0;
        parts.onDelivered(report.runId);
        // The desk takes it out of the outbox, and rings.
        if (parts.nextReport()?.runId === report.runId) await waitForRing(mostWaitMs);
        continue;
      }
      failures += 1;
      if (answer !== undefined) log.warning("a result was not taken", { runId: report.runId, status: answer.status });
      await clock.sleep(backOffMs(failures, parts.random), stopped.signal);
    }
  }

  const loops = Promise.all([keepLease(), deliver()]);
  return {
    wake: () => ring?.(),
    fault: () => fault,
    get parted() {
      return parted;
    },
    leave,
    get leaving() {
      return clock.monotonicMs() < quietUntilMs;
    },
    async stop() {
      stopped.abort();
      ring?.();
      await loops;
    },
  };
}
