/** The Sentinel as a daemon: puts the parts together, recovers, and turns until it is told to stop. */
import { join } from "node:path";
import type { SentinelConfig } from "../../../components/shared/agent/sentinelConfig.ts";
import { mostBodyBytes } from "../../../components/shared/signals/protocol.ts";
import { realClock, type Clock } from "../shared/clock.ts";
import { healthOf } from "../shared/health.ts";
import { acquireInstanceLock } from "../shared/instanceLock.ts";
import { openJournal } from "../shared/journal/index.ts";
import { startLocalApi } from "../shared/localApi/index.ts";
import { createLog, type Log } from "../shared/log.ts";
import { metricsRoute } from "../shared/metrics.ts";
import { createNotifier } from "../shared/sdNotify.ts";
import { openBodies } from "./bodies.ts";
import type { Policy } from "./core/events.ts";
import { SentinelState } from "./core/state.ts";
import type { AgentView, News } from "./extension.ts";
import { openExtensions } from "./extensions.ts";
import { agentViews, startExtensions } from "./extensionTurn.ts";
import { startHooks } from "./hooks.ts";
import { openKeyStore } from "./keyStore.ts";
import { createLedger } from "./ledger.ts";
import { createLoop } from "./loop.ts";
import { ownSshKey, readSshKey, sshKeyRoute } from "./ownSshKey.ts";
import { bodiesOf, recover } from "./recover.ts";
import { rereads } from "./reread.ts";
import { sentinelRoutes } from "./routes/index.ts";
import { createRunnerClient } from "./runnerClient.ts";
import { startRunnerServer } from "./runnerServer.ts";
import { sentinelMetrics } from "./sentinelMetrics.ts";
import { sshTransport } from "./sshTransport.ts";

/** A segment holds the largest snapshot several times: each waiting signal and each remembered end is about a KiB. */
const journalOptions = { maxBytes: 32 * 1024 * 1024, keep: 2 } as const;
/** After the start and after a step of the clock, no server is given to the reaper for so long, ms. */
const holdMs = 120_000;

export interface SentinelDaemonOptions {
  readonly config: SentinelConfig;
  /** Where it was read: SIGHUP reads it again. @default SIGHUP reads secrets alone */
  readonly configFile?: string | undefined;
  /** Ends the daemon; without it SIGTERM and SIGINT do. */
  readonly signal?: AbortSignal;
  /** @default the machine's own */
  readonly clock?: Clock;
  readonly log?: Log;
}

function policyOf({ leases, delivery, history }: SentinelConfig): Policy {
  return {
    leaseMs: leases.validSec * 1000,
    heartbeatMs: leases.heartbeatSec * 1000,
    registerWithinMs: leases.registerWithinMin * 60_000,
    graceMs: leases.graceMin * 60_000,
    firstMs: delivery.firstSec * 1000,
    mostMs: delivery.mostSec * 1000,
    attempts: delivery.attempts,
    askAfterMs: delivery.askAfterSec * 1000,
    mostWaiting: delivery.mostWaiting,
    mostWaitingBytes: delivery.mostWaitingMiB * 1024 * 1024,
    historyRuns: history.runs,
    historyMs: history.hours * 3_600_000,
    keyMs: history.keyDays * 86_400_000,
    mostKeys: history.mostKeys,
  };
}

/** One line of the status. */
function summaryOf({ name, kind, size, life, alive, registered, handedOver, expiresMs, proposal, heard }: AgentView) {
  return {
    name,
    kind,
    size,
    life,
    state: handedOver?.why ?? (registered === undefined ? "unregistered" : alive ? "alive" : "silent"),
    ready: heard?.heartbeat?.ready ?? null,
    running: heard?.heartbeat?.running ?? null,
    expires: new Date(expiresMs).toISOString(),
    proposal: proposal?.to ?? null,
  };
}

/** What people should find in the log; what comes all the time only where they ask for it. */
function tell(log: Log, item: News): void {
  if (item.kind === "heartbeat") return;
  if (item.kind === "result")
    log.debug("result", { agent: item.agent, runId: item.report.runId, state: item.report.state });
  else if (item.kind === "dead-letter") log.warning("dead letter", { ...item });
  else log.notice(item.kind, { agent: item.agent });
}

/**
 * Runs the Sentinel; gives the exit status. Throws when it cannot start: a second instance, a port in use, an unreadable
 * secret, a journal that cannot be opened.
 */
export async function runSentinelDaemon(options: SentinelDaemonOptions): Promise<number> {
  const { config } = options;
  const { paths } = config;
  const clock = options.clock ?? realClock();
  const log = options.log ?? createLog({ level: config.log.level, wallMs: () => clock.wallMs() }, { role: "sentinel" });
  const stop = new AbortController();
  const end = (): void => stop.abort();
  if (options.signal === undefined) for (const name of ["SIGTERM", "SIGINT"] as const) process.once(name, end);
  else options.signal.addEventListener("abort", end, { once: true });

  await using cleanup = new AsyncDisposableStack();
  const lock = await acquireInstanceLock(paths.state);
  cleanup.defer(() => lock.release());
  const notifier = await createNotifier(process.env, (reason) => log.warning(reason));

  const state = new SentinelState();
  const journal = await openJournal(join(paths.state, "journal"), { ...journalOptions, snapshot: () => state.lines() });
  cleanup.defer(() => journal.close());
  const corruptLines = await recover(journal, state, clock);
  const keys = await openKeyStore(join(paths.state, "keys"));
  const repaired = { corruptLines, tornBytes: journal.opened.tornBytes, damagedKeys: keys.damaged };
  if (Object.values(repaired).some((count) => count > 0)) log.warning("journal repaired", repaired);
  const bodies = await openBodies(join(paths.state, "bodies"));
  await bodies.keepOnly(bodiesOf(state));

  const policy = policyOf(config);
  const agents = () => agentViews({ state, policy, clock });
  const metrics = sentinelMetrics({ state, agents, knownKeys: () => keys.size, wallMs: () => clock.wallMs() });
  const deadlineMs = config.delivery.deadlineSec * 1000;
  const sshKey =
    config.ssh === undefined
      ? await ownSshKey(join(paths.state, "ssh", "id_ed25519"))
      : await readSshKey(config.ssh.keyFile);
  const client = createRunnerClient({
    deadlineMs,
    ssh: sshTransport(sshKey.privateKey, deadlineMs),
    onTry: (_agent, transport, outcome) => metrics.tried(transport, outcome),
  });
  cleanup.defer(() => client.close());
  const ledger = createLedger(journal, clock, stop.signal, (reason) => log.error("journal", { reason }));

  const extensions = await openExtensions({ config, clock, log });
  for (const extension of extensions) cleanup.defer(() => extension.close());
  startExtensions(extensions, state.kept);
  const loop = createLoop({
    clock,
    log,
    state,
    policy,
    ledger,
    keys,
    bodies,
    runners: client,
    extensions,
    cutOff(agent) {
      client.cutOff(agent);
      server.cutOff();
    },
    holdMs,
    onOutcome(event, outcome) {
      metrics.count(event, outcome);
      for (const item of outcome.news) {
        if (item.kind === "removed") client.cutOff(item.agent);
        tell(log, item);
      }
    },
  });

  const onError = (error: unknown, where: string): void => log.error("request", { where, error });
  const server = await startRunnerServer({
    ...config.runners,
    agentOf: (name) => state.agents.get(name),
    loop,
    onError,
  });
  cleanup.defer(() => server.close());
  const callersOf = ({ hooks: given, watch }: SentinelConfig) => ({
    hooks: given?.list ?? [],
    watchdogs: watch.watchdogs,
  });
  const hooks =
    config.hooks === undefined
      ? undefined
      : await startHooks({
          listen: config.hooks.listen,
          ...callersOf(config),
          loop,
          beat: (name) => extensions.some((extension) => extension.beat?.(name) === true),
          monotonicMs: () => clock.monotonicMs(),
          wallMs: () => clock.wallMs(),
          onError,
        });
  if (hooks !== undefined) cleanup.defer(() => hooks.close());
  const reread = rereads({
    file: options.configFile,
    running: config,
    log,
    async prepare(next) {
      const parts = [...extensions.map((extension) => extension.prepare?.(next)), hooks?.prepare(callersOf(next))];
      return Promise.all(parts.filter((one) => one !== undefined));
    },
  });
  process.on("SIGHUP", reread);
  cleanup.defer(() => void process.off("SIGHUP", reread));

  /** End of the last completed turn, on the machine's own clock. */
  let turnedMs: number | undefined;
  const loopAgeMs = (): number | undefined => (turnedMs === undefined ? undefined : performance.now() - turnedMs);
  const status = () => {
    const fault = ledger.fault();
    const faults = [
      fault === undefined ? undefined : `nothing can be journaled: ${fault}`,
      ...extensions.map((extension) => extension.fault?.()),
    ];
    return {
      role: "sentinel",
      ...healthOf(loopAgeMs(), faults),
      listens: { runners: server.port, hooks: hooks?.port ?? null },
      signals: { open: state.open, ended: state.endedCount, knownKeys: keys.size },
      agents: agents().map(summaryOf),
      ...Object.fromEntries(extensions.map((extension) => [extension.name, extension.status()])),
    };
  };
  const api = await startLocalApi({
    socket: join(paths.runtime, "api.sock"),
    tokenFile: join(paths.runtime, "api.token"),
    maxConnections: config.api.maxConnections,
    maxBodyBytes: mostBodyBytes,
    routes: [
      ...sentinelRoutes({ loop, state, bodies, log: client.log, agents, status, loopAgeMs }),
      sshKeyRoute(sshKey),
      ...(config.metrics.enabled ? [metricsRoute(metrics.registry)] : []),
      ...extensions.flatMap(({ routes }) => routes ?? []),
    ],
    onError,
  });
  cleanup.defer(() => api.close());

  let ready = false;
  while (!stop.signal.aborted) {
    loop.turn();
    turnedMs = performance.now();
    notifier.watchdog();
    if (!ready) notifier.ready();
    ready = true;
    await clock.sleep(loop.restMs(), stop.signal);
  }
  notifier.stopping();
  return 0;
}
