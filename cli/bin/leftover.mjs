// Long children (npm, go) outlive a parent that is killed. Their process group is written down when they start, so
// that the next run ends what the killed one left before it starts its own.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { processStart } from "./lock.mjs";

/** Notes that process group `pid` works for us; call `endLeftover` with the same file when it has ended. */
export function noteChild(file, pid) {
  writeFileSync(file, JSON.stringify({ pid, started: processStart(pid) }), { mode: 0o600 });
}

/** Ends the noted process group if it still runs, and forgets it. Returns its pid if it did. */
export function endLeftover(file) {
  let child;
  try {
    child = JSON.parse(readFileSync(file, "utf8"));
  } catch {
    rmSync(file, { force: true });
    return undefined;
  }
  const runs =
    Number.isInteger(child.pid) && child.pid > 1 && child.started && processStart(child.pid) === child.started;
  if (runs) {
    try {
      process.kill(-child.pid, "SIGKILL");
    } catch {
      // It ended by itself in between.
    }
  }
  rmSync(file, { force: true });
  return runs ? child.pid : undefined;
}
