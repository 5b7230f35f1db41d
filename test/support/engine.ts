import { accessSync, constants } from "node:fs";
import { homedir } from "node:os";
import { delimiter, dirname, join } from "node:path";

/** A Pulumi engine that tests may run. */
export interface EngineFound {
  /** Folder to put first on PATH. */
  readonly folder: string;
}

/** The engine: on PATH, then where the project's own set-up keeps it; or why a test must be skipped. */
export function findEngine(env: NodeJS.ProcessEnv = process.env): EngineFound | { readonly missing: string } {
  const cache = join(env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "hive");
  const candidates = [
    ...(env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== ""),
    join(cache, "bin"),
    join(homedir(), ".cache", "hive", "bin"),
  ].map((folder) => join(folder, "pulumi"));
  const found = candidates.find(isExecutable);
  return found === undefined
    ? { missing: `no pulumi engine on PATH or in ${cache}; \`npm test\` sets one up` }
    : { folder: dirname(found) };
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
