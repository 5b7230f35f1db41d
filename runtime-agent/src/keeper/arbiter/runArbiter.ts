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
import type { KeeperOptions } from "../run.ts";
import { agentClock } from "./agentClock.ts";
import { Arbiter } from "./arbiter.ts";
import { arbiterMetrics } from "./arbiterMetrics.ts";
import { rereadConfig } from "./reload.ts";
import { arbiterRoutes } from "./routes.ts";
import { serviceTokens } from "./serviceTokens.ts";

/** How long leaving may take, ms: services are thawed and their memory is moved back to the card. */
const leaveMs = 20_000;

type WithArbiter = KeeperConfig & { readonly arbiter: NonNullable<KeeperConfig["arbiter"]> };

function hasArbiter(config: KeeperConfig): config is WithArbiter {
  return config.arbiter !== undefined;
}

/** Runs the arbiter until SIGTERM or SIGINT; gives the exit status. */
export async function runArbiter(options: KeeperOptions): Promise<number> {
  const { config } = options;
  if (!hasArbiter(config)) throw new Error("the configuration has no arbiter section");
  const clock = agentClock();
  const log = createLog({ level: config.log.level, wallMs: () => clock.wallMs() });
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
      const read = await rereadConfig(options.configFile, current);
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

    await running.recover();
    await serve(current);
    await running.openLink();
    notifier.ready();
    log.notice("the arbiter runs", { services: config.arbiter.services.length, pid: process.pid });
    if (asked.stop) running.stop();
    await running.run(between);
    notifier.stopping();
    notifier.extend(leaveMs);
    await api?.close();
    api = undefined;
    await running.leave();
    log.notice("the arbiter has left; nothing is held back");
    return 0;
  } finally {
    await api?.close();
    await arbiter?.close();
    await lock.release();
    process.off("SIGTERM", onStop).off("SIGINT", onStop).off("SIGHUP", onReload);
  }
}
