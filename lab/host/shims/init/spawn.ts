// One command of a service, started as its unit says: folders, environment, working directory, umask. What it writes goes
// to the journal.
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { accessSync, constants, existsSync, mkdirSync, readFileSync, rmSync, statSync, chmodSync } from "node:fs";
import { constants as system } from "node:os";
import type { Ending, Result } from "./service-state.ts";
import type { ServiceSettings } from "./settings.ts";
import { environmentFile, withVariables } from "./words.ts";
import type { CommandLine } from "./words.ts";

const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const bases = {
  Runtime: "/run",
  State: "/var/lib",
  Cache: "/var/cache",
  Logs: "/var/log",
  Configuration: "/etc",
} as const;

/** A start that fails before the program runs, with systemd's own exit status for it (systemd.exec(5)). */
export class CannotStart extends Error {
  readonly result: Result;
  readonly ending: Ending | undefined;
  constructor(message: string, result: Result, status?: number) {
    super(message);
    this.result = result;
    this.ending = status === undefined ? undefined : { status };
  }
}

/** Makes the folders that systemd makes for a service. */
export function makeDirectories(settings: ServiceSettings): void {
  for (const { kind, names, mode } of settings.directories)
    for (const name of names) {
      mkdirSync(`${bases[kind]}/${name}`, { recursive: true });
      chmodSync(`${bases[kind]}/${name}`, mode);
    }
}

export function removeRuntimeDirectories(settings: ServiceSettings): void {
  for (const { kind, names } of settings.directories)
    if (kind === "Runtime") for (const name of names) rmSync(`/run/${name}`, { recursive: true, force: true });
}

/** Environment of a command: what systemd sets, then the unit's, then its files'. */
export function environmentOf(
  settings: ServiceSettings,
  own: Readonly<Record<string, string>>,
): Record<string, string> {
  const folders = settings.directories.flatMap(({ kind, names }): [string, string][] =>
    names.length === 0
      ? []
      : [[`${kind.toUpperCase()}_DIRECTORY`, names.map((name) => `${bases[kind]}/${name}`).join(":")]],
  );
  const account: [string, string][] =
    settings.user === undefined
      ? []
      : [
          ["USER", settings.user],
          ["LOGNAME", settings.user],
          ["HOME", "/root"],
          ["SHELL", "/bin/sh"],
        ];
  const files = settings.environmentFiles.flatMap(({ path, optional }) => {
    try {
      return environmentFile(readFileSync(path, "utf8"));
    } catch (error) {
      if (optional) return [];
      throw new CannotStart(`Failed to load environment files: ${String(error)}`, "resources");
    }
  });
  const all: Record<string, string> = Object.fromEntries([
    ["PATH", searchPath],
    ...account,
    ...folders,
    ...Object.entries(own),
    ...settings.environment,
    ...files, // a file overrides the unit (systemd.exec(5))
  ]);
  for (const entry of settings.unsetEnvironment) {
    const [name = "", value] = entry.split("=");
    if (value === undefined || all[name] === value) delete all[name];
  }
  return all;
}

/** Starts a command. @throws CannotStart where systemd's child would have ended before the program. */
export function startCommand(
  command: CommandLine,
  settings: ServiceSettings,
  environment: Readonly<Record<string, string>>,
): ChildProcess {
  const program = command.path.startsWith("/")
    ? command.path
    : (searchPath
        .split(":")
        .map((folder) => `${folder}/${command.path}`)
        .find((path) => existsSync(path)) ?? command.path);
  const cwd = settings.workingDirectory;
  const there = existsSync(cwd) && statSync(cwd).isDirectory();
  if (!there && !settings.workingDirectoryOptional)
    throw new CannotStart(`Changing to the requested working directory failed: ${cwd}`, "exit-code", 200);
  try {
    accessSync(program, constants.X_OK);
    if (!statSync(program).isFile()) throw new Error("not a file");
  } catch {
    throw new CannotStart(`Failed at step EXEC spawning ${command.path}`, "exit-code", 203);
  }
  const args = withVariables(command, environment);
  const watched = environment["WATCHDOG_USEC"] !== undefined;
  // The watched process is to know that it is meant: a shell tells it its number and becomes it.
  const argv = watched
    ? ["/bin/sh", "-c", 'export WATCHDOG_PID=$$; exec "$@"', "sh", program, ...args]
    : [program, ...args];
  const before = process.umask(settings.umask);
  try {
    const [file = program, ...rest] = argv;
    const child = spawn(file, rest, {
      cwd: there ? cwd : "/",
      env: environment,
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
    child.once("error", () => undefined); // there is no process then, which is seen at once
    if (child.pid === undefined)
      throw new CannotStart(`Failed at step EXEC spawning ${command.path}`, "exit-code", 203);
    return child;
  } finally {
    process.umask(before);
  }
}

/** How a child ended, as wait(2) tells it. */
export function endingOf(code: number | null, signal: NodeJS.Signals | null): Ending {
  return signal === null ? { status: code ?? 255 } : { status: system.signals[signal], signal };
}
