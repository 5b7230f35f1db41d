import { spawn } from "node:child_process";
import { once } from "node:events";
import { access, constants } from "node:fs/promises";
import { join } from "node:path";
import { ProcessError, textOf } from "../errors.ts";
import type { Starter } from "./cgroupProcess.ts";

/**
 * Moves itself into the cgroup, then becomes the command: the service is there from its first instruction and none of
 * its children is born outside. The command comes as arguments, never as text of the script.
 */
const enterAndBecome = 'echo 0 >"$1/cgroup.procs" && shift && exec "$@"';

/**
 * Starts a command that lives on without the Keeper: its own session, no pipe to it, and not in the Keeper's cgroup,
 * where a restart of the Keeper's unit would end it.
 */
export function commandStarter(
  argv: readonly string[],
  environment: NodeJS.ProcessEnv = serviceEnvironment(),
): Starter {
  const [program, ...rest] = argv;
  if (program === undefined) throw new ProcessError("refused", "a start command is empty");
  return async (folder) => {
    // In a cgroup a shell is first, and its word of a program that cannot be run would come late.
    await findProgram(program, environment.PATH ?? "");
    const [command, args] =
      folder === undefined
        ? [program, rest]
        : (["/bin/sh", ["-c", enterAndBecome, "sh", folder, program, ...rest]] as const);
    try {
      const child = spawn(command, args, { detached: true, stdio: "ignore", env: environment, cwd: "/" });
      let fault: string | undefined;
      child.once("exit", (code, signal) => {
        if (code !== 0) fault = `${program} ended with ${signal ?? `status ${String(code)}`}`;
      });
      await once(child, "spawn");
      child.unref();
      return { fault: () => fault };
    } catch (error) {
      throw new ProcessError("failed", `starting ${program}: ${textOf(error)}`, { cause: error });
    }
  };
}

/** @throws ProcessError when it is not there or may not be run */
async function findProgram(program: string, path: string): Promise<void> {
  const places = program.includes("/") ? [program] : path.split(":").map((folder) => join(folder, program));
  const runs = await Promise.all(
    places.map((place) =>
      access(place, constants.X_OK).then(
        () => true,
        () => false,
      ),
    ),
  );
  if (!runs.includes(true)) throw new ProcessError("failed", `starting ${program}: there is no such program to run`);
}

/** What a service needs of the environment; the Keeper's own (sockets, credentials of systemd) stays its own. */
function serviceEnvironment(): NodeJS.ProcessEnv {
  const kept = ["PATH", "LANG", "TZ", "HOME"].map((name) => [name, process.env[name]] as const);
  return Object.fromEntries(kept.filter(([, value]) => value !== undefined));
}
