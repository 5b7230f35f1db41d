import { readFile, readdir } from "node:fs/promises";
import path from "node:path";

/** Folders of the packages that files of a bundle came from, relative to the root, sorted. */
export function packagesOf(inputs: readonly string[]): readonly string[] {
  const folders = inputs.flatMap((input) => {
    const [found] = /^.*node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(input) ?? [];
    return found === undefined ? [] : [found];
  });
  return [...new Set(folders)].toSorted();
}

function textOf(manifest: unknown, key: string): string {
  if (typeof manifest !== "object" || manifest === null) return "";
  const value: unknown = Object.entries(manifest).find(([name]) => name === key)?.[1];
  return typeof value === "string" ? value : "";
}

/** The licence as a manifest names it: old ones (ssh2) still have a list, `licenses: [{ type }]`. */
function licenceOf(manifest: unknown): string {
  const listed: unknown = typeof manifest === "object" && manifest !== null && Reflect.get(manifest, "licenses");
  return textOf(manifest, "license") || (Array.isArray(listed) && listed.length === 1 ? textOf(listed[0], "type") : "");
}

/** Licences that may be shipped: permissive ones only. */
const permissive = new Set(["MIT", "ISC", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "0BSD", "Unlicense"]);

/** Name, version and licence text of each package. Throws when one has none, or one that is not permissive. */
export async function licenceNotes(root: string, packages: readonly string[]): Promise<string> {
  const notes = await Promise.all(
    packages.map(async (folder) => {
      const place = path.join(root, folder);
      const manifest: unknown = JSON.parse(await readFile(path.join(place, "package.json"), "utf8"));
      const licence = licenceOf(manifest);
      const name = `${textOf(manifest, "name")} ${textOf(manifest, "version")}`;
      if (!permissive.has(licence)) throw new Error(`${name}: licence "${licence}" may not be shipped`);
      const file = (await readdir(place)).toSorted().find((entry) => /^licen[cs]e(?:\.(?:md|txt))?$/i.test(entry));
      // A package without the file names its licence, and that is what can be said.
      const text = file === undefined ? `Licensed under ${licence}.` : await readFile(path.join(place, file), "utf8");
      return `${name} (${licence})\n\n${text.replaceAll("\r\n", "\n").trim()}\n`;
    }),
  );
  return notes.join(`\n${"-".repeat(80)}\n\n`);
}
