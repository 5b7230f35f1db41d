/** The runner as a daemon: puts the parts together, recovers, works until it is told to stop. */
import { join } from "node:path";
import type { RunnerConfig } from "../../../components/shared/agent/runnerConfig.ts";
import { mostBodyBytes, type Heartbeat } from "../../../components/shared/signals/protocol.ts";
import { heavyAgentUnitName } from "../../../components/shared/vps/heavyAgentUnit.ts";
import { listenPsk, listenUnix } from "../shared/boundedHttp.ts";
import { realClock, type Clock } from "../shared/clock.ts";
import { acquireInstanceLock, SecondInstanceError } from "../shared/instanceLock.ts";
import { openJournal } from "../shared/journal/index.ts";
import { startLocalApi } from "../shared/localApi/index.ts";
import { createLog, type Log } from "../shared/log.ts";
import { metricsRoute } from "../shared/metrics.ts";
import { agentIdentity, pskCall, pskClient } from "../shared/pskTls.ts";
import { createNotifier } from "../shared/sdNotify.ts";
import { version } from "../shared/version.ts";
import { answerLocal, answerSentinel, type RunnerView } from "./api.ts";
import type { Verdict } from "./core/accept.ts";
import { snapshotOf } from "./core/state.ts";
import { createDesk, type Desk } from "./desk.ts";
import { bootId, ownInstance, readAgentKey, readSecrets, sshWay } from "./identity.ts";
import { watchMemory } from "./memory.ts";
import { createReadiness } from "./readiness.ts";
import { residentAgent } from "./resident.ts";
import { runFiles } from "./runFiles.ts";
import { journalLog } from "./runLog.ts";
import { runnerMetrics } from "./runnerMetrics.ts";
import { runnerRoutes } from "./runnerRoutes.ts";
import { linkToSentinel } from "./sentinelLink.ts";
import { recover } from "./store.ts";
import { systemdUnits } from "./units.ts";
import { createWork } from "./work.ts";

export interface RunnerOptions {
  readonly config: RunnerConfig;
  /** Ends the runner; without it SIGTERM and SIGINT do. */
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
  readonly log?: Log;
  /** Stand-ins for systemd's programs, in tests. */
  readonly programs?: { readonly systemctl?: string; readonly journalctl?: string; readonly boot?: string };
}

/** Time between turns when nothing happens, ms: feeds the service manager's watchdog. */
const idleMs = 5_000;
/** How long a farewell waits for results that the Sentinel has yet to take, ms. */
const lastResultsMs = 60_000;
/** What a signal is answered with while its server goes. */
const takenDown: Verdict = { status: 503, error: "the server is being taken down", changes: [] };
/** Exit status of an agent that finds another one at work (sysexits.h EX_TEMPFAIL). */
const secondInstance = 75;
/** A segment holds a full snapshot, of 8 MiB of payloads and as much of results, several times. */
const journalBytes = 48 * 1024 * 1024;

async function serve(options: RunnerOptions): Promise<number> {
  const { config, programs = {} } = options;
  const { agent, paths } = config;
  const clock = options.clock ?? realClock();
  const log = options.log ?? createLog({ level: config.log.level, wallMs: () => clock.wallMs() }, { role: "runner" });
  const stop = new AbortController();
  const end = (): void => stop.abort();
  if (options.signal === undefined) for (const name of ["SIGTERM", "SIGINT"] as const) process.once(name, end);
  else options.signal.addEventListener("abort", end, { once: true });
  let failure: unknown;
  const fail = (error: unknown): void => {
    failure ??= error;
    stop.abort();
  };

  await using cleanup = new AsyncDisposableStack();
  const lock = await acquireInstanceLock(paths.state);
  cleanup.defer(() => lock.release());
  const notifier = await createNotifier(process.env, (reason) => log.warning(reason));
  const key = await readAgentKey(config.sentinel.keyFile);
  let secrets = await readSecrets(config.signatures, key);
  const reload = (): void => {
    readSecrets(config.signatures, key).then(
      (read) => {
        secrets = read;
        log.notice("the secrets were read again");
      },
      (error: unknown) => log.error("the secrets stay as they are", { error }),
    );
  };
  process.on("SIGHUP", reload);
  cleanup.defer(() => void process.off("SIGHUP", reload));
  const instance = await ownInstance(paths.state);
  const ssh = await sshWay(config.ssh);

  const journal = await openJournal(join(paths.state, "journal"), {
    maxBytes: journalBytes,
    keep: 2,
    snapshot: () => snapshotOf(desk.state()),
  });
  cleanup.defer(() => journal.close());
  const kept = await recover(journal);
  if (kept.corrupt > 0 || journal.opened.tornBytes > 0)
    log.warning("journal repaired", { corruptLines: kept.corrupt, tornBytes: journal.opened.tornBytes });

  const unit = heavyAgentUnitName(agent.name);
  const units = systemdUnits(unit, programs.systemctl);
  const runLog = journalLog(unit, programs.journalctl);
  const memory = watchMemory(agent.cgroup);
  await memory.look();
  const resident = residentAgent(agent.socket, agent.answerSec * 1000);
  const readiness = createReadiness(agent, units, resident, clock);

  const answers = new Map<number, number>();
  let turnedMs: number | undefined;
  /** Tells the way to the Sentinel, once there is one, that a report may wait. */
  let wake = (): void => undefined;
  let leaving = (): boolean => false;
  const desk: Desk = createDesk(
    {
      clock,
      log,
      journal,
      accept: () => ({ agent: agent.name, secrets }),
      rules: { mode: agent.mode, idempotent: agent.idempotent },
      look: () => work.look(),
      act: (action) => work.act(action),
      turned() {
        turnedMs = clock.monotonicMs();
        work.turned(desk.state());
        if (desk.state().outbox.size > 0) wake();
        notifier.watchdog();
      },
      failed: fail,
    },
    kept.state,
  );
  const work = createWork({
    clock,
    log,
    mode: agent.mode,
    boot: programs.boot ?? (await bootId()),
    units,
    files: runFiles(agent),
    runLog,
    resident,
    memory,
    tell: (event) => desk.tell(event),
    turn: () => void desk.turn(),
  });
  // The last turn, of what came in until nothing was left that tells: its successor need not ask for it again.
  cleanup.defer(() => (failure === undefined ? desk.turn() : undefined));
  cleanup.defer(() => work.stop());

  const health = async () => {
    const { running, queue } = desk.state();
    const { ready, crashLoop, reason } = await readiness();
    return { ready, crashLoop, reason: reason ?? null, running: running ?? null, queued: queue.size };
  };
  const view: RunnerView = {
    async run(runId) {
      await desk.settled();
      return desk.state().runs.get(runId);
    },
    runLog,
    health,
    async signal(request) {
      const verdict = leaving() ? takenDown : await desk.signal(request);
      answers.set(verdict.status, (answers.get(verdict.status) ?? 0) + 1);
      return verdict;
    },
  };
  const bounds = {
    mostBodyBytes,
    onError: (error: unknown, where: string) => log.error("API", { where, error }),
  };
  const own = agentIdentity(agent.name);
  const listener = await listenPsk({
    ...bounds,
    listen: config.listen,
    keyOf: (identity) => (identity === own ? key : undefined),
    handle: (request) => answerSentinel(view, request),
  });
  cleanup.defer(() => listener.close());
  const local = await listenUnix({
    ...bounds,
    socket: join(paths.runtime, "signal.sock"),
    handle: (request) => answerLocal(view, request),
  });
  cleanup.defer(() => local.close());

  const client = pskClient({ identity: agentIdentity(agent.name, key), key });
  cleanup.defer(() => client.destroy());
  const overdueMs = (): number => clock.wallMs() - (desk.state().expiresMs ?? Number.POSITIVE_INFINITY);
  const sentinel = linkToSentinel({
    clock,
    log,
    random: Math.random,
    post: (path, body, signal) => {
      const { address } = config.sentinel;
      return pskCall({ agent: client, ...address, method: "POST", path, body: JSON.stringify(body), signal });
    },
    registration: {
      instance,
      address: config.address,
      ...(ssh === undefined ? {} : { ssh }),
      mode: agent.mode,
      idempotent: agent.idempotent,
      version,
    },
    async heartbeat(): Promise<Heartbeat> {
      const [{ ready, crashLoop, running, queued }, seen] = await Promise.all([health(), memory.look()]);
      return {
        instance,
        ready,
        running,
        queued,
        crashLoop,
        ...(seen.events === undefined ? {} : { memory: seen.events }),
        ...(seen.pressurePercent === undefined ? {} : { memoryPressurePercent: seen.pressurePercent }),
      };
    },
    onLease: ({ expiresMs }) => desk.tell({ kind: "expires", expiresMs }),
    nextReport: desk.nextReport,
    onDelivered: (runId) => desk.tell({ kind: "delivered", runId }),
    farewellDue: () => overdueMs() >= (desk.state().outbox.size > 0 ? lastResultsMs : 0),
  });
  wake = sentinel.wake;
  leaving = () => sentinel.leaving;
  cleanup.defer(() => sentinel.stop());

  const registry = runnerMetrics({
    state: desk.state,
    sentinelKnows: () => sentinel.fault() === undefined,
    oomKills: memory.oomKills,
    answers,
  });
  const routes = runnerRoutes({
    agent: agent.name,
    mode: agent.mode,
    state: desk.state,
    turnAgeMs: () => (turnedMs === undefined ? undefined : clock.monotonicMs() - turnedMs),
    sentinelFault: sentinel.fault,
    parted: () => sentinel.parted,
    leave: sentinel.leave,
    readiness,
  });
  const api = await startLocalApi({
    socket: join(paths.runtime, "api.sock"),
    tokenFile: join(paths.runtime, "api.token"),
    routes: [...routes, ...(config.metrics.enabled ? [metricsRoute(registry)] : [])],
    onError: (error, where) => log.error("local API", { where, error }),
  });
  cleanup.defer(() => api.close());

  await desk.turn();
  notifier.ready();
  log.notice("the runner is ready", { agent: agent.name, mode: agent.mode });
  while (!stop.signal.aborted) {
    await clock.sleep(idleMs, stop.signal);
    if (!stop.signal.aborted) await desk.turn();
  }
  notifier.stopping();
  if (failure === undefined) return 0;
  log.error("the runner cannot go on", { error: failure });
  return 1;
}

/**
 * Runs the runner; gives the exit status, 75 when another one is at work. Throws when it cannot start: an unreadable
 * key, a journal that cannot be opened. Crash-only: killed at any point, its successor keeps every promise it made.
 */
export async function runRunner(options: RunnerOptions): Promise<number> {
  try {
    return await serve(options);
  } catch (error) {
    if (!(error instanceof SecondInstanceError)) throw error;
    (options.log ?? createLog({ level: options.config.log.level })).error(error.message);
    return secondInstance;
  }
}
