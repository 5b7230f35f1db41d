/** One life of an agent: made, asked by a signal, answered, destroyed; with something that goes wrong in some of them. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod";
import { projectRoot } from "../../../cli/setup/paths.ts";
import { runIsOver, type RunSeen } from "../../../cli/sentinel/answers.ts";
import { exchange } from "../../../cli/sentinel/line.ts";
import { heavyAgentPaths } from "../../../components/shared/vps/heavyAgent.ts";
import { killAll, leftovers } from "../../campaign/victims.ts";
import type { Release } from "../../../cli/agents/release.ts";
import type { Ground } from "./ground.ts";
import type { CycleSeen } from "./judge.ts";
import { type BareServer, bareServer, consoleOf, deleteServer } from "./server.ts";
import { runOn } from "./shell.ts";

/** What can be done to a life by calls. */
export const callFaults = ["api-500", "api-drop", "left-half-way", "runner-killed", "sentinel-killed", "cut"] as const;
/** What can be done to the command line. */
export const engineFaults = ["up-killed", "destroy-killed"] as const;
export type CallFault = (typeof callFaults)[number];
export type EngineFault = (typeof engineFaults)[number];

export interface Lived {
  readonly seen: CycleSeen;
  /** From the first call, or the start of `hive up`, to the result of the first run, ms. */
  readonly toResultMs: number;
}

/** Longest that a run's end is waited for, ms. */
const patienceMs = 180_000;

/** Does it until it goes well: a call that failed half-way is made again by whoever made it. */
async function insist<T>(what: string, work: () => Promise<T>): Promise<T> {
  let last: unknown;
  for (let tries = 0; tries < 8; tries += 1, await sleep(250 * tries)) {
    try {
      return await work();
    } catch (error) {
      last = error;
    }
  }
  throw new Error(`${what}: ${last instanceof Error ? last.message : String(last)}`);
}

interface Signalled {
  readonly runId: string;
  readonly run: RunSeen | undefined;
}

/** Asks for the run of a name under one key, again and again, and waits for its end. */
async function signalled(ground: Ground, name: string, onTaken: () => Promise<void>): Promise<Signalled> {
  const ask = async () => (await ground.sentinel()).signal(name, "only", { cycle: name });
  const { runId } = await insist("signal", ask);
  await onTaken();
  let run: RunSeen | undefined;
  for (const giveUp = Date.now() + patienceMs; Date.now() < giveUp; await sleep(50)) {
    run = await insist("run", async () => (await ground.sentinel()).run(runId));
    if (run === undefined || runIsOver(run.state)) break;
  }
  const again = await insist("signal again", ask);
  return { runId: again.runId === runId ? runId : `${runId} and ${again.runId}`, run };
}

const echoForm = z.object({ echo: z.object({ cycle: z.string() }) });

async function completionsOf(ground: Ground, name: string, vmId: number): Promise<readonly string[]> {
  const file = join(heavyAgentPaths.state.replace("%i", name), "completions");
  const text = await insist("completions", () => runOn(consoleOf(ground, vmId), `cat '${file}' 2>/dev/null || true`));
  return text.split("\n").filter((line) => line !== "");
}

function seenOf(
  name: string,
  by: CycleSeen["by"],
  fault: string | undefined,
  what: Signalled,
  completions: readonly string[],
): CycleSeen {
  const echo = echoForm.safeParse(what.run?.report?.result);
  const isRight = echo.success && echo.data.echo.cycle === name;
  return { name, by, fault, runId: what.runId, end: what.run?.state, isRight, completions };
}

async function fail(ground: Ground, kind: "500" | "drop"): Promise<void> {
  const { client } = ground.estate;
  await client.call(
    "POST",
    "/lab/faults",
    {
      kind,
      method: "POST",
      path: "/lxc$",
      times: 1,
      phase: kind === "drop" ? "after" : "before",
    },
    { root: true },
  );
}

async function make({ steps }: BareServer, fault: CallFault | undefined): Promise<void> {
  if (fault === "left-half-way") for (const step of steps.slice(0, 6)) await insist("step", step);
  for (const step of steps) await insist("step", step);
}

/** A life by bare calls. */
export async function liveByCalls(
  ground: Ground,
  name: string,
  vmId: number,
  options: { readonly release: Release; readonly fault?: CallFault | undefined },
): Promise<Lived> {
  const { fault, release } = options;
  const provider = { kind: "proxmox", id: String(vmId) } as const;
  const agent = {
    name,
    kind: "experimental",
    size: "XS",
    ttlSec: 86_400,
    mode: "job",
    idempotent: true,
    provider,
  } as const;
  const { key } = await insist("register", async () => (await ground.sentinel()).register(agent));
  const from = performance.now();
  if (fault === "api-500") await fail(ground, "500");
  if (fault === "api-drop") await fail(ground, "drop");
  await make(bareServer(ground, { name, vmId, release, key }), fault);
  const what = await signalled(ground, name, async () => {
    if (fault === "sentinel-killed") ground.killSentinel();
    if (fault === "runner-killed")
      await runOn(
        consoleOf(ground, vmId),
        "kill -9 $(systemctl show --property=MainPID --value hive-agent-runner.service)",
      );
    if (fault === "cut")
      await exchange({ path: ground.estate.info.controlSocket }, "", { method: "POST", path: "/uplink/cut" });
  });
  const toResultMs = performance.now() - from;
  const completions = await completionsOf(ground, name, vmId);
  await insist("destroy", () => deleteServer(ground, vmId));
  await insist("remove", async () => (await ground.sentinel()).remove(name));
  return { seen: seenOf(name, "calls", fault, what, completions), toResultMs };
}

/** Runs a command of `hive`; killed with all that it started after `killMs`, if that is given. */
async function hive(ground: Ground, args: readonly string[], killMs?: number): Promise<number> {
  const { root } = ground.estate.folder;
  const child = spawn(process.execPath, [join(projectRoot, "cli/main.ts"), ...args], {
    env: { ...process.env, HIVE_STATE_DIR: root },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (said = (said + text).slice(-3000)));
  const kill =
    killMs === undefined
      ? undefined
      : setTimeout(() => {
          const agents = /runtime-agent|hive-agent/;
          killAll(
            leftovers(root)
              .filter(({ args: words }) => !words.some((word) => agents.test(word)))
              .map(({ pid }) => pid),
          );
        }, killMs);
  const code = await new Promise<number | null>((done) => child.once("close", done));
  clearTimeout(kill);
  if (code === 0 || killMs !== undefined) return code ?? 137;
  throw new Error(`hive ${args.join(" ")} ended with ${String(code)}: ${said}`);
}

/** A life by the command line and the real engine. */
export async function liveByEngine(
  ground: Ground,
  name: string,
  options: { readonly fault?: EngineFault | undefined; readonly killMs: number },
): Promise<Lived> {
  const { fault, killMs } = options;
  const before = await ground.guests();
  const order = ["--kind", "experimental", "--provider", "proxmox", "--sources", ground.sources.folder, "--idempotent"];
  await hive(ground, ["agent", "new", name, ...order]);
  const from = performance.now();
  if (fault === "up-killed") await hive(ground, ["up", `agent-${name}`], killMs);
  await hive(ground, ["up", `agent-${name}`]);
  const what = await signalled(ground, name, () => Promise.resolve());
  const toResultMs = performance.now() - from;
  const [vmId] = (await ground.guests()).filter((id) => !before.includes(id));
  const completions = vmId === undefined ? [] : await completionsOf(ground, name, vmId);
  const destroy = ["agent", "destroy", name, "--yes"];
  const status = fault === "destroy-killed" ? await hive(ground, destroy, Math.min(killMs, 5000)) : 137;
  if (status !== 0) await hive(ground, destroy);
  return { seen: seenOf(name, "engine", fault, what, completions), toResultMs };
}
