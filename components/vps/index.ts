/** Servers of seed 004: the Sentinel's, and one for each heavy agent, thrown away with it. */
export { HeavyAgent, type HeavyAgentArgs } from "./heavyAgent.ts";
export { readSources } from "./readSources.ts";
export { Sentinel, type SentinelArgs } from "./sentinel.ts";
export type { LightsailPlace, ProxmoxPlace, VpsPlace } from "./place.ts";
export { Vps, type VpsArgs } from "./vps.ts";
export { heavyAgentHostname } from "../shared/vps/heavyAgentPlan.ts";
export { entryPointOf, packSources } from "../shared/vps/pack.ts";
