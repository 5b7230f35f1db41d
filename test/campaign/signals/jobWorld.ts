/** A job agent's unit in files and shell scripts, on a server that may be started anew in the middle of anything. */
import { readdirSync, readlinkSync } from "node:fs";
import { open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fakeSystemd } from "../../support/fakeSystemd.ts";
import type { Begins } from "./begins.ts";

const agent = `
echo "$HEAVY_AGENT_RUN_ID $(date +%s%3N)" >>begun
read -r payload <"$HEAVY_AGENT_PAYLOAD"
case "$payload" in *'"fails":true'*) exit 3 ;; esac
printf '{"did":true}' >"$HEAVY_AGENT_RESULT"
`;
/** How often it is looked for what the agent wrote, ms. */
const lookMs = 50;

export interface JobWorld {
  /** File that names the stand-ins for systemd's programs to `runnerChild.ts`. */
  readonly programsFile: string;
  /** The server is started anew: what ran is gone, and systemd knows nothing. The runner is dead already. */
  reboot(): Promise<void>;
  close(): Promise<void>;
}

/** Processes of a folder: those of the unit have it as their working directory, and nobody else has. */
function processesIn(folder: string): number[] {
  return readdirSync("/proc").flatMap((name) => {
    try {
      return /^\d+$/.test(name) && readlinkSync(`/proc/${name}/cwd`) === folder ? [Number(name)] : [];
    } catch {
      return [];
    }
  });
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has just ended.
  }
}

/** @param run folder of the runs' files */
export async function openJobWorld(folder: string, run: string, begins: Begins): Promise<JobWorld> {
  const { systemctl, journalctl } = await fakeSystemd(folder, run, agent);
  const programsFile = join(folder, "programs.json");
  let boots = 0;
  const boot = (): Promise<void> =>
    writeFile(programsFile, JSON.stringify({ systemctl, journalctl, boot: `boot-${String((boots += 1))}` }));
  await boot();
  const begun = await open(join(folder, "begun"), "a+", 0o600);
  const buffer = Buffer.alloc(64 * 1024);
  let position = 0;
  let rest = "";
  let closed = false;

  async function look(): Promise<void> {
    const { bytesRead } = await begun.read(buffer, 0, buffer.length, position);
    position += bytesRead;
    const lines = (rest + buffer.toString("latin1", 0, bytesRead)).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const [runId = "", atMs] = line.split(" ");
      begins.tell(runId, Number(atMs));
    }
  }
  const looking = (async () => {
    while (!closed) {
      await look();
      await sleep(lookMs);
    }
    await look();
    await begun.close();
  })();

  async function killAll(): Promise<void> {
    // Twice nobody: who was just being started has come to its working directory by then.
    for (let empty = 0; empty < 2; await sleep(50)) {
      const found = processesIn(folder);
      found.forEach(kill);
      empty = found.length === 0 ? empty + 1 : 0;
    }
  }

  return {
    programsFile,
    async reboot() {
      await killAll();
      await writeFile(join(folder, "state"), "- inactive success 0 0\n");
      await boot();
    },
    async close() {
      await killAll();
      closed = true;
      await looking;
    },
  };
}
