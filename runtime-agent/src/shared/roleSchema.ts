/** JSON Schema of each role's configuration. */
import { roles } from "./config.ts";

/** Whatever has a configuration, as `hive-agent schema --role` names it. */
export const configured = [...roles, "nerve-agent"] as const;

/** Draft 2020-12, for editors. */
export async function roleSchema(role: (typeof configured)[number]): Promise<Record<string, unknown>> {
  switch (role) {
    case "keeper":
      return (await import("../../../components/shared/agent/keeperConfig.ts")).keeperJsonSchema();
    case "sentinel":
      return (await import("../../../components/shared/agent/sentinelConfig.ts")).sentinelJsonSchema();
    case "runner":
      return (await import("../../../components/shared/agent/runnerConfig.ts")).runnerJsonSchema();
    case "nerve-agent":
      return (await import("../../../components/shared/nerve/agentConfig.ts")).nerveAgentJsonSchema();
  }
}
