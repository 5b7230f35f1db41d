/** The arbiter as a daemon: from the lock to the last process set free. */
import path from "node:path";
import { describeFault } from "../../../../components/shared/faults.ts";
import type { KeeperConfig } from "../../../../components/shared/agent/keeperConfig.ts";
import { acquireInstanceLock } from "../../shared/instanceLock.ts";
import type { LocalApi } from "../../shared/localApi/index.ts";
import { startLocalApi } from "../../shared/localApi/index.ts";
import { createLog } from "../../shared/log.ts";
import { createRegistry, metricsRoute } from "../../shared/metrics.ts";
import { createNotifier } from "../../shared/sdNotify.ts";
import { warnOfLab } from "../labSays.ts";
import { textOf } from "../processes/errors.ts";
import type { KeeperOptions } from "../run.ts";
import { agentClock } from "./agentClock.ts";
import { agentLoad } from "./agentLoad.ts";
import { Arbiter } from "./arbiter.ts";
import { arbiterMetrics } from "./arbiterMetrics.ts";
import { rereadConfig } from "./reload.ts";
import { arbiterRoutes } from "./routes.ts";
import { serviceTokens } from "./serviceTokens.ts";

/** How long the API's callers may take to be sent away, ms. */
const closeMs = 10_000;

type WithArbiter = KeeperConfig & { readonly arbiter: NonNullable<KeeperConfig["arbiter"]> };

function hasArbiter(config: KeeperConfig): config is WithArbiter {
  return config.arbiter !== undefined;
}

/** Runs the arbiter until SIGTERM or SIGINT; gives the exit status. */
export async function runArbiter(options: KeeperOptions): Promise<number> {
  const { config } = options;
  if (!hasArbiter(config)) throw new Error("the configuration has no arbiter section");
  const [clock, load1] = [agentClock(), agentLoad()];
  const log = createLog({ level: config.log.level, wallMs: () => clock.wallMs() });
  warnOfLab(log);
  // Signals that come while it starts are kept for when it runs.
  const asked = { stop: false, reload: false };
  let arbiter: Arbiter | undefined;
  const onStop = (): void => {
    asked.stop = true;
    arbiter?.stop();
  };
  const onReload = (): void => {
    asked.reload = true;
    arbiter?.wake();
  };
  process.on("SIGTERM", onStop).on("SIGINT", onStop).on("SIGHUP", onReload);
  const notifier = await createNotifier(process.env, (reason) => log.warning("service manager", { reason }));
  const lock = await acquireInstanceLock(config.paths.state);

  const registry = createRegistry({ side: "arbiter" });
  let api: LocalApi | undefined;
  try {
    const running = await Arbiter.open({
      config,
      clock,
      load1,
      log,
      program: process.argv[1] ?? "",
      onTurn: () => notifier.watchdog(),
    });
    arbiter = running;
    const metrics = arbiterMetrics(
      registry,
      () => running.status(),
      () => running.grants,
    );
    running.onDecision((decision) => {
      metrics.decided(decision.what);
      const { number, what, reason, ...more } = decision;
      log.info(`${what}: ${reason}`, { decision: number, ...more });
    });

    const serve = async (current: WithArbiter): Promise<void> => {
      const digests = await serviceTokens(current.arbiter.services, log);
      // Sockets are bound for as long as the agent runs: of the API, only the tokens change.
      if (api !== undefined) return api.setServiceTokens(digests);
      const { runtime } = current.paths;
      api = await startLocalApi({
        socket: path.join(runtime, "api.sock"),
        tokenFile: path.join(runtime, "api.token"),
        serviceTokenSha256: digests,
        ...(current.api.port === undefined ? {} : { tcp: { host: "127.0.0.1", port: current.api.port } as const }),
        routes: [...arbiterRoutes(running.routePorts()), ...(current.metrics.enabled ? [metricsRoute(registry)] : [])],
        maxConnections: current.api.maxConnections,
        onError: (error, where) => log.error("a call failed", { where, error }),
      });
    };

    let current = config;
    const between = async (): Promise<void> => {
      if (!asked.reload) return;
      asked.reload = false;
      const read = await rereadConfig(options.configFile, current, running.held());
      if (!read.ok || !hasArbiter(read.value)) {
        const faults = read.ok ? [] : read.faults.map(describeFault);
        log.error("the new configuration is refused, the running one kept", { file: options.configFile, faults });
        return;
      }
      current = read.value;
      await running.reconfigure(current);
      await serve(current);
      log.notice("the new configuration is in force", { file: options.configFile });
    };

    const leave = async (): Promise<void> => {
      notifier.stopping();
      notifier.extend(closeMs);
      await api?.close().catch((error: unknown) => log.warning("the API did not close", { fault: textOf(error) }));
      api = undefined;
      const stuck = await running.leave((ms) => notifier.extend(ms));
      if (stuck.length === 0) log.notice("the arbiter has left; nothing is held back");
      else log.error("the arbiter has left; these services could not be set free", { services: stuck });
    };

    try {
      running.assertLinkKey();
      await running.recover();
      await serve(current);
      running.openLink();
      notifier.ready();
      log.notice("the arbiter runs", { services: config.arbiter.services.length, pid: process.pid });
      if (asked.stop) running.stop();
      await running.run(between);
    } finally {
      // However it ends: what recovery held again, or the loop since, nobody else would set free.
      await leave();
    }
    return 0;
  } finally {
    await api?.close();
    await arbiter?.close();
    await lock.release();
    process.off("SIGTERM", onStop).off("SIGINT", onStop).off("SIGHUP", onReload);
  }
}
