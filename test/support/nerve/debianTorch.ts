/**
 * PyTorch for the tests: Debian's own (`python3-torch`, CPU), either installed on this machine or unpacked from its packages
 * into an artifact of the set-up's cache, beside the system and without its administrator's rights.
 */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { cachedArtifact, ensureArtifact, type ArtifactOptions, type Recipe } from "../../../cli/setup/artifact.ts";
import { cacheRoot } from "../../../cli/setup/paths.ts";
import { findOnPath, run } from "../../../cli/setup/process.ts";

/** The interpreter that Debian's packages are made for: another one on PATH may be of another version. */
const python = "/usr/bin/python3";
const installed = "/usr/lib/python3/dist-packages/torch/__init__.py";
const packageName = "python3-torch";
/** A sixth of the whole, and a training never loads it. */
const superfluous = ["bin", "include", "share", "lib/libtorch-test", "lib/python3/dist-packages/sympy"];

export interface Python {
  readonly file: string;
  readonly env: Readonly<Record<string, string>>;
}

async function must(file: string, args: readonly string[], cwd: string, signal?: AbortSignal): Promise<string> {
  const env = { ...process.env, LC_ALL: "C" };
  const ended = await run(file, args, { cwd, env, timeoutMs: 300_000, signal });
  if (ended.status === 0) return ended.stdout;
  throw new Error(`${file} ${args.slice(0, 3).join(" ")}: ${ended.fault ?? ended.stderr.trim().slice(-2000)}`);
}

function environment(folder: string): Readonly<Record<string, string>> {
  const lib = join(folder, "tree/usr/lib");
  const native = join(lib, "x86_64-linux-gnu");
  return {
    // Alternatives, which Debian links at installation: the reference BLAS and LAPACK.
    LD_LIBRARY_PATH: [native, join(native, "blas"), join(native, "lapack"), lib].join(":"),
    PYTHONPATH: join(lib, "python3/dist-packages"),
  };
}

/** The packages that `python3-torch` needs beyond what is installed. apt checks each by its archive's signatures. */
async function wanted(signal?: AbortSignal): Promise<string[]> {
  const list = ["install", "--print-uris", "--yes", "--no-install-recommends", packageName];
  const lines = await must("apt-get", list, "/", signal).catch(async () => {
    await must("apt-get", ["update"], "/", signal);
    return must("apt-get", list, "/", signal);
  });
  return [...lines.matchAll(/^'\S+' ([^_\s]+)_/gm)].map(([, name = ""]) => name);
}

const release = existsSync("/etc/os-release") ? readFileSync("/etc/os-release", "utf8") : "";

const recipe: Recipe = {
  name: "torch",
  version: /^VERSION_CODENAME=(\S+)$/m.exec(release)?.[1] ?? "",
  key: createHash("sha256")
    .update(JSON.stringify([1, release, packageName, superfluous]))
    .digest("hex")
    .slice(0, 16),
  build: async ({ folder, progress, signal }) => {
    progress(`torch: unpacking Debian's ${packageName} (half a minute; 150 MB to fetch, 500 MB on disk)`);
    const packages = join(folder, "packages");
    const tree = join(folder, "tree");
    await mkdir(packages);
    // Else apt wants a folder that its own user may write, and warns.
    await must(
      "apt-get",
      ["-oAPT::Sandbox::User=root", "download", "-qq", ...(await wanted(signal))],
      packages,
      signal,
    );
    for (const name of await readdir(packages)) await must("dpkg-deb", ["-x", join(packages, name), tree], "/", signal);
    for (const path of superfluous) await rm(join(tree, "usr", path), { recursive: true, force: true });
    for (const path of [packages, join(folder, "bin")]) await rm(path, { recursive: true });
    // The first start is part of the making: Python keeps what it compiled beside the sources.
    const env = { ...process.env, ...environment(folder), PYTHONDONTWRITEBYTECODE: "" };
    const ended = await run(python, ["-c", "import torch, numpy"], { env, timeoutMs: 120_000, signal });
    if (ended.status !== 0) throw new Error(`torch: ${ended.fault ?? ended.stderr.trim().slice(-2000)}`);
  },
};

/** A Python that has PyTorch, unpacked first when it is not there, or why this machine cannot have it. */
export async function debianTorch(progress: (line: string) => void): Promise<Python | { readonly missing: string }> {
  if (!existsSync(python)) return { missing: `PyTorch needs Debian's ${python}: apt-get install python3` };
  if (existsSync(installed)) return { file: python, env: {} };
  if (process.arch !== "x64") return { missing: `PyTorch is unpacked for x64 only: apt-get install ${packageName}` };
  const tools = ["apt-get", "dpkg-deb"].filter((tool) => findOnPath(tool) === undefined);
  if (tools.length > 0) return { missing: `PyTorch comes from Debian, and no ${tools.join(", ")} is here` };
  const options: ArtifactOptions = { cache: cacheRoot(), progress };
  const folder = (await cachedArtifact(recipe, options)) ?? (await ensureArtifact(recipe, options));
  return { file: python, env: { ...environment(folder), PYTHONDONTWRITEBYTECODE: "1" } };
}
