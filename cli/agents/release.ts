/** The release of hive-agent of this very checkout, built once for each state of its sources. */
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { CommandFailure } from "../output/failure.ts";
import { progress } from "../output/terminal.ts";
import { recipeKey } from "../setup/hashing.ts";
import { cacheRoot, projectRoot } from "../setup/paths.ts";
import { run } from "../setup/process.ts";
import { readIfThere, writeWhole } from "../targets/stateFolder.ts";

/** As the settings of a stack name it. */
export interface Release {
  readonly tarball: string;
  readonly sha256: string;
  readonly version: string;
}

const patienceMs = 300_000;
/** Releases that stay: some checkouts and branches, each its own. */
const mostKept = 5;
/** What was used so lately may be in the hands of another command, ms: longer than any `hive up` reads its tarball. */
const idleMs = 24 * 3_600_000;

/**
 * Removes the releases that nobody used for a day beyond the newest few, and drafts of builds that were killed. A use is the
 * folder's time, which each use renews; whoever is overtaken all the same builds his anew.
 */
export function pruneReleases(root: string, nowMs: number): void {
  const folders = readdirSync(root).flatMap((name) => {
    const usedMs = statSync(join(root, name), { throwIfNoEntry: false })?.mtimeMs;
    return usedMs === undefined ? [] : [{ name, usedMs }];
  });
  const isDraft = ({ name }: { readonly name: string }): boolean => name.startsWith("draft-");
  const built = folders.filter((folder) => !isDraft(folder)).toSorted((a, b) => b.usedMs - a.usedMs);
  for (const { name, usedMs } of [...folders.filter(isDraft), ...built.slice(mostKept)])
    if (nowMs - usedMs > idleMs) rmSync(join(root, name), { recursive: true, force: true });
}

/** Says that a release is in use. One that another command has just removed is built again. */
function used(folder: string): Release | undefined {
  const known = builtIn(folder);
  if (known === undefined) return undefined;
  const now = new Date();
  try {
    utimesSync(folder, now, now);
  } catch {
    return undefined;
  }
  return known;
}

/** Key of everything that goes into the release. */
async function keyOf(): Promise<string> {
  const lock = createHash("sha256")
    .update(readFileSync(join(projectRoot, "package-lock.json")))
    .digest("hex");
  const shared = await recipeKey(join(projectRoot, "components", "shared"), [lock]);
  return recipeKey(join(projectRoot, "runtime-agent"), [shared]);
}

function givenRelease(tarball: string): Release {
  const release = releaseIn(dirname(tarball), basename(tarball));
  if (release !== undefined) return release;
  throw new CommandFailure(
    `HIVE_AGENT_TARBALL is ${tarball}, which is no hive-agent-VERSION-linux-x64.tar.gz with its .sha256 file beside it`,
  );
}

/** The release that was built into a folder; undefined unless it is whole. */
function builtIn(folder: string): Release | undefined {
  return releaseIn(folder, readIfThere(join(folder, "name"))?.trim() ?? "");
}

/** What a tarball's name and its `.sha256` file say. */
function releaseIn(folder: string, name: string): Release | undefined {
  const [, version] = /^hive-agent-(.+)-linux-x64\.tar\.gz$/.exec(name) ?? [];
  const [sha256 = ""] = (readIfThere(join(folder, `${name}.sha256`)) ?? "").split(/\s/);
  if (version === undefined || !/^[0-9a-f]{64}$/.test(sha256)) return undefined;
  return { tarball: join(folder, name), sha256, version };
}

/**
 * The release: the one that `HIVE_AGENT_TARBALL` names (its `.sha256` file beside it), else this checkout's own, from the
 * cache or built now.
 * @throws CommandFailure with what the build said
 */
export async function ownRelease(signal?: AbortSignal): Promise<Release> {
  const named = process.env["HIVE_AGENT_TARBALL"];
  if (named !== undefined && named !== "") return givenRelease(resolve(named));
  const root = join(cacheRoot(), "agent-release");
  const folder = join(root, await keyOf());
  const known = used(folder);
  if (known !== undefined) return known;
  progress("agent: building the release that is installed on servers (once for each version of its sources)");
  mkdirSync(root, { recursive: true });
  const draft = mkdtempSync(join(root, "draft-"));
  try {
    const builder = join(projectRoot, "runtime-agent", "build", "tarball.ts");
    const built = await run(process.execPath, [builder, "--out", draft], { signal, timeoutMs: patienceMs });
    // It ends in `<sha256>  <file>`.
    const [, file] = /^[0-9a-f]{64} {2}(.+)$/m.exec(built.stdout) ?? [];
    if (built.status !== 0 || file === undefined)
      throw new CommandFailure(
        `the agent's release cannot be built: ${built.fault ?? built.stderr.trim().split("\n").slice(-3).join(" ")}`,
      );
    writeWhole(join(draft, "name"), `${file.slice(draft.length + 1)}\n`);
    renameSync(draft, folder);
  } catch (error) {
    rmSync(draft, { recursive: true, force: true });
    const other = builtIn(folder);
    // Another command built the same one meanwhile.
    if (other !== undefined) return other;
    throw error;
  }
  pruneReleases(root, Date.now());
  const made = used(folder);
  if (made === undefined) throw new CommandFailure(`the agent's release in ${folder} is not whole; remove it`);
  return made;
}
