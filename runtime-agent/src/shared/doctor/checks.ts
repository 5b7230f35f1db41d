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

/** Every check for a configuration file; one that cannot be read leaves those of the release. */
export async function roleChecks(file: string): Promise<readonly DoctorCheck[]> {
  const loaded = await loadRoleConfig(file);
  const configCheck: DoctorCheck = {
    name: "configuration",
    run: () =>
      Promise.resolve(
        loaded.ok
          ? ok(`${file} (${loaded.value.role === "keeper" ? loaded.value.config.side : loaded.value.role})`)
          : loaded.faults.map(({ property, value, limit, fix }) =>
              failed(`${property} ${value === undefined ? "is missing" : `is ${value}`}; allowed: ${limit}`, fix),
            ),
      ),
  };
  if (!loaded.ok) return [...releaseChecks(), configCheck];
  const { paths } = loaded.value.config;
  return [
    ...releaseChecks(),
    configCheck,
    folderCheck("state", paths.state),
    folderCheck("runtime", paths.runtime),
    ...(await ownChecks(loaded.value)),
    runningCheck(path.join(paths.runtime, "api.sock")),
  ];
}
