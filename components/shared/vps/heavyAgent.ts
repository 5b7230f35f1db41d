/** A heavy agent as its unit needs it: what may be set for one agent, within which bounds, and what is wrong with it. */
import { checked, checkForm, checkWhole, dnsLabel, fault } from "../check.ts";
import { isPlainPath, isPlainText } from "./unitText.ts";
import type { Checked, Fault } from "../faults.ts";

/** Folders and files of a heavy agent's server; `%i` stands for the agent's name. */
export const heavyAgentPaths = {
  /** The agent's own sources, root's; its launcher is `run`, the working directory is the folder. */
  sources: "/opt/heavy-agent/%i",
  /** Environment of the agent, read by systemd before it becomes the agent's user; need not exist. */
  environment: "/etc/heavy-agent/%i.env",
  /** Where the agent may write, and its home. */
  state: "/var/lib/heavy-agent/%i",
  /** A resident agent's socket is here, and goes with it. */
  runtime: "/run/heavy-agent/%i",
  /** A job's payload and run id, written before each run and left alone by its retries. Not the agent's to write. */
  run: "/var/lib/heavy-agent-run/%i/run.env",
  units: "/etc/systemd/system",
} as const;

/** Share of its server's memory that agents may take, percent (seed: 20 % are left to the system and SSH). */
export const memoryPercent = 80;
/** Share of its server's whole CPU time that agents may take, percent. */
export const cpuPercent = 90;
/** Threads and processes of one agent. Ours: room for a browser with many pages, not for one that forks without end. */
export const tasksMax = 1024;

/** How an agent gets its work. */
export type HeavyAgentMode =
  | {
      /** Default. Each run is one start of the unit, by a signal; the unit is not enabled. */
      readonly mode?: "job" | undefined;
      /**
       * Whether a run that was interrupted may be done again under the same id: only then does systemd start it again.
       * Default false.
       */
      readonly idempotent?: boolean | undefined;
    }
  | {
      /** The unit is enabled, stays, and takes payloads on the Unix socket that `HEAVY_AGENT_SOCKET` names. */
      readonly mode: "resident";
      readonly idempotent?: undefined;
    };

/** Limits and freedoms of one agent; what is not given is the template's. */
export interface HeavyAgentOverrides {
  /** Where the kernel kills, MiB. Default, and most: 80 % of the server. */
  readonly memoryMaxMiB?: number | undefined;
  /** Where the kernel slows the agent and takes its caches back, MiB. Default: nowhere, the seed wants the kill. */
  readonly memoryHighMiB?: number | undefined;
  /** Share of all CPUs of the server together, percent. Default, and most: 90. */
  readonly cpuQuotaPercentOfMachine?: number | undefined;
  /** Default 1024. */
  readonly tasksMax?: number | undefined;
  /** Longest that one start of a job may take, s, up to a week. Default: no limit but its server's time to live. */
  readonly runtimeMaxSec?: number | undefined;
  /** Environment file to read in place of {@link heavyAgentPaths}' one; the agent does not start without it. */
  readonly environmentFile?: string | undefined;
  /** Program and arguments, each taken literally. Default: the launcher `run` in the sources. */
  readonly exec?: readonly string[] | undefined;
  /** Folders below /srv or /mnt that the agent may write, beside its state; it does not start without them. */
  readonly readWritePaths?: readonly string[] | undefined;
  /** Whether it may speak with the server's Docker. Default false. */
  readonly docker?: boolean | undefined;
  /** Whether a Chromium may build its own sandbox: it needs namespaces that other agents do not get. Default false. */
  readonly browserSandbox?: boolean | undefined;
}

export type HeavyAgentUnit = HeavyAgentMode &
  HeavyAgentOverrides & {
    /** Name of the instance: a DNS label, so that nothing in it is escaped in paths. */
    readonly name: string;
    readonly server: { readonly vcpus: number; readonly ramMiB: number };
  };

/** What agents may take of a server's memory, MiB. */
function memoryOf(ramMiB: number): number {
  return Math.floor((ramMiB * memoryPercent) / 100);
}

function checkMemory(agent: HeavyAgentUnit): Fault[] {
  const { memoryMaxMiB, memoryHighMiB } = agent;
  const most = memoryOf(agent.server.ramMiB);
  const faults: Fault[] = [];
  if (memoryMaxMiB !== undefined) {
    const fix = `The rest is the system's: ${String(memoryPercent)} % of the server is the most; take a larger one.`;
    faults.push(...checkWhole("memoryMaxMiB", memoryMaxMiB, 64, most, "MiB", fix));
  }
  if (memoryHighMiB !== undefined) {
    const fix = "It must come before memoryMaxMiB, or it does nothing; leave it away to have none.";
    faults.push(...checkWhole("memoryHighMiB", memoryHighMiB, 64, (memoryMaxMiB ?? most) - 1, "MiB", fix));
  }
  return faults;
}

function checkExec(exec: readonly string[]): Fault[] {
  const [program = "", ...rest] = exec;
  const faults: Fault[] = [];
  if (!isPlainPath(program)) {
    const fix = "Write the program's full path; what needs a shell goes into a script of the agent's sources.";
    faults.push(fault("exec[0]", program, "an absolute path of letters, digits and ._@+-", fix));
  }
  rest.forEach((word, index) => {
    if (word.length <= 4096 && isPlainText(word)) return;
    const limit = "up to 4096 characters, none of them a control character";
    faults.push(fault(`exec[${String(index + 1)}]`, word, limit, "Put it into a file of the agent's sources."));
  });
  if (exec.length > 64) faults.push(fault("exec", exec, "up to 64 words", "Put them into a file."));
  return faults;
}

function checkPaths(agent: HeavyAgentUnit): Fault[] {
  const { environmentFile, readWritePaths = [] } = agent;
  const path = "of letters, digits and ._@+-, without . and ..";
  return [
    ...(environmentFile === undefined || isPlainPath(environmentFile)
      ? []
      : [fault("environmentFile", environmentFile, `an absolute path ${path}`, "Move the file.")]),
    ...readWritePaths.flatMap((folder, index) =>
      isPlainPath(folder) && /^\/(?:srv|mnt)\//.test(folder)
        ? []
        : [
            fault(
              `readWritePaths[${String(index)}]`,
              folder,
              `a folder below /srv or /mnt, ${path}`,
              `Use one of those, or the agent's own ${heavyAgentPaths.state}.`,
            ),
          ],
    ),
  ];
}

/** Everything that is wrong with an agent's unit. */
export function checkHeavyAgentUnit(agent: HeavyAgentUnit): Checked<HeavyAgentUnit> {
  const { server, cpuQuotaPercentOfMachine, mode, idempotent } = agent;
  const lookUp = "Give what the server really has.";
  const faults: Fault[] = [
    ...checkForm("name", agent.name, dnsLabel, "a DNS label: a-z, 0-9 and -, 1 to 63 characters", "Rename the agent."),
    ...checkWhole("server.vcpus", server.vcpus, 1, 4096, "", lookUp),
    ...checkWhole("server.ramMiB", server.ramMiB, 256, 1024 ** 3, "MiB", lookUp),
    ...checkMemory(agent),
    ...checkPaths(agent),
  ];
  if (cpuQuotaPercentOfMachine !== undefined) {
    const fix = "It is a share of all CPUs together; the rest is the system's.";
    faults.push(...checkWhole("cpuQuotaPercentOfMachine", cpuQuotaPercentOfMachine, 1, cpuPercent, "percent", fix));
  }
  if (agent.tasksMax !== undefined) {
    const fix = "A program that needs more runs away.";
    faults.push(...checkWhole("tasksMax", agent.tasksMax, 16, 16384, "", fix));
  }
  if (agent.runtimeMaxSec !== undefined) {
    const fix = "Leave it away to have no limit of its own.";
    faults.push(...checkWhole("runtimeMaxSec", agent.runtimeMaxSec, 1, 604_800, "s", fix));
    if (mode === "resident")
      faults.push(
        fault("runtimeMaxSec", agent.runtimeMaxSec, "for jobs only", "Leave it away: the runner's answerSec."),
      );
  }
  if (agent.exec !== undefined) faults.push(...checkExec(agent.exec));
  if (mode !== undefined && mode !== "job" && mode !== "resident")
    faults.push(fault("mode", mode, "job or resident", "Choose one of them."));
  if (mode === "resident" && idempotent !== undefined)
    faults.push(fault("idempotent", idempotent, "for jobs only", "Leave it away: a resident agent has no runs."));
  return checked(faults, agent);
}
