/** The checks of `hive-agent doctor` for whatever role a configuration file is for. */
import path from "node:path";
import type { RoleConfig } from "../config.ts";
import { loadRoleConfig } from "../config.ts";
import type { DoctorCheck } from "./doctor.ts";
import { failed, ok } from "./doctor.ts";
import { folderCheck, releaseChecks, runningCheck } from "./machineChecks.ts";

/** What a role's configuration asks of this machine, beside what every role's does. */
async function ownChecks(loaded: RoleConfig): Promise<readonly DoctorCheck[]> {
  switch (loaded.role) {
    case "keeper":
      return (await import("./keeperChecks.ts")).keeperChecks(loaded.config);
    case "sentinel":
      return (await import("./sentinelChecks.ts")).sentinelChecks(loaded.config);
    case "runner":
      return (await import("./runnerChecks.ts")).runnerChecks(loaded.config);
  }
}

/** The checks of one agent, by its configuration file; one that cannot be read has that check alone. */
async function agentChecks(file: string): Promise<{ readonly part: string; readonly checks: readonly DoctorCheck[] }> {
  const loaded = await loadRoleConfig(file);
  const part = loaded.ok ? partOf(loaded.value) : file;
  const configCheck: DoctorCheck = {
    name: "configuration",
    run: () =>
      Promise.resolve(
        loaded.ok
          ? ok(`${file} (${part})`)
          : loaded.faults.map(({ property, value, limit, fix }) =>
              failed(`${property} ${value === undefined ? "is missing" : `is ${value}`}; allowed: ${limit}`, fix),
            ),
      ),
  };
  if (!loaded.ok) return { part, checks: [configCheck] };
  const { paths } = loaded.value.config;
  const checks = [
    configCheck,
    folderCheck("state", paths.state),
    folderCheck("runtime", paths.runtime),
    ...(await ownChecks(loaded.value)),
    runningCheck(path.join(paths.runtime, "api.sock")),
  ];
  return { part, checks };
}

function partOf({ role, config }: RoleConfig): string {
  return role === "keeper" ? config.side : role;
}

/** Every check for the agents of this machine, by their configuration files; of two, each check says whose it is. */
export async function machineChecks(files: readonly string[]): Promise<readonly DoctorCheck[]> {
  const agents = await Promise.all(files.map(agentChecks));
  const named = agents.flatMap(({ part, checks }) =>
    agents.length === 1 ? checks : checks.map((check) => ({ ...check, name: `${part}: ${check.name}` })),
  );
  return [...releaseChecks(), ...named];
}
