/** JSON Schema of each role's configuration. */
import { roles, type Role } from "./config.ts";

export { roles };

/** Draft 2020-12, for editors. */
export async function roleSchema(role: Role): Promise<Record<string, unknown>> {
  switch (role) {
    case "keeper":
      return (await import("../../../components/shared/agent/keeperConfig.ts")).keeperJsonSchema();
    case "sentinel":
      return (await import("../../../components/shared/agent/sentinelConfig.ts")).sentinelJsonSchema();
    case "runner":
      return (await import("../../../components/shared/agent/runnerConfig.ts")).runnerJsonSchema();
  }
}
