// package-lock.json as the checks see it.
import { readFile } from "node:fs/promises";
import { join } from "node:path";

export interface LockedPackage {
  /** Path from the project's root, such as `node_modules/yaml`. */
  readonly path: string;
  readonly version: string | undefined;
  readonly integrity: string | undefined;
  readonly license: string | undefined;
  readonly optional: boolean;
  readonly link: boolean;
}

export function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? Object.fromEntries(Object.entries(value)) : {};
}

export function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

export async function readRecord(file: string): Promise<Readonly<Record<string, unknown>>> {
  return record(JSON.parse(await readFile(file, "utf8")));
}

export async function lockedPackages(root: string): Promise<LockedPackage[]> {
  const lock = await readRecord(join(root, "package-lock.json"));
  return Object.entries(record(lock["packages"]))
    .filter(([path]) => path !== "")
    .map(([path, value]) => {
      const entry = record(value);
      return {
        path,
        version: text(entry["version"]),
        integrity: text(entry["integrity"]),
        license: text(entry["license"]),
        optional: entry["optional"] === true || entry["devOptional"] === true,
        link: entry["link"] === true,
      };
    });
}

/** A package's name, from its path in node_modules. */
export function packageName(path: string): string {
  return path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);
}
