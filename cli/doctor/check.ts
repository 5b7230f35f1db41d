import type { Fault } from "../../components/shared/faults.ts";

/** One thing that was looked at. */
export interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly found: string;
  /** What to do, as a command to copy where there is one. */
  readonly fix?: string | undefined;
}

/** A fault of the host as a check that failed. */
export const checkOfFault = (fault: Fault): Check => ({
  name: `host: ${fault.property}`,
  ok: false,
  found: `${fault.value ?? "missing"}; needed: ${fault.limit}`,
  fix: fault.fix,
});

/** Whether this Node can run the command line and Pulumi's SDK (Node ≥ 22.18 strips types by itself). Pure. */
export function nodeCheck(version: string): Check {
  const [major = 0, minor = 0] = version.replace(/^v/, "").split(".").map(Number);
  const ok = major > 22 || (major === 22 && minor >= 18);
  return {
    name: "node",
    ok,
    found: version,
    fix: ok ? undefined : "npm ci (it brings a current Node), then npm run hive -- doctor",
  };
}
