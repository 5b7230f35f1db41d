/** The runner's and the Sentinel's part of an installation. Pure. */
import type { RolePlan } from "./agentPeers.ts";
import { agentPaths } from "./agentPlace.ts";
import { movedFault } from "./keeperInstall.ts";
import type { RunnerConfig } from "./runnerConfig.ts";
import type { SentinelConfig } from "./sentinelConfig.ts";
import { renderRunnerUnit, renderSentinelUnit } from "./throwawayUnits.ts";

/** Every text of a configuration with its place: what lies below the secrets' folder can only be a secret's file. */
function textsIn(value: unknown, path: string): [string, string][] {
  if (Array.isArray(value)) return value.flatMap((item, index) => textsIn(item, `${path}[${String(index)}]`));
  if (typeof value !== "object" || value === null) return typeof value === "string" ? [[path, value]] : [];
  return Object.entries(value).flatMap(([key, inner]) => textsIn(inner, `${path}.${key}`));
}

function common(role: "runner" | "sentinel", config: RunnerConfig | SentinelConfig): Omit<RolePlan, "peers" | "unit"> {
  const own = { state: `${agentPaths.state}/${role}`, runtime: `${agentPaths.runtime}/${role}` };
  const moved = (["state", "runtime"] as const).filter((key) => config.paths[key] !== own[key]);
  return {
    secretFiles: textsIn(config, "config"),
    before: moved.map((key) => movedFault(key, config.paths[key], own[key])),
    after: [],
  };
}

/** The runner's part, from a configuration that is valid in itself: its one peer is the Sentinel, both ways. */
export function planRunner(config: RunnerConfig): RolePlan {
  return {
    ...common("runner", config),
    peers: [{ property: "config.sentinel.address", host: config.sentinel.address.host }],
    unit: (network) => renderRunnerUnit({ agent: config.agent.name, network }),
  };
}

/** The Sentinel's part: agents, watched services and channels are anywhere, so that its unit names no addresses. */
export function planSentinel(config: SentinelConfig): RolePlan {
  return { ...common("sentinel", config), peers: [], unit: renderSentinelUnit };
}
