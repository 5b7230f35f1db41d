import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Invocation } from "../args/parse.ts";
import { agentOfStack } from "../args/stacks.ts";
import { type Interrupts, withInterrupts } from "../engine/interrupt.ts";
import type { Session } from "../engine/session.ts";
import { progress } from "../output/terminal.ts";
import { CommandFailure } from "../output/failure.ts";
import { projectRoot } from "../setup/paths.ts";
import type { Toolchain } from "../setup/toolchain.ts";
import { tellMended } from "../repair/attributes.ts";
import { labStateFolder } from "../targets/stateFolder.ts";
import type { Target } from "../targets/target.ts";
import type { UsedLab } from "../targets/runningLab.ts";

/** What a command works with. */
export interface Context {
  readonly target: Target;
  readonly toolchain: Toolchain;
  readonly lab?: UsedLab | undefined;
  readonly interrupts: Interrupts;
  /** Opens the stack; the program is loaded here. */
  readonly open: () => Promise<Session>;
  /** Opens another stack of the same target, without policies; none is made unless that is asked for. */
  readonly openOther: (stack: string, create?: boolean) => Promise<Session>;
}

/** The stack that a command was asked about. */
export function stackOf(invocation: Invocation): string {
  return invocation.positionals[0] ?? "genesis";
}

/** Commands that look at a stack, or take it down, make none in a backend of the user's, and none of an agent. Pure. */
export function mayCreateStack({ command, target }: Pick<Invocation, "command" | "target">, stack: string): boolean {
  const makes = ["up", "start", "adopt", "agent new"].includes(command);
  return makes || (target === "lab" && agentOfStack(stack) === undefined);
}

/** An agent's stack is made by `hive agent new`: without it there is nothing to bring up or to look at. */
async function readySettings({ command, target }: Invocation, stack: string): Promise<void> {
  const agent = agentOfStack(stack);
  if (agent === undefined || !["preview", "up", "review"].includes(command)) return;
  const { hasSettings, noSettings } = await import("../agents/store.ts");
  if (!hasSettings(target, agent)) throw noSettings(target, agent);
  // What the others cost, as it is today: it was written before some of them came or went.
  (await import("../agents/budget.ts")).renewBudget(target, agent);
}

/** The lab has no stack of this name: its Sentinel is a process beside it. */
function besideTheLab(): CommandFailure {
  return new CommandFailure(
    "the lab's Sentinel is no stack but a process beside the lab: hive up sentinel starts it, hive lab stop ends it, hive lab reset deletes its state",
    { exitCode: 2 },
  );
}

/** Whether a stack's server is at Lightsail: only then its provider is fetched, which is the largest of all. */
async function isAtLightsail({ target }: Invocation, stack: string): Promise<boolean> {
  const agent = agentOfStack(stack);
  if (agent === undefined && stack !== "sentinel") return false;
  const [{ agentSettings }, { readTracked }] = await Promise.all([
    import("../agents/store.ts"),
    import("../targets/tracked.ts"),
  ]);
  const { project, config } = agent === undefined ? readTracked(stack) : agentSettings(target, agent);
  return config[`${project}:lightsail`] !== undefined;
}

/** Readies toolchain and target, runs the work, and stops a lab that was started for it. */
export async function withContext<T>(
  invocation: Invocation,
  work: (context: Context) => Promise<T>,
  options: { readonly stack?: string; readonly withPolicies?: boolean } = {},
): Promise<T> {
  const stack = options.stack ?? stackOf(invocation);
  if (invocation.target === "lab" && stack === "sentinel") throw besideTheLab();
  await readySettings(invocation, stack);
  const aws = (await isAtLightsail(invocation, stack)) ? (["aws"] as const) : [];
  return withInterrupts(async (interrupts) => {
    const { ensureToolchain } = await import("../setup/toolchain.ts");
    const folder = labStateFolder();
    const labReady =
      invocation.target === "lab"
        ? import("../targets/runningLab.ts").then(({ useLab }) =>
            useLab(folder, `hive ${invocation.command} works on it`),
          )
        : undefined;
    // Both take a moment; the program's libraries load meanwhile.
    const [ready, lab] = await Promise.allSettled([
      ensureToolchain({
        need: [
          "engine",
          "proxmoxve",
          "command",
          ...aws,
          ...(options.withPolicies === false ? [] : (["analyzer"] as const)),
        ],
        progress,
        signal: interrupts.cancel,
      }),
      labReady,
    ]);
    const used = lab.status === "fulfilled" ? lab.value : undefined;
    try {
      if (lab.status === "rejected") throw lab.reason;
      if (ready.status === "rejected") throw ready.reason;
      if (interrupts.cancel.aborted) throw new CommandFailure("stopped before anything was changed", { exitCode: 130 });
      const toolchain = ready.value;
      if (used !== undefined) (await import("../targets/environment.ts")).forgetAws(process.env, used.info.aws);
      const [{ realTarget }, { labTarget }] = await Promise.all([
        import("../targets/real.ts"),
        import("../targets/lab.ts"),
      ]);
      const targetOf = (name: string): Target =>
        used === undefined ? realTarget(name) : labTarget(name, used.info, folder);
      const openTarget = async (target: Target, create: boolean, policyPacks: readonly string[]): Promise<Session> => {
        const [{ openSession }, program] = await Promise.all([import("../engine/session.ts"), programOf(target.stack)]);
        const engine = { file: toolchain.engine.path, env: toolchain.env };
        // What a killed engine left half-made would end the opening itself.
        if (target.backendFolder !== undefined) await tellMended(target.backendFolder);
        return openSession({ target, engine, program, policyPacks, interrupts, create });
      };
      const target = targetOf(stack);
      const pack = join(projectRoot, "policies");
      const packs = options.withPolicies !== false && existsSync(join(pack, "PulumiPolicy.yaml")) ? [pack] : [];
      return await work({
        ...{ target, toolchain, lab: used, interrupts },
        // Read again: a command may have changed the stack's settings since.
        open: () => openTarget(targetOf(stack), mayCreateStack(invocation, stack), packs),
        openOther: (name, create = false) => openTarget(targetOf(name), create, []),
      });
    } finally {
      await used?.release();
    }
  });
}

async function programOf(stack: string): Promise<() => Promise<Record<string, unknown>>> {
  const programs = await import("../../stacks/programs.ts");
  const program = programs.programOf(stack);
  if (program === undefined) throw new CommandFailure(`there is no stack ${stack}`);
  return program;
}
