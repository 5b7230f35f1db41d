/**
 * `hive-agent-<version>-linux-x64.tar.gz`: the agent for a host that has nothing but glibc. Node as the npm package
 * `node` pins it, the bundle, koffi with its native part for linux x64, licences and checksums.
 *
 *     node runtime-agent/build/tarball.ts [--out DIR]      default: dist/agent
 */
import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";
import { ustar, type ArchiveEntry } from "../../components/shared/ustar.ts";
import { bundleAgent } from "./bundle.ts";
import { licenceNotes } from "./licences.ts";

const root = path.resolve(import.meta.dirname, "../..");

/**
 * Flags of Node that hold memory down: short-lived objects die in 1 MiB of new space, what lives fits 48 MiB, and nothing
 * here runs so often that an optimizing compiler would pay (5 MiB less after a day, benchmark `keeper-soak`). Without
 * the last one a process may hang while it exits (nodejs/node#54918).
 */
export const launcherFlags = [
  "--max-semi-space-size=1",
  "--max-old-space-size=48",
  "--no-opt",
  "--no-maglev",
  "--no-concurrent-sparkplug",
] as const;
/** All threads share one arena of malloc (mallopt(3), M_ARENA_MAX): one apiece only comes to pieces over the days. */
export const launcherEnvironment = { MALLOC_ARENA_MAX: "1" } as const;

/** `$0` may be a link from anywhere. */
const launcher = `#!/bin/sh
self=$(readlink -f -- "$0") || exit 70
dir=\${self%/bin/*}
${Object.entries(launcherEnvironment)
  .map(([name, value]) => `export ${name}=${value}`)
  .join("\n")}
exec "$dir/lib/node" ${launcherFlags.join(" ")} "$dir/lib/hive-agent.mjs" "$@"
`;

function sha256(content: Buffer): string {
  return createHash("sha256").update(content).digest("hex");
}

/** The Node binary of the npm package `node`, once it is sure that it is linux x64's of the pinned version. */
async function pinnedNode(): Promise<Buffer> {
  const file = path.join(root, "node_modules/node/bin/node");
  const binary = await readFile(file);
  const manifest = await readFile(path.join(root, "node_modules/node/package.json"), "utf8");
  const version = /"version": "([\d.]+)"/.exec(manifest)?.[1] ?? "";
  // ELF, 64 bit, little endian, x86-64 (elf(5): e_machine 62).
  const elf =
    binary.subarray(0, 6).equals(Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1])) && binary.readUInt16LE(18) === 62;
  if (!elf) throw new Error(`${file} is not a linux x64 program; build on linux x64`);
  if (version === "" || !binary.includes(`v${version}`)) {
    throw new Error(`${file} is not Node ${version}; install again`);
  }
  return binary;
}

const koffiFiles = [
  "koffi/package.json",
  "koffi/LICENSE.txt",
  "koffi/index.cjs",
  "koffi/src/koffi/index.cjs",
  "koffi/src/koffi/src/static.cjs",
  "@koromix/koffi-linux-x64/package.json",
  "@koromix/koffi-linux-x64/index.js",
  "@koromix/koffi-linux-x64/linux_x64/koffi.node",
];

function text(name: string, content: string, mode: ArchiveEntry["mode"] = 0o644): ArchiveEntry {
  return { name, mode, content: Buffer.from(content, "utf8") };
}

/** What the release holds, checksums included. */
export async function releaseEntries(): Promise<{
  readonly version: string;
  readonly entries: readonly ArchiveEntry[];
}> {
  const bundle = await bundleAgent();
  const koffi = await Promise.all(
    koffiFiles.map(async (name): Promise<ArchiveEntry> => {
      const content = await readFile(path.join(root, "node_modules", name));
      return { name: `lib/node_modules/${name}`, mode: 0o644, content };
    }),
  );
  const koffiNote = await licenceNotes(root, ["node_modules/koffi"]);
  const nodeNote = "Node.js (MIT, and the licences of its parts: https://github.com/nodejs/node/blob/main/LICENSE)\n";
  const rule = `\n${"-".repeat(80)}\n\n`;
  const entries: ArchiveEntry[] = [
    text("bin/hive-agent", launcher, 0o755),
    { name: "lib/node", mode: 0o755, content: await pinnedNode() },
    { name: "lib/hive-agent.mjs", mode: 0o644, content: bundle.code },
    { name: "lib/hive-agent.mjs.map", mode: 0o644, content: bundle.sourceMap },
    ...koffi,
    { name: "LICENSE", mode: 0o644, content: await readFile(path.join(root, "LICENSE")) },
    text("THIRD-PARTY.txt", [bundle.licences, koffiNote, nodeNote].join(rule)),
  ];
  const sums = entries.map(({ name, content }) => `${sha256(content)}  ${name}\n`).toSorted();
  return { version: bundle.version, entries: [...entries, text("SHA256SUMS", sums.join(""))] };
}

export interface Tarball {
  readonly version: string;
  readonly file: string;
  readonly sha256: string;
}

/** Writes the tarball and its `.sha256` into a folder. `level` is gzip's: 1 is quick, 9 is small. */
export async function writeTarball(folder: string, level = 6): Promise<Tarball> {
  const { version, entries } = await releaseEntries();
  const bytes = gzipSync(ustar(entries), { level });
  const name = `hive-agent-${version}-linux-x64.tar.gz`;
  const file = path.join(folder, name);
  await mkdir(folder, { recursive: true });
  await writeFile(file, bytes);
  await writeFile(`${file}.sha256`, `${sha256(bytes)}  ${name}\n`);
  return { version, file, sha256: sha256(bytes) };
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { out: { type: "string" } } });
  const made = await writeTarball(path.resolve(values.out ?? path.join(root, "dist/agent")));
  process.stdout.write(`${made.sha256}  ${made.file}\n`);
}
