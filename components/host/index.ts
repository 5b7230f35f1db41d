/** The runtime agent on the machines of the estate. */
export { HiveAgent, type HiveAgentArgs } from "./hiveAgent.ts";
export { Keeper, type KeeperArgs, type KeeperSecrets } from "./keeper.ts";
export { agentSecretFile } from "../shared/agent/agentPlan.ts";
