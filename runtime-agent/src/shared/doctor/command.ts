import { renderFindings, runChecks } from "./doctor.ts";
import { roleChecks } from "./checks.ts";

/** `hive-agent doctor`: 0 when nothing failed, else 1. */
export async function runDoctor(options: { readonly config: string; readonly json: boolean }): Promise<number> {
  const findings = await runChecks(await roleChecks(options.config));
  process.stdout.write(options.json ? `${JSON.stringify({ findings }, undefined, 2)}\n` : renderFindings(findings));
  return findings.some((finding) => finding.state === "failed") ? 1 : 0;
}
