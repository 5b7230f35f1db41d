import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { KeeperApi } from "../../lab/keeper/api.ts";
import { type Identity, identityOf, isAlive } from "../../lab/keeper/folder.ts";
import { projectRoot } from "../setup/paths.ts";

/** The agent's program; it runs as a process and is never imported. */
export const agentProgram = join(projectRoot, "runtime-agent", "src", "main.ts");

const readyWithinMs = 20_000;
const graceMs = 8000;

export interface AgentStart {
  /** The role as its first arguments say it, for example `keeper --side host`. */
  readonly role: readonly string[];
  readonly config: string;
  /** Folder of its socket and token. */
  readonly runtime: string;
  /** File for what it writes; made anew. */
  readonly output: string;
  readonly env: Readonly<Record<string, string>>;
  /** Told of the process as soon as there is one. */
  readonly onSpawn: (identity: Identity) => void;
}

/**
 * Starts one role of the agent and waits until it is well. It has a session of its own: Ctrl-C on the terminal reaches
 * this command alone, which then ends it by its pid.
 * @returns the process, or why there is none
 */
export async function startAgent(start: AgentStart): Promise<Identity | { readonly fault: string }> {
  rmSync(start.output, { force: true });
  const output = openSync(start.output, "wx", 0o600);
  const args = [agentProgram, ...start.role, "--config", start.config];
  const env = { ...process.env, ...start.env };
  const child = spawn(process.execPath, args, { detached: true, stdio: ["ignore", output, output], env });
  closeSync(output);
  let ended: string | undefined;
  child.once("error", (error) => (ended = error.message));
  child.once("exit", (code, signal) => (ended ??= `it ended with ${String(code ?? signal)}`));
  child.unref();
  const identity = child.pid === undefined ? undefined : identityOf(child.pid);
  if (identity !== undefined) start.onSpawn(identity);
  for (const giveUp = performance.now() + readyWithinMs; performance.now() < giveUp; await sleep(25)) {
    if (ended !== undefined) return { fault: `${ended}: ${lastLine(start.output)}` };
    const answer = await KeeperApi.admin(start.runtime)
      ?.get("/health")
      .catch(() => undefined);
    if (answer?.status === 200 && identity !== undefined) return identity;
  }
  if (identity !== undefined) await endProcess(identity);
  return { fault: `it does not answer: ${lastLine(start.output)}` };
}

function lastLine(file: string): string {
  const [last = ""] = readFileSync(file, "utf8").trim().split("\n").slice(-1);
  return last === "" ? `nothing in ${file}` : `${last.slice(0, 300)} (${file})`;
}

/** Stops exactly that process: in good order, or by force after a while. */
export async function endProcess(identity: Identity): Promise<void> {
  const signal = (name: NodeJS.Signals): void => {
    try {
      if (isAlive(identity)) process.kill(identity.pid, name);
    } catch {
      // It ended between the look and the signal.
    }
  };
  signal("SIGTERM");
  for (const giveUp = performance.now() + graceMs; isAlive(identity) && performance.now() < giveUp;) await sleep(20);
  signal("SIGKILL");
  while (isAlive(identity)) await sleep(10);
}
