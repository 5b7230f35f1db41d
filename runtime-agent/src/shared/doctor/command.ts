import { renderFindings, runChecks } from "./doctor.ts";
import { machineChecks } from "./checks.ts";

/** `hive-agent doctor`: 0 when nothing failed, else 1. */
export async function runDoctor(options: {
  /** Of every agent on this machine. */
  readonly configs: readonly string[];
  readonly json: boolean;
}): Promise<number> {
  const findings = await runChecks(await machineChecks(options.configs));
  process.stdout.write(options.json ? `${JSON.stringify({ findings }, undefined, 2)}\n` : renderFindings(findings));
  return findings.some((finding) => finding.state === "failed") ? 1 : 0;
}
