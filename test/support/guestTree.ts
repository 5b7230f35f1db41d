/** The Debian system that guests of the tests boot: made once by debootstrap and kept as an artifact of the set-up's cache. */
import { createHash } from "node:crypto";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { cachedArtifact, ensureArtifact, type ArtifactOptions, type Recipe } from "../../cli/setup/artifact.ts";
import { cacheRoot } from "../../cli/setup/paths.ts";
import { findOnPath, run } from "../../cli/setup/process.ts";

const suite = "bookworm";
const mirror = "http://deb.debian.org/debian";
/** What a small server has: systemd, an SSH server, sudo; and the linter of shell scripts. */
const packages = [
  "systemd",
  "systemd-sysv",
  "dbus",
  "openssh-server",
  "procps",
  "libpam-systemd",
  "sudo",
  "shellcheck",
];
/** Programs on this machine, and the Debian packages that bring them. */
const tools = { debootstrap: "debootstrap", "systemd-nspawn": "systemd-container", zstd: "zstd" } as const;
/** Not needed by a guest of an hour. */
const superfluous = [
  "usr/share/doc",
  "usr/share/man",
  "usr/share/locale",
  "var/cache/apt/archives",
  "var/lib/apt/lists",
];

const sbin = `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`;

function missingTools(): string[] {
  return Object.entries(tools).flatMap(([tool, name]) => (findOnPath(tool, sbin) === undefined ? [name] : []));
}

/** Why this machine can boot no guest, whatever is installed. */
export function guestImpossible(): string | undefined {
  if (process.platform !== "linux") return "guests need Linux";
  if (process.getuid?.() !== 0) return "guests need root: systemd-nspawn makes namespaces and mounts";
  if (process.arch !== "x64") return "the agent's tarball is for linux-x64";
  if (missingTools().length > 0 && findOnPath("apt-get", sbin) === undefined) {
    return `no ${missingTools().join(", ")} here, and no apt-get to install them`;
  }
  return undefined;
}

async function must(file: string, args: readonly string[], timeoutMs: number, signal?: AbortSignal): Promise<void> {
  const env = { ...process.env, PATH: sbin, DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C" };
  const ended = await run(file, args, { env, timeoutMs, signal });
  if (ended.status === 0) return;
  const why = ended.fault ?? ended.stderr.slice(-2000);
  throw new Error(`${[file, ...args].join(" ").slice(0, 300)}: ${why}\n${ended.stdout.slice(-1000)}`);
}

/** Installs what is missing on this machine. @throws Error with apt's own words */
export async function ensureGuestTools(): Promise<void> {
  const missing = missingTools();
  if (missing.length === 0) return;
  const install = ["install", "--yes", "--no-install-recommends", ...missing];
  await must("apt-get", install, 300_000).catch(async () => {
    await must("apt-get", ["update"], 120_000);
    await must("apt-get", install, 300_000);
  });
}

const recipe: Recipe = {
  name: "guest",
  version: suite,
  key: createHash("sha256")
    .update(JSON.stringify([1, suite, mirror, packages, superfluous]))
    .digest("hex")
    .slice(0, 16),
  build: async ({ folder, progress, signal }) => {
    progress(`guest: making a Debian ${suite} system (debootstrap; half a minute)`);
    const tree = join(folder, "tree");
    const include = `--include=${packages.join(",")}`;
    await must("debootstrap", ["--variant=minbase", include, suite, tree, mirror], 600_000, signal);
    for (const path of superfluous) await rm(join(tree, path), { recursive: true, force: true });
    // Each guest gets its own.
    for (const path of ["etc/machine-id", "etc/hostname"]) await rm(join(tree, path), { force: true });
    await writeFile(join(tree, "etc", "machine-id"), "");
    await must("tar", ["-C", tree, "--zstd", "-cf", join(folder, "tree.tar.zst"), "."], 300_000, signal);
    await rm(tree, { recursive: true });
    await rm(join(folder, "bin"), { recursive: true, force: true });
  },
};

/** The tarball of the tree, made first when it is not there. @throws Error when it cannot be made */
export async function guestTree(progress: (line: string) => void): Promise<string> {
  const options: ArtifactOptions = { cache: cacheRoot(), progress };
  const folder = (await cachedArtifact(recipe, options)) ?? (await ensureArtifact(recipe, options));
  return join(folder, "tree.tar.zst");
}
