// The engine and its plugins, ready to be used: what is needed is found, fetched or built, one after the other.
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { delimiter, dirname, join, sep } from "node:path";
import { type Progress, ensureArtifact } from "./artifact.ts";
import { type Probe, probe } from "./network.ts";
import {
  awsPlugin,
  commandPlugin,
  engineArchive,
  officialEngine,
  officialPlugin,
  proxmoxvePlugin,
} from "./official.ts";
import { type Environment, cacheRoot, projectRoot } from "./paths.ts";
import { nodeFile, readPins } from "./pins.ts";
import { findOnPath, run } from "./process.ts";
import { engineRecipe, languageHostRecipe, proxmoxveRecipe } from "./recipes.ts";
import { analyzerScript, scriptRecipe, standInScript } from "./scripts.ts";
import { type Found, type Source, type SourceOptions, obtain } from "./sources.ts";
import { parseVersion, versionMismatch } from "./versions.ts";

export { ToolchainUnavailable } from "./errors.ts";

/** `analyzer`: policy packs can run; `langhost`: plain `pulumi up` can run. Both come with an official engine. */
export type Part = "engine" | "proxmoxve" | "command" | "aws" | "analyzer" | "langhost";

export interface Tool {
  /** Absolute path of the executable. The engine's is `<root>/bin/pulumi`, as `PulumiCommand.get({root})` wants it. */
  readonly path: string;
  /** `unknown` for a plugin on PATH that does not say. */
  readonly version: string;
  readonly source: Source;
}

export interface Toolchain {
  readonly engine: Tool;
  readonly providers: Readonly<Record<string, Tool>>;
  /** Variables to put over the environment of the engine under the Automation API. */
  readonly env: Readonly<Record<string, string>>;
  /** The same for plain `pulumi up`: with a Node language host, which the engine prefers to the policy pack script. */
  readonly plainEnv: Readonly<Record<string, string>>;
}

export interface ToolchainOptions {
  readonly need: readonly Part[];
  /** Takes one line of text for a person: what is being done and why. */
  readonly progress: Progress;
  readonly signal?: AbortSignal | undefined;
  /** @default the environment of this process */
  readonly env?: Environment;
  /** Asks whether an address can be fetched. @default over the network */
  readonly probe?: Probe;
}

/** PATH without our own cache: what we made before is not what the user installed. */
function foreignPath(env: Environment, cache: string): string {
  return (env["PATH"] ?? "")
    .split(delimiter)
    .filter((folder) => folder !== "" && !`${folder}${sep}`.startsWith(`${cache}${sep}`))
    .join(delimiter);
}

interface Lookup {
  readonly name: string;
  readonly file: string;
  readonly args: readonly string[];
  readonly wanted: string;
  /** A plugin that does not tell its version is used as it is. */
  readonly silentIsFine: boolean;
}

/** The tool that the user has on PATH, if it fits. */
async function onPath(lookup: Lookup, path: string, options: SourceOptions): Promise<Found | undefined> {
  const file = findOnPath(lookup.file, path);
  if (!file) return undefined;
  const asked = await run(file, lookup.args, {
    env: { ...process.env, PULUMI_SKIP_UPDATE_CHECK: "true" },
    timeoutMs: 10_000,
    signal: options.signal,
  });
  const said = asked.stdout.trim();
  if (lookup.silentIsFine && !parseVersion(said)) {
    options.progress(
      `${lookup.name}: using ${file} from PATH; it does not tell its version, ${lookup.wanted} is wanted`,
    );
    return { folder: dirname(file), version: "unknown", source: "path" };
  }
  const mismatch = versionMismatch(lookup.wanted, said);
  if (mismatch === undefined) return { folder: dirname(file), version: said.replace(/^v/, ""), source: "path" };
  options.progress(`${lookup.name}: not using ${file} from PATH, because ${mismatch}`);
  return undefined;
}

/** Where one of the lab's own providers starts. */
function standIn(name: "command" | "aws"): string {
  return join(projectRoot, "lab", "providers", name, "main.ts");
}

/**
 * Finds, fetches or builds the engine and the named parts, and returns where they are and the environment to use
 * them in. The engine is always there. A second call costs the check of the files' hashes.
 * @throws ToolchainUnavailable when this machine cannot have a part, with what to install.
 */
export async function ensureToolchain(asked: ToolchainOptions): Promise<Toolchain> {
  const env = asked.env ?? process.env;
  const cache = cacheRoot(env);
  await mkdir(cache, { recursive: true, mode: 0o700 });
  const options: SourceOptions = { cache, progress: asked.progress, signal: asked.signal, probe: asked.probe ?? probe };
  const path = foreignPath(env, cache);
  const pins = readPins();
  const need = new Set(asked.need);

  const engine = await obtain(
    {
      what: "engine",
      onPath: () =>
        onPath(
          { name: "engine", file: "pulumi", args: ["version"], wanted: pins.engine, silentIsFine: false },
          path,
          options,
        ),
      official: await officialEngine(pins.engine),
      officialProbe: engineArchive(pins.engine),
      own: await engineRecipe(pins.engine),
      ownSource: "built",
    },
    options,
  );
  const engineFile = join(engine.folder, "pulumi");
  const providers: Record<string, Tool> = {};
  const folders: string[] = [engine.folder];

  for (const plugin of [proxmoxvePlugin(pins.proxmoxve), commandPlugin(pins.command), awsPlugin(pins.aws)]) {
    const { name, version } = plugin;
    if ((name !== "proxmoxve" && name !== "command" && name !== "aws") || !need.has(name)) continue;
    const file = `pulumi-resource-${name}`;
    const found = await obtain(
      {
        what: `provider ${name}`,
        onPath: () =>
          onPath(
            { name: `provider ${name}`, file, args: ["--version"], wanted: version, silentIsFine: true },
            path,
            options,
          ),
        official: await officialPlugin(plugin, engineFile),
        officialProbe: plugin.probe,
        own:
          name === "proxmoxve"
            ? await proxmoxveRecipe(version)
            : await scriptRecipe(name, version, file, standInScript(nodeFile, standIn(name))),
        ownSource: name === "proxmoxve" ? "built" : "stand-in",
      },
      options,
    );
    providers[name] = { path: join(found.folder, file), version: found.version, source: found.source };
    folders.push(found.folder);
  }

  const hosted =
    existsSync(join(engine.folder, "pulumi-language-nodejs")) ||
    findOnPath("pulumi-language-nodejs", path) !== undefined;
  const forPolicies: string[] = [];
  const forPlain: string[] = [];
  if (!hosted && need.has("analyzer")) {
    const recipe = await scriptRecipe(
      "analyzer",
      pins.engine,
      "pulumi-analyzer-policy-nodejs",
      analyzerScript(nodeFile, join(cache, "compile")),
    );
    forPolicies.push(join(await ensureArtifact(recipe, options), "bin"));
  }
  if (!hosted && need.has("langhost"))
    forPlain.push(join(await ensureArtifact(await languageHostRecipe(), options), "bin"));

  const variables = (extra: readonly string[]): Record<string, string> => ({
    PATH: [...new Set([...extra, ...folders, dirname(nodeFile), ...path.split(delimiter)])].join(delimiter),
    PULUMI_HOME: join(cache, "pulumi-home"),
    PULUMI_SKIP_UPDATE_CHECK: "true",
    // The plugins of `folders` are on PATH: the engine must look there, and not for others on a closed network.
    PULUMI_IGNORE_AMBIENT_PLUGINS: "false",
    ...(engine.source === "built" ? { PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true" } : {}),
  });
  return {
    engine: { path: engineFile, version: engine.version, source: engine.source },
    providers,
    env: variables(forPolicies),
    plainEnv: variables(forPlain),
  };
}
