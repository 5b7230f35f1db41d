// A lock between processes of one machine that a SIGKILL cannot leave shut.
//
// The folder holds numbered files; the highest number is the current one and names its holder. Taking the lock is
// creating the next number, which the file system grants to one process only; releasing it rewrites one's own number
// as released. The highest number is never deleted, so a slow contender cannot take a lock somebody else holds.
import { execFileSync } from "node:child_process";
import { linkSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** When process `pid` started, in a form that no later process with the same pid shares; undefined when there is none. */
export function processStart(pid) {
  if (process.platform !== "linux") {
    try {
      return (
        execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], {
          env: { ...process.env, LC_ALL: "C" },
          encoding: "utf8",
        }).trim() || undefined
      );
    } catch {
      return undefined;
    }
  }
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field is the command in parentheses and may hold anything: count from its end.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (fields[0] === "Z" || fields[0] === "X") return undefined;
    return `${readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()}:${fields[19]}`;
  } catch {
    return undefined;
  }
}

/** True when the process that wrote this record still runs (or runs on another machine, which nobody here can judge). */
export function holderAlive(holder) {
  if (holder.host !== hostname()) return true;
  return processStart(holder.pid) === holder.started;
}

function generations(folder) {
  return readdirSync(folder)
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .sort((a, b) => b - a);
}

/** The current holder, or undefined when the lock is free. An unreadable record is one that nobody finished writing. */
export function currentHolder(folder) {
  let names;
  try {
    names = generations(folder);
  } catch {
    return undefined;
  }
  if (names[0] === undefined) return undefined;
  try {
    const holder = JSON.parse(readFileSync(join(folder, String(names[0])), "utf8"));
    return holder.released ? undefined : holder;
  } catch {
    return undefined;
  }
}

/**
 * Waits for the lock in `folder` and takes it. A holder that is dead loses it at once.
 * `onWait(holder)` is called once for each living holder waited for; `signal` gives up the waiting.
 * Returns the function that releases it.
 */
export async function acquireLock(folder, { onWait, signal, pollMs = 200 } = {}) {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const me = { pid: process.pid, started: processStart(process.pid), host: hostname() };
  const draft = join(folder, `draft.${me.pid}.${Math.random().toString(36).slice(2)}`);
  writeFileSync(draft, JSON.stringify(me), { mode: 0o600 });
  let told;
  try {
    for (;;) {
      signal?.throwIfAborted();
      const highest = generations(folder)[0] ?? 0;
      const holder = currentHolder(folder);
      if (holder && holderAlive(holder)) {
        if (told !== `${holder.pid} ${holder.started}`) onWait?.(holder);
        told = `${holder.pid} ${holder.started}`;
        await sleep(pollMs, undefined, signal ? { signal } : undefined);
        continue;
      }
      const mine = join(folder, String(highest + 1));
      try {
        linkSync(draft, mine);
      } catch (error) {
        if (error.code === "EEXIST") continue;
        throw error;
      }
      if (generations(folder)[0] !== highest + 1) {
        rmSync(mine, { force: true });
        continue;
      }
      for (const name of generations(folder)) if (name <= highest) rmSync(join(folder, String(name)), { force: true });
      return () => {
        const done = join(folder, `released.${me.pid}.${Math.random().toString(36).slice(2)}`);
        writeFileSync(done, JSON.stringify({ ...me, released: true }), { mode: 0o600 });
        renameSync(done, mine);
      };
    }
  } finally {
    rmSync(draft, { force: true });
  }
}
