/** A list of checks, each with what it found and how to repair it; one that hangs or throws is a finding, not an end. */
export type FindingState = "ok" | "warning" | "failed" | "skipped";

export interface Finding {
  readonly state: FindingState;
  /** What was found, in one line. */
  readonly found: string;
  /** What to do; always there when something failed. */
  readonly fix?: string;
}

export interface DoctorCheck {
  readonly name: string;
  run(): Promise<Finding | readonly Finding[]>;
}

export interface NamedFinding extends Finding {
  readonly check: string;
}

export function ok(found: string): Finding {
  return { state: "ok", found };
}

export function skipped(found: string): Finding {
  return { state: "skipped", found };
}

export function warning(found: string, fix: string): Finding {
  return { state: "warning", found, fix };
}

export function failed(found: string, fix: string): Finding {
  return { state: "failed", found, fix };
}

async function within(check: DoctorCheck, deadlineMs: number): Promise<readonly Finding[]> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Finding>((resolve) => {
    const found = `no answer within ${String(deadlineMs)} ms`;
    timer = setTimeout(() => resolve(failed(found, "Look for a hung device or file system.")), deadlineMs);
  });
  try {
    const found = await Promise.race([check.run(), late]);
    return "state" in found ? [found] : found;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return [failed(reason.split("\n", 1)[0] ?? "", "The check itself failed; its message says on what.")];
  } finally {
    clearTimeout(timer);
  }
}

/** Runs every check at once, each with its own deadline; findings keep the order of the checks. */
export async function runChecks(checks: readonly DoctorCheck[], deadlineMs = 5000): Promise<readonly NamedFinding[]> {
  const findings = await Promise.all(checks.map((check) => within(check, deadlineMs)));
  return findings.flatMap((list, index) => list.map((finding) => ({ check: checks[index]?.name ?? "", ...finding })));
}

const marks: Readonly<Record<FindingState, string>> = { ok: "ok  ", warning: "warn", failed: "FAIL", skipped: "skip" };

/** The findings for people. */
export function renderFindings(findings: readonly NamedFinding[]): string {
  const width = Math.max(0, ...findings.map((finding) => finding.check.length));
  const lines = findings.flatMap(({ check, state, found, fix }) => [
    `${marks[state]}  ${check.padEnd(width)}  ${found}`,
    ...(fix === undefined ? [] : [`${" ".repeat(width + 8)}→ ${fix}`]),
  ]);
  const count = (wanted: FindingState): number => findings.filter(({ state }) => state === wanted).length;
  const [faults, warnings] = [count("failed"), count("warning")];
  const told = warnings === 0 ? "" : ` ${String(warnings)} ${warnings === 1 ? "warning" : "warnings"}, see above.`;
  const last = faults === 0 ? "Nothing is in the way." : `${String(faults)} of ${String(findings.length)} failed.`;
  return [...lines, `${last}${told}`].map((line) => `${line}\n`).join("");
}
