// Condition…= and Assert…= about paths, as they hold now.
import { existsSync, readdirSync, statSync } from "node:fs";
import type { PathChecks } from "./settings.ts";

/** The first that does not hold, as systemd writes it; of those with `|` one that holds is enough. */
export function firstUnmet(all: readonly PathChecks[]): string | undefined {
  const checks = all.map((check) => ({ ...check, holds: holds(check.test, check.path) !== check.negated }));
  const triggers = checks.filter((check) => check.trigger);
  const bad =
    checks.find((check) => !check.trigger && !check.holds) ??
    (triggers.some((check) => check.holds) ? undefined : triggers[0]);
  return bad && `${bad.kind}${bad.test}=${bad.negated ? "!" : ""}${bad.path}`;
}

function holds(test: string, path: string): boolean {
  const info = existsSync(path) ? statSync(path) : undefined;
  if (info === undefined) return false;
  if (test === "PathIsDirectory") return info.isDirectory();
  if (test === "FileNotEmpty") return info.isFile() && info.size > 0;
  if (test === "FileIsExecutable") return info.isFile() && (info.mode & 0o111) !== 0;
  if (test === "DirectoryNotEmpty") return info.isDirectory() && readdirSync(path).length > 0;
  return true;
}
