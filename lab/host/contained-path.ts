// A path as a chroot would see it: `..` stops at the root, absolute links start at the root, links are followed by hand.
import { lstatSync, readlinkSync } from "node:fs";
import { join, sep } from "node:path";
import { isErrno } from "./files.ts";

const maxLinks = 40; // Linux' own limit (path_resolution(7))
const maxPathBytes = 4096;

export class PathRefused extends Error {}

/**
 * Turns a client's path into one below `root`. The result has no link in any component but, with
 * `followLast: false`, the last. Parts that do not exist yet are kept as they are.
 * @throws PathRefused for NUL bytes, over-long paths and link loops.
 */
export function containedPath(root: string, path: string, options: { followLast: boolean }): string {
  if (path.includes("\0")) throw new PathRefused("path contains a NUL byte");
  if (Buffer.byteLength(path) > maxPathBytes) throw new PathRefused(`path is longer than ${maxPathBytes} bytes`);
  const pending = path.split("/").reverse();
  const resolved: string[] = [];
  let links = 0;
  for (let part = pending.pop(); part !== undefined; part = pending.pop()) {
    if (part === "" || part === ".") continue;
    if (part === "..") {
      resolved.pop();
      continue;
    }
    const isLast = pending.every((rest) => rest === "" || rest === ".");
    const target = isLast && !options.followLast ? undefined : linkTarget(join(root, ...resolved, part));
    if (target === undefined) {
      resolved.push(part);
      continue;
    }
    links += 1;
    if (links > maxLinks) throw new PathRefused("too many symbolic links");
    if (target.startsWith("/")) resolved.length = 0;
    pending.push(...target.split("/").reverse());
  }
  return join(root, ...resolved);
}

function linkTarget(path: string): string | undefined {
  try {
    return lstatSync(path).isSymbolicLink() ? readlinkSync(path) : undefined;
  } catch (error) {
    if (isErrno(error, "ENOENT") || isErrno(error, "ENOTDIR") || isErrno(error, "EACCES")) return undefined;
    throw error;
  }
}

/** True when `path` is `root` or below it. */
export function isBelow(root: string, path: string): boolean {
  return path === root || path.startsWith(root.endsWith(sep) ? root : root + sep);
}
