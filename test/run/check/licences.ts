// Every package we install may be used in a product under Apache-2.0.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type LockedPackage, lockedPackages, packageName, readRecord, record, text } from "./packages.ts";

const permissive = new Set([
  "0BSD",
  "Apache-2.0",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "BlueOak-1.0.0",
  "CC0-1.0",
  "ISC",
  "MIT",
  "MIT-0",
  "PSF-2.0",
  "Python-2.0",
  "Unlicense",
]);

/** Packages whose licence field needs a person's reading, with what was read. */
const read: Readonly<Record<string, string>> = {
  "@logdna/tail-file": "its LICENSE file is the MIT licence",
  "spdx-exceptions": "CC-BY-3.0: a list of licence names, not code; attribution is in its package",
};

/** True for an SPDX expression of permissive licences: any side of an OR, all sides of an AND. */
export function isPermissive(expression: string): boolean {
  const bare = expression.trim().replace(/^\((.*)\)$/, "$1");
  if (/[()]/.test(bare)) return false;
  return bare
    .split(/\s+OR\s+/)
    .some((choice) => choice.split(/\s+AND\s+/).every((name) => permissive.has(name.trim())));
}

/** The licence a package states: in the lockfile, or in its own package.json in one of npm's older forms. */
async function statedLicence(root: string, entry: LockedPackage): Promise<string | undefined> {
  if (entry.license !== undefined) return entry.license;
  const file = join(root, entry.path, "package.json");
  if (!existsSync(file)) return undefined;
  const content = await readRecord(file);
  const old = Array.isArray(content["licenses"]) ? record(content["licenses"][0]) : record(content["license"]);
  return text(content["license"]) ?? text(old["type"]);
}

export async function licenceFaults(root: string): Promise<string[]> {
  const faults: string[] = [];
  const used = new Set<string>();
  for (const entry of await lockedPackages(root)) {
    const name = packageName(entry.path);
    if (read[name] !== undefined) {
      used.add(name);
      continue;
    }
    const licence = await statedLicence(root, entry);
    if (licence === undefined && entry.optional && !existsSync(join(root, entry.path))) continue;
    if (licence === undefined || !isPermissive(licence))
      faults.push(
        `${name} ${entry.version ?? ""}: licence ${licence ?? "not stated"} is not on the permissive list; choose another package`,
      );
  }
  for (const name of Object.keys(read))
    if (!used.has(name)) faults.push(`${name} is excepted but no longer installed: remove the exception`);
  return faults;
}
