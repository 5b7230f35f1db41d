// The tier `check`: each habit of the project is one counted test. The tools run two at a time, the heavy ones first.
import { join } from "node:path";
import { run } from "../../../cli/setup/process.ts";
import type { Outcome } from "../outcome.ts";
import { importFaults, lengthFaults } from "./imports.ts";
import { licenceFaults } from "./licences.ts";
import { goSumFaults, lockfileFaults } from "./locks.ts";
import { typesCommand } from "./types.ts";

interface Check {
  readonly title: string;
  /** What is wrong, each with its fix; empty when all is well. */
  readonly faults: (root: string) => Promise<readonly string[]>;
}

/** A tool of node_modules, run with our own Node; what it prints is the fault. */
function tool(title: string, script: string, ...args: string[]): Check {
  return {
    title,
    faults: async (root) => {
      const result = await run(process.execPath, [join(root, "node_modules", script), ...args], {
        cwd: root,
        env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: "0" },
        timeoutMs: 240_000,
      });
      if (result.status === 0) return [];
      const text = `${result.stdout}\n${result.stderr}`.trim();
      return [result.fault ? `${script}: ${result.fault}\n${text}` : text || `${script} ended with ${result.status}`];
    },
  };
}

const checks: readonly Check[] = [
  tool("lint (fix: npx eslint --fix .)", "eslint/bin/eslint.js", "--max-warnings", "0", "."),
  tool("types", ...typesCommand, "."),
  tool("format (fix: npx prettier --write .)", "prettier/bin/prettier.cjs", "--check", "--log-level", "warn", "."),
  tool("dead code", "knip/bin/knip.js", "--no-progress", "--no-config-hints"),
  { title: "imports go one way", faults: importFaults },
  { title: "files stay short", faults: lengthFaults },
  { title: "package-lock.json is whole and in step", faults: lockfileFaults },
  { title: "licences are permissive", faults: licenceFaults },
  { title: "go.sum pins every Go module", faults: goSumFaults },
];

const lanes = 2;

export async function runChecks(root: string, onOutcome: (outcome: Outcome) => void): Promise<void> {
  const waiting = [...checks];
  const lane = async (): Promise<void> => {
    for (let check = waiting.shift(); check; check = waiting.shift()) {
      const started = Date.now();
      const { title } = check;
      const faults = await check.faults(root).catch((error: unknown) => [String(error)]);
      const ms = Date.now() - started;
      if (faults.length === 0) onOutcome({ kind: "passed", title, ms });
      else onOutcome({ kind: "failed", title, ms, detail: faults.join("\n") });
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}
