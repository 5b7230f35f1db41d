import { join } from "node:path";
import { parse } from "yaml";
import { CommandFailure } from "../output/failure.ts";
import { projectRoot } from "../setup/paths.ts";
import { readIfThere } from "./stateFolder.ts";

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The project and the stack's configuration as the tracked files hold them. Only read, never written. */
export interface Tracked {
  readonly project: string;
  /** Content of Pulumi.yaml. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly config: Readonly<Record<string, unknown>>;
  /** Whether a Pulumi ESC environment brings further values, which only the engine can read. */
  readonly hasEnvironment: boolean;
}

function readYaml(file: string): Record<string, unknown> {
  const text = readIfThere(file);
  if (text === undefined) return {};
  let content: unknown;
  try {
    content = parse(text, { maxAliasCount: 100 });
  } catch (error) {
    throw new CommandFailure(`${file} is not valid YAML: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (content === null || content === undefined) return {};
  if (!isRecord(content)) throw new CommandFailure(`${file} must hold keys and values, for example "name: hive"`);
  return content;
}

/** Reads `Pulumi.yaml` and `Pulumi.<stack>.yaml`; what is missing is empty. */
export function readTracked(stack: string, root: string = projectRoot): Tracked {
  const settings = readYaml(join(root, "Pulumi.yaml"));
  const { config, environment } = readYaml(join(root, `Pulumi.${stack}.yaml`));
  return {
    project: typeof settings["name"] === "string" ? settings["name"] : "hive",
    settings,
    config: isRecord(config) ? config : {},
    hasEnvironment: environment !== undefined,
  };
}
