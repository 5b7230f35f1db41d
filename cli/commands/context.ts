import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Invocation } from "../args/parse.ts";
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
}

/** The stack that a command was asked about. */
export function stackOf(invocation: Invocation): string {
  return invocation.positionals[0] ?? "genesis";
}

/** Commands that look at a stack, or take it down, make none in a backend of the user's. Pure. */
export function mayCreateStack({ command, target }: Pick<Invocation, "command" | "target">): boolean {
  return target === "lab" || ["up", "start", "adopt"].includes(command);
}

/** Readies toolchain and target, runs the work, and stops a lab that was started for it. */
export async function withContext<T>(
  invocation: Invocation,
  work: (context: Context) => Promise<T>,
  options: { readonly stack?: string; readonly withPolicies?: boolean } = {},
): Promise<T> {
  const stack = options.stack ?? stackOf(invocation);
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
        need: ["engine", "proxmoxve", "command", ...(options.withPolicies === false ? [] : (["analyzer"] as const))],
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
      const target =
        used === undefined
          ? (await import("../targets/real.ts")).realTarget(stack)
          : (await import("../targets/lab.ts")).labTarget(stack, used.info, folder);
      const open = async (): Promise<Session> => {
        const [{ openSession }, program] = await Promise.all([import("../engine/session.ts"), programOf(stack)]);
        const pack = join(projectRoot, "policies");
        const policyPacks = options.withPolicies !== false && existsSync(join(pack, "PulumiPolicy.yaml")) ? [pack] : [];
        const engine = { file: toolchain.engine.path, env: toolchain.env };
        const create = mayCreateStack(invocation);
        // What a killed engine left half-made would end the opening itself.
        if (target.backendFolder !== undefined) await tellMended(target.backendFolder);
        return openSession({ target, engine, program, policyPacks, interrupts, create });
      };
      return await work({ target, toolchain, lab: used, interrupts, open });
    } finally {
      await used?.release();
    }
  });
}

async function programOf(stack: string): Promise<() => Promise<Record<string, unknown>>> {
  const { stackPrograms } = await import("../../stacks/programs.ts");
  const program = stackPrograms[stack];
  if (program === undefined)
    throw new CommandFailure(`there is no stack ${stack}; known: ${Object.keys(stackPrograms).join(", ")}`);
  return program;
}
