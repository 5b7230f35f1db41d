/** Configuration files: whose one is, and what it says. */
import { access, readFile, stat } from "node:fs/promises";
import path from "node:path";
import { agentConfigFile, type AgentPlace } from "../../../components/shared/agent/agentPlace.ts";
import type { KeeperConfig } from "../../../components/shared/agent/keeperConfig.ts";
import { parseYaml } from "../../../components/shared/agent/parseYaml.ts";
import type { RunnerConfig } from "../../../components/shared/agent/runnerConfig.ts";
import type { SentinelConfig } from "../../../components/shared/agent/sentinelConfig.ts";
import type { NerveAgentConfig } from "../../../components/shared/nerve/agentConfig.ts";
import type { Checked, Fault } from "../../../components/shared/faults.ts";

export const roles = ["keeper", "sentinel", "runner"] as const;
export type Role = (typeof roles)[number];

/** A configuration with the role that it is for. */
export type RoleConfig =
  | { readonly role: "keeper"; readonly config: KeeperConfig }
  | { readonly role: "sentinel"; readonly config: SentinelConfig }
  | { readonly role: "runner"; readonly config: RunnerConfig };

export function configFileOf(role: Role, place: AgentPlace = {}): string {
  return agentConfigFile(role, place);
}

async function isThere(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}

/** The Keeper's configuration for a side: an arbiter may be in the machine's second place. */
export async function keeperConfigFile(side: KeeperConfig["side"], root = ""): Promise<string> {
  const second = configFileOf("keeper", { besideHost: true });
  return side === "arbiter" && (await isThere(root + second)) ? second : configFileOf("keeper");
}

/**
 * The configurations of what is installed here: of one role, and of an arbiter beside the Keeper's host side. The
 * Keeper's name where there is none.
 *
 * @param root Folder that the machine's root is taken to be. @default "/"
 */
export async function installedConfigFiles(root = ""): Promise<readonly string[]> {
  const found: string[] = [];
  for (const role of roles) {
    if (found.length === 0 && (await isThere(root + configFileOf(role)))) found.push(configFileOf(role));
  }
  const second = configFileOf("keeper", { besideHost: true });
  if (await isThere(root + second)) found.push(second);
  return found.length === 0 ? [configFileOf("keeper")] : found;
}

function unreadable(file: string, error: unknown): Fault {
  const code = error instanceof Error && "code" in error ? String(error.code) : "an error";
  const fix = code === "ENOENT" ? "Write it, or name another with --config." : "Let root own it, mode 0600.";
  return { property: file, value: `unreadable (${code})`, limit: "a readable file", fix };
}

/** Reads a file that its owner alone may write, and checks it. Never throws: whatever is wrong is among the faults. */
async function load<T>(file: string, check: (raw: unknown) => Promise<Checked<T>>): Promise<Checked<T>> {
  try {
    const { mode } = await stat(file);
    const open = (mode & 0o022) !== 0;
    const read = parseYaml(await readFile(file, "utf8"));
    const checked = read.ok ? await check(read.value) : read;
    if (!open) return checked;
    // Whoever may write it may let the daemon start any program as root.
    const value = (mode & 0o777).toString(8).padStart(4, "0");
    const fault: Fault = { property: file, value, limit: "writable by its owner alone", fix: `chmod 0600 ${file}` };
    return { ok: false, faults: [fault, ...(checked.ok ? [] : checked.faults)] };
  } catch (error) {
    return { ok: false, faults: [unreadable(file, error)] };
  }
}

/** Each role's schema is loaded where it is asked for alone. */
const checks = {
  keeper: async (raw: unknown) =>
    (await import("../../../components/shared/agent/parseKeeperConfig.ts")).checkKeeperConfig(raw),
  sentinel: async (raw: unknown) =>
    (await import("../../../components/shared/agent/sentinelConfig.ts")).checkSentinelConfig(raw),
  runner: async (raw: unknown) =>
    (await import("../../../components/shared/agent/runnerConfig.ts")).checkRunnerConfig(raw),
  nerveAgent: async (raw: unknown) =>
    (await import("../../../components/shared/nerve/agentConfig.ts")).checkNerveAgentConfig(raw),
};

export function loadKeeperConfig(file: string): Promise<Checked<KeeperConfig>> {
  return load(file, checks.keeper);
}

export function loadSentinelConfig(file: string): Promise<Checked<SentinelConfig>> {
  return load(file, checks.sentinel);
}

export function loadRunnerConfig(file: string): Promise<Checked<RunnerConfig>> {
  return load(file, checks.runner);
}

/** Nerve's agent is installed in a Pod, not on a machine: it is none of the roles above. */
export function loadNerveAgentConfig(file: string): Promise<Checked<NerveAgentConfig>> {
  return load(file, checks.nerveAgent);
}

/** Whose configuration this is: by what only that role's has, else by the file's name. */
export function roleOf(raw: unknown, file: string): Role {
  const keys = new Set(typeof raw === "object" && raw !== null ? Object.keys(raw) : []);
  if (keys.has("side")) return "keeper";
  if (keys.has("agent") && keys.has("sentinel")) return "runner";
  const named = path.basename(file, ".yaml");
  if (named === "runner") return "runner";
  return keys.has("role") || named === "sentinel" ? "sentinel" : "keeper";
}

function withRole<R extends Role, T>(role: R, checked: Checked<T>): Checked<{ readonly role: R; readonly config: T }> {
  return checked.ok ? { ok: true, value: { role, config: checked.value } } : checked;
}

/** Reads the configuration of any role. */
export function loadRoleConfig(file: string): Promise<Checked<RoleConfig>> {
  return load<RoleConfig>(file, async (raw) => {
    const role = roleOf(raw, file);
    if (role === "sentinel") return withRole(role, await checks.sentinel(raw));
    return role === "runner" ? withRole(role, await checks.runner(raw)) : withRole(role, await checks.keeper(raw));
  });
}
