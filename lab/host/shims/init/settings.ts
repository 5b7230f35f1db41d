// What a service's unit says, read once and with its defaults (systemd.service(5), systemd.exec(5), systemd.kill(5)).
import { parseTimespan } from "./timespan.ts";
import { expand } from "./unit-text.ts";
import type { UnitText } from "./unit-text.ts";
import { assignments, commandLines } from "./words.ts";
import type { CommandLine } from "./words.ts";

const types = ["simple", "exec", "notify", "oneshot", "idle"] as const;
const restarts = ["no", "always", "on-success", "on-failure", "on-abnormal", "on-watchdog", "on-abort"] as const;
const killModes = ["control-group", "mixed", "process", "none"] as const;
export const directoryKinds = ["Runtime", "State", "Cache", "Logs", "Configuration"] as const;
export type ExecKey = "ExecStartPre" | "ExecStart" | "ExecStartPost" | "ExecReload" | "ExecStop" | "ExecStopPost";

export interface ServiceSettings {
  readonly type: (typeof types)[number];
  readonly exec: Readonly<Record<ExecKey, readonly CommandLine[]>>;
  readonly remainAfterExit: boolean;
  readonly restart: (typeof restarts)[number];
  readonly restartMs: number;
  /** Statuses and signals that count as success, beside 0 and the four signals of a wanted end. */
  readonly success: ReadonlySet<string>;
  readonly restartPrevent: ReadonlySet<string>;
  readonly restartForce: ReadonlySet<string>;
  readonly startLimit: { readonly intervalMs: number; readonly burst: number };
  readonly timeoutStartMs: number;
  readonly timeoutStopMs: number;
  readonly runtimeMaxMs: number;
  /** 0: nobody watches. */
  readonly watchdogMs: number;
  readonly killMode: (typeof killModes)[number];
  readonly killSignal: string;
  readonly watchdogSignal: string;
  readonly workingDirectory: string;
  /** Whether the start goes on without the working directory. */
  readonly workingDirectoryOptional: boolean;
  readonly environment: readonly (readonly [string, string])[];
  readonly environmentFiles: readonly { readonly path: string; readonly optional: boolean }[];
  readonly unsetEnvironment: readonly string[];
  readonly directories: readonly {
    readonly kind: (typeof directoryKinds)[number];
    readonly names: readonly string[];
    readonly mode: number;
  }[];
  readonly runtimePreserve: "no" | "yes" | "restart";
  readonly umask: number;
  /** Account that is named; it is not changed to. */
  readonly user: string | undefined;
}

/** @throws Error with what systemd would say of a unit it refuses, or of a kind that is not run here. */
export function serviceSettings(unit: UnitText, specifiers: ReadonlyMap<string, string>): ServiceSettings {
  const one = (key: string, section = "Service"): string | undefined => {
    const value = unit.last(section, key);
    return value === undefined ? undefined : expand(value, specifiers);
  };
  const many = (key: string): string[] => unit.list("Service", key).map((value) => expand(value, specifiers));
  const words = (key: string): string[] => many(key).flatMap((value) => value.split(/\s+/));
  const span = (key: string, byDefault: number, section = "Service"): number => {
    const text = one(key, section);
    return text === undefined ? byDefault : (parseTimespan(text) ?? byDefault);
  };
  const chosen = <Name extends string>(key: string, names: readonly Name[], byDefault: Name): Name =>
    names.find((name) => name === one(key)) ?? byDefault;
  const exec = (key: ExecKey): CommandLine[] =>
    many(key).flatMap((value) => {
      const commands = commandLines(value);
      if (commands === undefined) throw new Error(`${key}=${value}: cannot be read`);
      return commands;
    });

  const start = exec("ExecStart");
  const declared = one("Type") ?? (start.length === 0 ? "oneshot" : "simple");
  const type = types.find((name) => name === declared);
  if (type === undefined) throw new Error(`Type=${declared} is not run by the lab`);
  const stop = exec("ExecStop");
  if (start.length === 0 && (type !== "oneshot" || stop.length === 0))
    throw new Error("Service has no ExecStart=, ExecStop=, or SuccessAction=. Refusing.");
  if (start.length > 1 && type !== "oneshot")
    throw new Error("Service has more than one ExecStart= setting, which is only allowed for Type=oneshot services.");
  const timeoutMs = one("TimeoutSec") === undefined ? undefined : span("TimeoutSec", 90_000);
  const [, dash = "", folder = "/"] = /^(-?)(.*)$/.exec(one("WorkingDirectory") ?? "/") ?? [];
  return {
    type,
    exec: {
      ExecStartPre: exec("ExecStartPre"),
      ExecStart: start,
      ExecStartPost: exec("ExecStartPost"),
      ExecReload: exec("ExecReload"),
      ExecStop: stop,
      ExecStopPost: exec("ExecStopPost"),
    },
    remainAfterExit: isYes(one("RemainAfterExit")),
    restart: chosen("Restart", restarts, "no"),
    restartMs: span("RestartSec", 100),
    success: new Set(words("SuccessExitStatus")),
    restartPrevent: new Set(words("RestartPreventExitStatus")),
    restartForce: new Set(words("RestartForceExitStatus")),
    startLimit: {
      intervalMs: span("StartLimitIntervalSec", span("StartLimitInterval", 10_000), "Unit"),
      burst: wholeOr(one("StartLimitBurst", "Unit"), 5),
    },
    timeoutStartMs: noLimit(timeoutMs ?? span("TimeoutStartSec", type === "oneshot" ? Infinity : 90_000)),
    timeoutStopMs: noLimit(timeoutMs ?? span("TimeoutStopSec", 90_000)),
    runtimeMaxMs: noLimit(span("RuntimeMaxSec", Infinity)),
    watchdogMs: span("WatchdogSec", 0),
    killMode: chosen("KillMode", killModes, "control-group"),
    killSignal: signalName(one("KillSignal") ?? "SIGTERM"),
    watchdogSignal: signalName(one("WatchdogSignal") ?? "SIGABRT"),
    workingDirectory: folder === "~" ? "/root" : folder,
    workingDirectoryOptional: dash === "-",
    environment: many("Environment").flatMap(assignments),
    environmentFiles: many("EnvironmentFile").map((value) => ({
      path: value.replace(/^-/, ""),
      optional: value.startsWith("-"),
    })),
    unsetEnvironment: words("UnsetEnvironment"),
    directories: directoryKinds.map((kind) => ({
      kind,
      names: words(`${kind}Directory`).map((name) => name.split(":")[0] ?? name),
      mode: octalOr(one(`${kind}DirectoryMode`), 0o755),
    })),
    runtimePreserve: preserve(one("RuntimeDirectoryPreserve")),
    umask: octalOr(one("UMask"), 0o022),
    user: one("User"),
  };
}

/** `Condition…=` and `Assert…=` that are about paths; each value is one of them. */
export interface PathChecks {
  readonly kind: "Condition" | "Assert";
  readonly test: string;
  readonly path: string;
  readonly negated: boolean;
  /** With `|`: one of those that have it is enough. */
  readonly trigger: boolean;
}

export function pathChecks(unit: UnitText, specifiers: ReadonlyMap<string, string>): PathChecks[] {
  return (["Condition", "Assert"] as const).flatMap((kind) =>
    ["PathExists", "PathIsDirectory", "FileNotEmpty", "FileIsExecutable", "DirectoryNotEmpty"].flatMap((test) =>
      unit.list("Unit", `${kind}${test}`).map((value) => {
        const [, marks = "", path = ""] = /^([|!]*)(.*)$/.exec(expand(value, specifiers)) ?? [];
        return { kind, test, path, negated: marks.includes("!"), trigger: marks.includes("|") };
      }),
    ),
  );
}

export function isYes(text: string | undefined): boolean {
  return ["1", "yes", "y", "true", "t", "on"].includes((text ?? "").toLowerCase());
}

/** `TERM`, `SIGTERM` or `15` as Node names it. */
export function signalName(text: string): string {
  return /^[A-Z]/.test(text) && !text.startsWith("SIG") ? `SIG${text}` : text;
}

function noLimit(ms: number): number {
  return ms === 0 ? Infinity : ms;
}

function wholeOr(text: string | undefined, byDefault: number): number {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : byDefault;
}

function octalOr(text: string | undefined, byDefault: number): number {
  return text !== undefined && /^[0-7]{1,5}$/.test(text) ? Number.parseInt(text, 8) : byDefault;
}

function preserve(text: string | undefined): "no" | "yes" | "restart" {
  return text === "restart" ? "restart" : isYes(text) ? "yes" : "no";
}
