/** ESPHome itself, from PyPI, every file pinned by its hash and kept as an artifact of the set-up's cache. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { cachedArtifact, ensureArtifact, type ArtifactOptions, type Recipe } from "../../../cli/setup/artifact.ts";
import { cacheRoot } from "../../../cli/setup/paths.ts";
import { findOnPath, run } from "../../../cli/setup/process.ts";

/** What builds the few packages that PyPI holds as sources alone, and everything else. Hashes are of CPython 3.11's wheels. */
const lists = ["build.txt", "requirements.txt"].map((name) => join(import.meta.dirname, name));
const python = "3.11";
const version = /^esphome==(\S+)/m.exec(readFileSync(lists[1] ?? "", "utf8"))?.[1] ?? "";

export interface Esphome {
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** Python keeps what it compiled beside the sources: without, every start of ESPHome compiles it all again. */
const environment = (site: string): Readonly<Record<string, string>> => ({
  PYTHONPATH: site,
  PYTHONDONTWRITEBYTECODE: "",
});

async function pip(site: string, list: string, signal?: AbortSignal): Promise<void> {
  const how = ["--quiet", "--no-deps", "--require-hashes", "--no-build-isolation", "--no-compile"];
  const ended = await run("python3", ["-m", "pip", "install", ...how, "--target", site, "-r", list], {
    env: { ...process.env, PYTHONPATH: site, PIP_DISABLE_PIP_VERSION_CHECK: "1", PIP_ROOT_USER_ACTION: "ignore" },
    timeoutMs: 600_000,
    signal,
  });
  if (ended.status !== 0) throw new Error(`pip: ${ended.fault ?? ended.stderr.trim().slice(-2000)}`);
}

const recipe: Recipe = {
  name: "esphome",
  version,
  key: createHash("sha256")
    .update([...lists, import.meta.filename].map((file) => readFileSync(file, "utf8")).join("\n"))
    .digest("hex")
    .slice(0, 16),
  build: async ({ folder, progress, signal }) => {
    progress(`esphome: installing ESPHome ${version} from PyPI (half a minute, 180 MB)`);
    for (const list of lists) await pip(join(folder, "site"), list, signal);
    await rm(join(folder, "bin"), { recursive: true, force: true });
    // The first start is part of the making: a machine may add its own authorities to certifi's list then.
    const env = { ...process.env, ...environment(join(folder, "site")) };
    const ended = await run("python3", ["-m", "esphome", "version"], { env, timeoutMs: 120_000, signal });
    if (ended.status !== 0) throw new Error(`esphome: ${ended.fault ?? ended.stderr.trim().slice(-2000)}`);
  },
};

/** The command that runs ESPHome, installed first when it is not there, or why this machine cannot have it. */
export async function esphomeTool(progress: (line: string) => void): Promise<Esphome | { readonly missing: string }> {
  if (findOnPath("python3") === undefined) return { missing: "ESPHome needs python3" };
  const found = await run("python3", ["--version"], { timeoutMs: 20_000 });
  if (!found.stdout.includes(`Python ${python}.`))
    return { missing: `ESPHome is pinned for Python ${python}, here is ${found.stdout.trim()}` };
  const options: ArtifactOptions = { cache: cacheRoot(), progress };
  const folder = (await cachedArtifact(recipe, options)) ?? (await ensureArtifact(recipe, options));
  return { file: "python3", args: ["-m", "esphome"], env: environment(join(folder, "site")) };
}
