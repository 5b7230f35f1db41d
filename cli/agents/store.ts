/** The settings file of an agent's stack: found, read and changed without touching what the engine has encrypted. */
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parseDocument, Scalar, visit } from "yaml";
import { nearest } from "../args/nearest.ts";
import { agentOfStack, stackOfAgent } from "../args/stacks.ts";
import { CommandFailure } from "../output/failure.ts";
import { projectRoot } from "../setup/paths.ts";
import type { ConfigValue } from "../targets/labConfig.ts";
import { labStateFolder, readIfThere, writeWhole } from "../targets/stateFolder.ts";
import { readTracked, type Tracked } from "../targets/tracked.ts";

/** Folder of the settings: on the lab outside of every tracked file, else the project's own. */
export function settingsFolder(kind: "lab" | "real"): string {
  return kind === "lab" ? labStateFolder().stacks : projectRoot;
}

/** Folder for what must be remembered of agents beside their settings. */
export function memoryFolder(kind: "lab" | "real"): string {
  return kind === "lab" ? labStateFolder().stacks : join(projectRoot, ".hive");
}

const fileOf = (kind: "lab" | "real", agent: string): string =>
  join(settingsFolder(kind), `Pulumi.${stackOfAgent(agent)}.yaml`);

/** Agents with settings here. */
export function knownAgents(kind: "lab" | "real"): string[] {
  const names = ((): string[] => {
    try {
      return readdirSync(settingsFolder(kind));
    } catch {
      return [];
    }
  })();
  return names.flatMap((file) => agentOfStack(/^Pulumi\.(.+)\.yaml$/.exec(file)?.[1] ?? "") ?? []).sort();
}

/** Whether an agent's settings are complete: what it is stands in them last. */
export function hasSettings(kind: "lab" | "real", agent: string): boolean {
  const { project, config } = agentSettings(kind, agent);
  return config[`${project}:agent`] !== undefined;
}

/** The settings as they stand; secrets are `{secure: …}`. */
export function agentSettings(kind: "lab" | "real", agent: string): Tracked {
  return readTracked(stackOfAgent(agent), kind === "lab" ? settingsFolder(kind) : projectRoot);
}

/** Sets plain values; all others, and comments, stay as they are. */
export function writeAgentSettings(
  kind: "lab" | "real",
  agent: string,
  values: Readonly<Record<string, ConfigValue>>,
): void {
  const file = fileOf(kind, agent);
  const document = parseDocument(readIfThere(file) ?? "", { merge: false });
  if (document.errors.length > 0)
    throw new CommandFailure(`${file} is not valid YAML: ${document.errors[0]?.message ?? ""}`);
  for (const [key, value] of Object.entries(values)) document.setIn(["config", key], document.createNode(value));
  // The engine reads YAML 1.1, to which a time without quotes is no text.
  visit(document, {
    Scalar(_, node) {
      if (typeof node.value === "string" && /^\d/.test(node.value)) node.type = Scalar.QUOTE_DOUBLE;
    },
  });
  writeWhole(file, document.toString());
}

/** Changes keys of `hive:agent`; `undefined` takes one out. @throws CommandFailure when there are no settings */
export function changeAgent(
  kind: "lab" | "real",
  agent: string,
  change: Readonly<Record<string, ConfigValue | undefined>>,
): void {
  const { project, config } = agentSettings(kind, agent);
  const key = `${project}:agent`;
  const before = config[key];
  if (typeof before !== "object" || before === null) throw noSettings(kind, agent);
  const after = Object.entries({ ...before, ...change }).flatMap(([name, value]): [string, ConfigValue][] =>
    value === undefined ? [] : [[name, value]],
  );
  writeAgentSettings(kind, agent, { [key]: Object.fromEntries(after) });
}

/** The size in `hive:agent`; undefined for its kind's floor. */
export function sizeIn(kind: "lab" | "real", agent: string): string | undefined {
  const { project, config } = agentSettings(kind, agent);
  const found = config[`${project}:agent`];
  if (typeof found !== "object" || found === null || !("size" in found)) return undefined;
  return typeof found.size === "string" ? found.size : undefined;
}

/** The id that the Sentinel gave the agent's registration: a later agent of the same name has another. */
export function registrationOf(kind: "lab" | "real", agent: string): string | undefined {
  const { project, config } = agentSettings(kind, agent);
  const id = config[`${project}:registration`];
  return typeof id === "string" && id !== "" ? id : undefined;
}

export function removeSettings(kind: "lab" | "real", agent: string): void {
  rmSync(fileOf(kind, agent), { force: true });
}

/** The sources of an agent as its stack's program packs them (stacks/agent.ts). */
export function removePackedSources(agent: string): void {
  const folder = join(projectRoot, ".hive", "sources");
  const isIts = (file: string): boolean => /^-[0-9a-f]{12}\.tar$/.test(file.slice(agent.length));
  for (const file of existsSync(folder) ? readdirSync(folder) : [])
    if (file.startsWith(agent) && isIts(file)) rmSync(join(folder, file), { force: true });
}

/** That there are none, with the agent that was probably meant. */
export function noSettings(kind: "lab" | "real", agent: string): CommandFailure {
  const known = knownAgents(kind);
  const near = nearest(agent, known);
  const help =
    near === undefined ? `known: ${known.join(", ") || "none"}; make it with hive agent new` : `did you mean ${near}?`;
  return new CommandFailure(`there are no settings of agent ${agent} here; ${help}`, { exitCode: 2 });
}
