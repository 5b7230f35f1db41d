/** The runners of the campaign: real processes, each with an agent that outlives it. */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { launcherEnvironment, launcherFlags } from "../../../runtime-agent/build/tarball.ts";
import { Daemon, type AgentProgram } from "../../support/arbiterDaemon.ts";
import { freePort } from "../../../lab/host/freePort.ts";
import { residentAgent, type Begins } from "./begins.ts";
import { openJobWorld } from "./jobWorld.ts";

export interface Member {
  readonly name: string;
  readonly mode: "job" | "resident";
  readonly idempotent: boolean;
  /** Which share of the signals is its. Jobs are few: a unit is looked at every 50 ms, and each look is a program. */
  readonly weight: number;
}

/** A Sentinel hands one signal after the other to a runner: how many are on their way together is their number. */
const residents = ["anna", "bert", "carl", "dora", "emil", "fay", "gus", "hope", "ivo", "june", "karl", "lena"];
const resident = (name: string, index: number): Member => {
  return { name, mode: "resident", idempotent: index % 2 === 1, weight: 8 };
};

/** The first few are of each kind. */
export const members: readonly Member[] = [
  ...residents.slice(0, 2).map(resident),
  { name: "jo", mode: "job", idempotent: true, weight: 1.5 },
  { name: "jil", mode: "job", idempotent: false, weight: 1.5 },
  ...residents.slice(2).map(resident),
];

export interface Runner {
  readonly journal: string;
  /** Folder of its local API. */
  readonly runtime: string;
  /** Where it listens for its Sentinel. */
  readonly port: number;
  /** Starts its process, armed with these failpoints. */
  launch(failpoints: string): Daemon;
  /** While it is dead, its server is started anew; nothing where its agent cannot be. */
  reboot(): Promise<void>;
  close(): Promise<void>;
}

/** `systemctl show` of a resident agent's unit: it is there. */
const active =
  "LoadState=loaded\\nActiveState=active\\nResult=success\\nInvocationID=0123456789abcdef0123456789abcdef\\n" +
  "ExecMainCode=0\\nExecMainStatus=0\\nNRestarts=0\\n";

/** One listener for all of them: they go with this process. */
const running = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** @param key as the Sentinel minted it, 64 hex digits */
export async function openRunner(options: {
  readonly folder: string;
  readonly member: Member;
  readonly key: string;
  readonly sentinelPort: number;
  readonly program: AgentProgram;
  /** See `buildJobRunner`. */
  readonly jobRunner?: string;
  readonly begins: Begins;
  readonly broken: (what: string) => void;
}): Promise<Runner> {
  const { folder, member, key, sentinelPort, program, begins } = options;
  const at = (name: string): string => join(folder, name);
  await mkdir(at("bin"), { recursive: true });
  await mkdir(at("agent"));
  await mkdir(at("unit"));
  const port = await freePort();
  const address = `127.0.0.1:${String(port)}`;
  const config = {
    ...{ version: 1, log: { level: "warning" }, metrics: { enabled: false } },
    paths: { state: at("state"), runtime: at("run") },
    sentinel: { address: `127.0.0.1:${String(sentinelPort)}`, keyFile: at("key") },
    ...{ listen: address, address },
    agent: {
      ...{ name: member.name, mode: member.mode, idempotent: member.idempotent, answerSec: 60 },
      ...{ socket: at("agent.sock"), state: at("agent"), run: at("jobs"), cgroup: at("cgroup") },
    },
  };
  await writeFile(at("key"), key, { mode: 0o600 });
  await writeFile(at("config.json"), JSON.stringify(config), { mode: 0o600 });
  const start = (args: readonly string[], failpoints: string): Daemon => {
    const env = {
      ...process.env,
      ...launcherEnvironment,
      PATH: `${at("bin")}:${process.env.PATH ?? ""}`,
      HIVE_FAILPOINTS: failpoints,
    };
    const child = spawn(process.execPath, [...launcherFlags, ...args], {
      env,
      stdio: ["ignore", "ignore", "pipe"],
    });
    running.add(child);
    child.once("close", () => running.delete(child));
    return new Daemon(child, at("run"));
  };
  const known = { journal: at("state/journal"), runtime: at("run"), port };
  if (member.mode === "job") {
    const world = await openJobWorld(at("unit"), at("jobs"), begins);
    const args = [options.jobRunner ?? "", at("config.json"), world.programsFile];
    return { ...known, launch: (failpoints) => start(args, failpoints), reboot: world.reboot, close: world.close };
  }
  await writeFile(at("bin/systemctl"), `#!/bin/sh\nprintf '${active}'\n`, { mode: 0o755 });
  await symlink("/bin/true", at("bin/journalctl"));
  const agent = await residentAgent(at("agent.sock"), begins, options.broken);
  return {
    ...known,
    launch: (failpoints) => start([program.file, "runner", "--config", at("config.json")], failpoints),
    reboot: () => Promise.resolve(),
    close: () => new Promise((resolve) => agent.close(() => resolve())),
  };
}
