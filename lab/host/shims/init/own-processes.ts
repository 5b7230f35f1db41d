// Which processes belong to a service. The real one asks its cgroup, which nobody can make without root; here a process
// belongs to the life of a service whose INVOCATION_ID it carries in its environment, and so do its descendants.
import { readdirSync, readFileSync } from "node:fs";

/** Process ids of one life of a service; zombies do not count. `roots` are known to belong to it. */
export function processesOf(invocation: string, roots: readonly number[]): number[] {
  const parents = new Map<number, number>();
  const found = new Set<number>(roots.filter((pid) => isAlive(pid)));
  const mark = `INVOCATION_ID=${invocation}`;
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    const stat = read(`/proc/${name}/stat`);
    const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (state === undefined || state === "Z" || state === "X" || state === "") continue;
    parents.set(pid, Number(parent));
    if (read(`/proc/${name}/environ`).split("\0").includes(mark)) found.add(pid);
  }
  // Descendants that threw their environment away; each round goes one generation down.
  for (let grown = true; grown;) {
    grown = false;
    for (const [pid, parent] of parents)
      if (found.has(parent) && !found.has(pid)) {
        found.add(pid);
        grown = true;
      }
  }
  return [...found].sort((a, b) => a - b);
}

function isAlive(pid: number): boolean {
  const stat = read(`/proc/${String(pid)}/stat`);
  const state = stat.slice(stat.lastIndexOf(")") + 2, stat.lastIndexOf(")") + 3);
  return state !== "" && state !== "Z" && state !== "X";
}

function read(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return ""; // it has gone meanwhile
  }
}
