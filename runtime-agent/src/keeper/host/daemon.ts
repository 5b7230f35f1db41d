/** The host side as a daemon: puts the parts together, recovers, runs the loop at 1 Hz until it is told to stop. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { KeeperConfig } from "../../../../components/shared/agent/keeperConfig.ts";
import { describeFault } from "../../../../components/shared/faults.ts";
import { realClock, type Clock } from "../../shared/clock.ts";
import { acquireInstanceLock } from "../../shared/instanceLock.ts";
import { openJournal } from "../../shared/journal/index.ts";
import { startLocalApi } from "../../shared/localApi/index.ts";
import { createLog, type Log } from "../../shared/log.ts";
import { metricsRoute } from "../../shared/metrics.ts";
import { createNotifier } from "../../shared/sdNotify.ts";
import { agentClock } from "../arbiter/agentClock.ts";
import { createCalendar } from "../arbiter/core/calendar.ts";
import { healthOf } from "../../shared/health.ts";
import { warnOfLab } from "../labSays.ts";
import { connectToArbiter } from "../link/hostLink.ts";
import { createKeyWord } from "../link/keyWord.ts";
import { readPskFile } from "../link/psk.ts";
import { emptyHostState, resumeHost, type HostState } from "./core/decide.ts";
import { isActive } from "./core/handoffPlan.ts";
import { createHostLoop, type HostRules } from "./hostLoop.ts";
import { readMemory } from "./hostLoad.ts";
import { hostMetrics } from "./hostMetrics.ts";
import { hostCalendar, hostPolicy } from "./hostPolicy.ts";
import { hostRoutes } from "./hostRoutes.ts";
import { readKept } from "./kept.ts";
import { pveClient } from "../../shared/proxmox/client.ts";
import { pveGuests } from "./proxmox/guests.ts";
import { keeperNeeds } from "../../shared/proxmox/keeperRights.ts";
import { missingRights } from "../../shared/proxmox/rights.ts";
import { readTokenFile } from "../../shared/proxmox/token.ts";
import { textOf } from "../processes/errors.ts";
import { createProxmoxWord } from "./proxmoxWord.ts";
import { hasHost, rereadHostConfig, type WithHost } from "./reload.ts";
import { createRoomSensor } from "./roomSensor.ts";
import { createTokenRights } from "./tokenRights.ts";
import { createThreadKeeper } from "./threads/threadKeeper.ts";
import { createWatch } from "./watch.ts";
import { createFeeder } from "./watchdog/feeder.ts";

const periodMs = 1000;
/** Twice a loop, so that one lost answer is not yet silence. */
const linkPeriodMs = 500;
/** An arbiter whose VM was off for hours is found again within a second or so of its return, not when a long wait ends. */
export const linkBackOffMs = [200, 1000] as const;

export interface HostDaemonOptions {
  readonly config: KeeperConfig;
  /** Read again on SIGHUP. @default nothing is read again */
  readonly configFile?: string;
  /** Ends the daemon; without it SIGTERM and SIGINT do. */
  readonly signal?: AbortSignal;
  /** @default the machine's own, or what a lab's `HIVE_LAB_CLOCK` makes of it */
  readonly clock?: Clock;
  readonly log?: Log;
}

function rulesOf(config: WithHost): HostRules {
  return {
    calendar: createCalendar(hostCalendar(config)),
    policy: hostPolicy(config.host),
    observeMs: config.host.observeSec * 1000,
  };
}

/**
 * Runs the host side; gives the exit status. Throws when it cannot start: a second instance, an unreadable token or
 * key, a journal that cannot be opened.
 */
export async function runHost(options: HostDaemonOptions): Promise<number> {
  const { config, configFile } = options;
  if (!hasHost(config)) throw new Error("the configuration has no section host");
  const { host, paths } = config;
  const clock = options.clock ?? agentClock(process.env, realClock());
  const log = options.log ?? createLog({ level: config.log.level, wallMs: () => clock.wallMs() }, { side: "host" });
  if (options.clock === undefined) warnOfLab(log, ["HIVE_LAB_CLOCK"]);
  const stop = new AbortController();
  const end = (): void => stop.abort();
  if (options.signal === undefined) for (const name of ["SIGTERM", "SIGINT"] as const) process.once(name, end);
  else options.signal.addEventListener("abort", end, { once: true });

  // Kept for when it runs, if it comes while it starts.
  let reload = false;
  const onReload = (): void => void (reload = true);
  process.on("SIGHUP", onReload);
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => void process.off("SIGHUP", onReload));
  const lock = await acquireInstanceLock(paths.state);
  cleanup.defer(() => lock.release());
  const notifier = await createNotifier(process.env, (reason) => log.warning(reason));
  const { proxmox } = host;
  const token = await readTokenFile(proxmox.tokenFile);
  const client = pveClient({
    url: proxmox.url,
    token,
    trust:
      proxmox.fingerprint === undefined
        ? { ca: await readFile(proxmox.caFile ?? "", "utf8") }
        : { fingerprint: proxmox.fingerprint },
    node: proxmox.node,
    clock: realClock(),
  });
  cleanup.defer(() => client.close());
  const pve = pveGuests(client);

  let state: HostState = emptyHostState;
  const journal = await openJournal(join(paths.state, "journal"), {
    snapshot: () => [{ kind: "kept", at: clock.wallMs(), kept: (loop?.state() ?? state).kept }],
  });
  cleanup.defer(() => journal.close());
  const recovered = await readKept(journal);
  if (recovered.corrupt > 0 || journal.opened.tornBytes > 0)
    log.warning("journal repaired", { corruptLines: recovered.corrupt, tornBytes: journal.opened.tornBytes });
  state = resumeHost(recovered.kept, clock.monotonicMs());

  const feeder = await createFeeder({
    watchdog: host.watchdog,
    stateFolder: paths.state,
    loopMs: periodMs,
    clock,
    log,
  });
  cleanup.defer(() => feeder.close());
  const key = createKeyWord((fault) => log.warning("the arbiter is refused", { fault }));
  const link =
    host.link === undefined
      ? undefined
      : connectToArbiter({
          connect: host.link.connect,
          key: await readPskFile(host.link.pskFile),
          clock,
          validMs: host.link.leaseSec * 1000,
          periodMs: linkPeriodMs,
          backOffMs: linkBackOffMs,
          onEvent(event) {
            log.info("link", { ...event });
            key.take(event);
          },
        });
  if (link !== undefined) cleanup.defer(() => link.close());

  let current = config;
  const vmids = (): readonly number[] => current.host.guests.map(({ vmid }) => vmid);
  const word = createProxmoxWord((reason) => log.warning("Proxmox", { reason }));
  const rights = createTokenRights({
    ...{ token, clock, configured: vmids, ask: () => missingRights(client, keeperNeeds(current.host)) },
    onFault(missing) {
      if (missing === undefined) log.notice("Proxmox: the token has every right that it needs");
      else log.error("Proxmox", { missing });
    },
    onError: (error) => log.warning("Proxmox: the token's rights cannot be asked", { reason: textOf(error) }),
  });
  const guests = createWatch({
    clock,
    staleMs: () => 3000 * current.host.observeSec + 10_000,
    async look() {
      const plan = loop?.state().kept.handoff;
      const seen = await pve.observe(vmids(), isActive(plan) ? plan.toVmid : undefined);
      // Before it counts as answered: a list may be short because the token may not see more.
      await rights.listed(seen.map(({ vmid }) => vmid));
      word.answered();
      return seen;
    },
    onError: (error) => word.failed(error),
  });
  const room = createRoomSensor({ file: () => current.host.room?.sensor, clock, log });
  /** End of the last completed turn, on the machine's own clock: a lab's may run a thousand times as fast. */
  let turnedMs: number | undefined;
  const loopAgeMs = (): number | undefined => (turnedMs === undefined ? undefined : performance.now() - turnedMs);
  const loop = createHostLoop(
    {
      clock,
      journal,
      log,
      rules: rulesOf(config),
      guests,
      memory: () => readMemory(),
      perform: (action) => pve.perform(action),
      roomC: room.celsius,
      ...(link === undefined || host.link === undefined ? {} : { link, arbiterVmid: host.link.vmid }),
      alive() {
        turnedMs = performance.now();
        notifier.watchdog();
        feeder.feed();
      },
    },
    state,
  );

  const registry = hostMetrics({
    proxmoxUp: () => word.fault() === undefined,
    arbiterHeard: () => loop.observation()?.arbiter?.heard === true,
    availableMiB: () => loop.observation()?.memory?.availableMiB,
    roomC: room.celsius,
  });
  const view = {
    loopAgeMs,
    status: () => {
      const { kept } = loop.state();
      const seen = loop.observation();
      return {
        side: "host",
        ...healthOf(loopAgeMs(), [word.unhealthy(), rights.fault()]),
        marketOpen: seen?.marketOpen,
        memory: seen?.memory,
        room: current.host.room === undefined ? undefined : { celsius: room.celsius(), fault: room.fault() },
        guests: seen?.guests,
        proxmox: word.fault() ?? rights.fault() ?? "up",
        missingRights: rights.missing(),
        arbiter: seen?.arbiter === undefined ? "not linked" : seen.arbiter.heard ? "heard" : "silent",
        link: link === undefined ? null : { fault: key.fault() ?? null },
        gpu: link?.status(),
        wishes: kept.wishes,
        handoff: kept.handoff,
        // Whose release the arbiter has not yet confirmed as given back.
        abandoned: kept.abandoned.map(({ id }) => id),
      };
    },
    decisions: loop.decisions,
    tell: loop.tell,
    knows: (vmid: number) => vmids().includes(vmid),
  };
  const api = await startLocalApi({
    socket: join(paths.runtime, "api.sock"),
    tokenFile: join(paths.runtime, "api.token"),
    ...(config.api.port === undefined ? {} : { tcp: { host: "127.0.0.1", port: config.api.port } }),
    maxConnections: config.api.maxConnections,
    routes: [...hostRoutes(view), ...(config.metrics.enabled ? [metricsRoute(registry)] : [])],
    onError: (error, where) => log.error("local API", { where, error }),
  });
  cleanup.defer(() => api.close());

  const threads = createThreadKeeper({ rule: host.pinning, clock, log });
  const takeOver = async (): Promise<void> => {
    reload = false;
    if (configFile === undefined) return;
    const read = await rereadHostConfig(configFile, current);
    if (!read.ok) {
      const faults = read.faults.map(describeFault);
      log.error("the new configuration is refused, the running one kept", { file: configFile, faults });
      return;
    }
    const pinned = JSON.stringify(current.host.pinning);
    current = read.value;
    loop.reconfigure(rulesOf(current));
    // What was seen is of the guests that were configured before.
    guests.forget();
    rights.reconfigured();
    if (JSON.stringify(current.host.pinning) !== pinned) threads.reconfigure(current.host.pinning);
    log.notice("the new configuration is in force", { file: configFile });
  };

  let ready = false;
  while (!stop.signal.aborted) {
    const startedMs = clock.monotonicMs();
    if (reload) await takeOver();
    room.look();
    await loop.turn();
    threads.look();
    if (!ready) notifier.ready();
    ready = true;
    await clock.sleep(Math.max(0, periodMs - (clock.monotonicMs() - startedMs)), stop.signal);
  }
  notifier.stopping();
  await feeder.leave();
  return 0;
}
