// Pulumi's own downloads: the engine by the Automation API's installer, plugins by the engine's.
import { existsSync } from "node:fs";
import { readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { BuildContext, Recipe } from "./artifact.ts";
import { recipeKey } from "./hashing.ts";
import { run } from "./process.ts";

const target = `${process.platform}-${process.arch}`;
/** Milliseconds that one download may take. */
const downloadMs = 15 * 60_000;

/** The archive that Pulumi's installer would fetch; asking for it tells whether the installer can work. */
export function engineArchive(version: string): string {
  return `https://get.pulumi.com/releases/sdk/pulumi-v${version}-${target}.tar.gz`;
}

async function withBeat<T>(what: string, progress: (line: string) => void, work: Promise<T>): Promise<T> {
  const started = Date.now();
  const beat = setInterval(
    () => progress(`${what}: still downloading, ${Math.round((Date.now() - started) / 1000)} s so far`),
    10_000,
  );
  try {
    return await work;
  } finally {
    clearInterval(beat);
  }
}

export async function officialEngine(version: string): Promise<Recipe> {
  return {
    name: "engine-official",
    version,
    key: await recipeKey(undefined, [target, version]),
    build: async ({ folder, progress, signal }) => {
      progress(`engine (pulumi ${version}): downloading Pulumi's own from get.pulumi.com`);
      const { PulumiCommand } = await import("@pulumi/pulumi/automation/index.js");
      // Without a version it installs the SDK's.
      const install = PulumiCommand.install({ root: join(folder, "install") });
      const bounded = signal
        ? AbortSignal.any([signal, AbortSignal.timeout(downloadMs)])
        : AbortSignal.timeout(downloadMs);
      const stopped = new Promise<never>((_, fail) =>
        bounded.addEventListener("abort", () => fail(new Error("the download was interrupted or took too long")), {
          once: true,
        }),
      );
      await withBeat("engine", progress, Promise.race([install, stopped]));
      for (const file of await readdir(join(folder, "install", "bin")))
        await rename(join(folder, "install", "bin", file), join(folder, "bin", file));
      await rm(join(folder, "install"), { recursive: true, force: true });
    },
  };
}

export interface OfficialPlugin {
  readonly name: string;
  readonly version: string;
  /** `--server` of the installer, when the plugin is not Pulumi's own. */
  readonly server?: string;
  /** Address that answers when the installer can work. */
  readonly probe: string;
}

const goArch = process.arch === "x64" ? "amd64" : process.arch;

export function proxmoxvePlugin(version: string): OfficialPlugin {
  return {
    name: "proxmoxve",
    version,
    server: "github://api.github.com/muhlba91/pulumi-proxmoxve",
    probe: `https://api.github.com/repos/muhlba91/pulumi-proxmoxve/releases/tags/v${version}`,
  };
}

export function commandPlugin(version: string): OfficialPlugin {
  return pulumisOwn("command", version);
}

export function awsPlugin(version: string): OfficialPlugin {
  return pulumisOwn("aws", version);
}

function pulumisOwn(name: string, version: string): OfficialPlugin {
  const file = `pulumi-resource-${name}-v${version}-${process.platform}-${goArch}.tar.gz`;
  return { name, version, probe: `https://get.pulumi.com/releases/plugins/${file}` };
}

/** Installs a plugin with the engine's installer into a home of its own and keeps its files as the artifact. */
export async function officialPlugin(plugin: OfficialPlugin, engineFile: string): Promise<Recipe> {
  const { name, version } = plugin;
  return {
    name: `${name}-official`,
    version,
    key: await recipeKey(undefined, [target, version]),
    build: async (context: BuildContext) => {
      const { folder, progress } = context;
      const home = join(folder, "home");
      progress(`provider ${name} ${version}: downloading it with Pulumi's plugin installer`);
      const server = plugin.server === undefined ? [] : ["--server", plugin.server];
      const result = await run(engineFile, ["plugin", "install", "resource", name, version, ...server], {
        env: { ...process.env, PULUMI_HOME: home, PULUMI_SKIP_UPDATE_CHECK: "true" },
        timeoutMs: downloadMs,
        signal: context.signal,
        childFile: context.childFile,
        onBeat: (seconds) => progress(`provider ${name}: still downloading, ${seconds} s so far`),
      });
      const installed = join(home, "plugins", `resource-${name}-v${version}`);
      if (result.status !== 0 || !existsSync(join(installed, `pulumi-resource-${name}`)))
        throw new Error(`the plugin installer failed: ${(result.fault ?? result.stderr.trim()).slice(-500)}`);
      for (const file of await readdir(installed)) await rename(join(installed, file), join(folder, "bin", file));
      await rm(home, { recursive: true, force: true });
    },
  };
}
