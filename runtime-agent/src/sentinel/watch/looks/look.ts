/** The look that each kind of watchdog takes. */
import { readFile } from "node:fs/promises";
import type { WatchdogConfig } from "../../../../../components/shared/agent/sentinelWatchConfig.ts";
import type { Looker } from "../watchdogs.ts";
import { lookHttp } from "./http.ts";
import { lookPing } from "./ping.ts";
import { lookTcp } from "./tcp.ts";
import { lookTls } from "./tls.ts";

/** Reads the authorities that watchdogs name; throws when one cannot be read. */
export async function openLooks(
  configs: readonly WatchdogConfig[],
  wallMs: () => number,
  stop: AbortSignal,
): Promise<Looker> {
  const authorities = new Map<string, string>();
  for (const config of configs)
    if ((config.type === "http" || config.type === "tls") && config.caFile !== undefined)
      authorities.set(config.name, await readFile(config.caFile, "utf8"));
  return (config) => {
    const deadlineMs = config.deadlineSec * 1000;
    const ca = authorities.get(config.name);
    switch (config.type) {
      case "http":
        return lookHttp({ url: config.url, status: config.status, text: config.text, ca, deadlineMs, stop });
      case "tcp":
        return lookTcp({ ...config.address, deadlineMs, stop });
      case "ping":
        return lookPing({ host: config.host, deadlineMs, stop });
      case "tls":
        return lookTls({
          ...config.address,
          serverName: config.serverName,
          days: config.days,
          ca,
          deadlineMs,
          stop,
          wallMs,
        });
    }
  };
}
