/** The checks of `hive-agent doctor` for the runner. */
import path from "node:path";
import type { RunnerConfig } from "../../../../components/shared/agent/runnerConfig.ts";
import type { DoctorCheck } from "./doctor.ts";
import { failed } from "./doctor.ts";
import { presentCheck, reachableCheck, secretFileCheck } from "./machineChecks.ts";

export function runnerChecks({ agent, sentinel, signatures }: RunnerConfig): readonly DoctorCheck[] {
  const launcher = path.join(agent.sources, "run");
  return [
    secretFileCheck("registration key", sentinel.keyFile),
    ...signatures.secretFiles.map((file) => secretFileCheck("signing secret", file)),
    reachableCheck("Sentinel", sentinel.address),
    presentCheck("agent", launcher, failed("no such file", `Put the agent's sources below ${agent.sources}.`)),
  ];
}
