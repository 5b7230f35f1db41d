/**
 * An agent's own sources as one tarball: that folder alone, byte for byte the same for the same files, wherever and
 * whenever it is packed. Pure; who reads the folder asks {@link isLeftOut} before it looks into a subfolder.
 */
import { createHash } from "node:crypto";
import { checked, fault, faultInWords } from "../check.ts";
import { fitsUstar, ustar, type ArchiveEntry } from "../ustar.ts";
import { heavyAgentPaths } from "./heavyAgent.ts";
import type { Checked, Fault } from "../faults.ts";

/** One thing in the folder. */
export type SourceEntry = {
  /** Path from the folder on, with slashes. */
  readonly path: string;
} & (
  | { readonly kind: "file"; readonly executable: boolean; readonly content: Buffer }
  /** A file of so many bytes, or a folder, that was not read: all of them together are too much. */
  | { readonly kind: "unread"; readonly bytes: number }
  /** `other` is a socket, a device or a pipe; `changing` a file that was not the same from one look to the next. */
  | { readonly kind: "link" | "other" | "changing" }
);

/** The tarball, and what identifies it. */
export interface PackedSources {
  /** Not compressed: what gzip makes of the same bytes differs from one zlib to the next. */
  readonly tar: Buffer;
  /** Lower-case hexadecimal. */
  readonly sha256: string;
  readonly files: number;
}

/** The file that an agent is started by. */
export interface EntryPoint {
  readonly path: string;
  /** Whether Linux starts the file itself; else it is an argument of another program. */
  readonly started: boolean;
}

/** The launcher of an agent in its sources, unless it says what to execute. */
const launcher: EntryPoint = { path: "run", started: true };

/** What must be in the sources for an agent to start; undefined where it starts something of the server's own. */
export function entryPointOf(name: string, exec: readonly string[] | undefined): EntryPoint | undefined {
  if (exec === undefined) return launcher;
  const folder = `${heavyAgentPaths.sources.replace("%i", name)}/`;
  const index = exec.findIndex((word) => word.startsWith(folder));
  return index < 0 ? undefined : { path: exec[index]?.slice(folder.length) ?? "", started: index === 0 };
}

/** Most that an agent's sources may be: who reads a folder goes no further. */
export const mostSources = { files: 20_000, bytes: 256 * 1024 * 1024 };

/**
 * Whether a path does not belong to the sources although it is in their folder: version control, and what a package
 * manager leaves for the machine it ran on (its links among it).
 */
export function isLeftOut(path: string): boolean {
  return /(?:^|\/)(?:\.git|\.hg|\.svn|\.DS_Store)(?:\/|$)|(?:^|\/)node_modules\/\.[^/]*(?:\/|$)/.test(path);
}

/** A file that usually holds secrets: it would lie readable on the server, and in every copy of the tarball. */
function holdsSecrets(path: string, content: Buffer | undefined): boolean {
  const name = path.slice(path.lastIndexOf("/") + 1);
  if (/^\.env(?:\.(?!example$|sample$|template$).*)?$/.test(name)) return true;
  // Published packages carry keys for their own tests.
  return !/(?:^|\/)node_modules\//.test(path) && content?.includes("PRIVATE KEY-----") === true;
}

function entryFaults(entry: SourceEntry): Fault[] {
  const { path, kind } = entry;
  const parts = path.split("/");
  if (parts.some((part) => part === "" || part === "." || part === "..") || /[\\\p{Cc}]/u.test(path))
    return [fault("sources", path, "paths inside the agent's folder", "Rename it, or move it into the folder.")];
  if (kind === "link") {
    const fix = "Put the file itself there: a link can lead out of the folder, and leads nowhere on the server.";
    return [fault("sources", path, "no symbolic links", fix)];
  }
  if (kind === "other") return [fault("sources", path, "files and folders", "Remove it.")];
  if (kind === "changing")
    return [fault("sources", path, "files that stay as they are", "End what writes it, and do this again.")];
  if (!fitsUstar(path))
    return [fault("sources", path, "at most 255 bytes, no part above 100", "Shorten the names on the way to it.")];
  if (holdsSecrets(path, entry.kind === "file" ? entry.content : undefined)) {
    const fix = "Give it as the stack's secret `environment`, or leave it out of the folder.";
    return [fault("sources", path, "no file of secrets", fix)];
  }
  return [];
}

/** A script with its interpreter, or a program of Linux. */
function canBeStarted(content: Buffer): boolean {
  return content.subarray(0, 2).toString("latin1") === "#!" || content.subarray(0, 4).toString("latin1") === "\x7fELF";
}

function entryPointFaults(files: ReadonlyMap<string, Buffer>, { path, started }: EntryPoint): Fault[] {
  const found = files.get(path);
  const property = `sources/${path}`;
  const fix = "Write one that starts the agent; its first line names the interpreter, such as #!/usr/bin/env node.";
  if (found === undefined) return [fault(property, undefined, "a file in the agent's folder", fix)];
  if (!started || canBeStarted(found)) return [];
  const limit = "a script that begins with #!, or an ELF program";
  return [faultInWords(property, "a file that Linux cannot start", limit, fix)];
}

/** Too many files or bytes, which includes all that was not read for that. */
function sizeFaults(sizes: readonly number[], allRead: boolean): Fault[] {
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  if (allRead && sizes.length <= mostSources.files && bytes <= mostSources.bytes) return [];
  const value = `${String(sizes.length)} files and folders or more, ${String(bytes)} bytes or more`;
  const limit = `at most ${String(mostSources.files)} files, ${String(mostSources.bytes)} bytes together`;
  return [faultInWords("sources", value, limit, "Bundle the agent, or keep its data elsewhere.")];
}

/**
 * Packs an agent's sources. The entry point becomes executable whatever the file system says, for one that knows no
 * such bit would otherwise pack an agent that cannot start.
 * @returns the tarball, or every fault of the sources.
 */
export function packSources(
  entries: readonly SourceEntry[],
  entryPoint: EntryPoint | undefined,
): Checked<PackedSources> {
  const wanted = entries.filter(({ path }) => !isLeftOut(path));
  const files = new Map(wanted.flatMap((entry) => (entry.kind === "file" ? [[entry.path, entry.content]] : [])));
  const unread = wanted.filter((entry) => entry.kind === "unread");
  const faults = wanted.flatMap(entryFaults);
  // Of one that was not read nobody knows whether Linux can start it.
  if (entryPoint !== undefined && !unread.some(({ path }) => path === entryPoint.path))
    faults.push(...entryPointFaults(files, entryPoint));
  const sizes = [...[...files.values()].map(({ length }) => length), ...unread.map(({ bytes }) => bytes)];
  faults.push(...sizeFaults(sizes, unread.length === 0));
  if (faults.length > 0) return { ok: false, faults };

  const packed = wanted.flatMap((entry): ArchiveEntry[] => {
    if (entry.kind !== "file") return [];
    const mode = entry.executable || (entryPoint?.started === true && entry.path === entryPoint.path) ? 0o755 : 0o644;
    return [{ name: entry.path, mode, content: entry.content }];
  });
  const tar = ustar(packed);
  const sha256 = createHash("sha256").update(tar).digest("hex");
  return checked([], { tar, sha256, files: packed.length });
}
