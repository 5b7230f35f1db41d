// What we install is pinned by content: npm packages in package-lock.json, Go modules in go.sum.
import { existsSync } from "node:fs";
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { run } from "../../../cli/setup/process.ts";
import { lockedPackages, readRecord, record, text } from "./packages.ts";

const sections = ["dependencies", "devDependencies", "optionalDependencies"];

export async function lockfileFaults(root: string): Promise<string[]> {
  const faults: string[] = [];
  const wanted = await readRecord(join(root, "package.json"));
  const locked = record(record((await readRecord(join(root, "package-lock.json")))["packages"])[""]);
  for (const section of sections) {
    const [ours, theirs] = [record(wanted[section]), record(locked[section])];
    for (const name of new Set([...Object.keys(ours), ...Object.keys(theirs)])) {
      if (ours[name] !== theirs[name])
        faults.push(
          `${name}: package.json says ${text(ours[name]) ?? "nothing"}, package-lock.json ${text(theirs[name]) ?? "nothing"}; run npm install`,
        );
      // A package under another name is written `npm:NAME@VERSION`.
      if (!/^(npm:[^@]+@)?\d+\.\d+\.\d+/.test(text(ours[name]) ?? "0.0.0"))
        faults.push(`${name}: name one version, not the range ${text(ours[name])}`);
    }
  }
  for (const entry of await lockedPackages(root)) {
    if (entry.link) faults.push(`${entry.path}: a link to a folder, which a fresh clone lacks`);
    else if (!entry.integrity?.startsWith("sha512-"))
      faults.push(`${entry.path}: no sha512 integrity in package-lock.json`);
  }
  const listed = await run("npm", ["ls", "--all", "--json"], { cwd: root, timeoutMs: 60_000 });
  if (listed.status !== 0)
    faults.push(`npm ls: ${problems(listed.stdout) || listed.stderr.trim() || (listed.fault ?? "failed")}`);
  return [...faults, ...(await missingOptional(root))];
}

function problems(output: string): string {
  const found = /"problems": \[([^\]]*)\]/.exec(output)?.[1] ?? "";
  return found.trim().slice(0, 3000);
}

/** `npm ci` refuses a lock that leaves out a platform's optional package; npm writes such a lock without a word. */
async function missingOptional(root: string): Promise<string[]> {
  const packages = record((await readRecord(join(root, "package-lock.json")))["packages"]);
  const faults: string[] = [];
  for (const [path, value] of Object.entries(packages)) {
    for (const name of Object.keys(record(record(value)["optionalDependencies"]))) {
      const places = [`${path}/node_modules/${name}`, `node_modules/${name}`];
      if (!places.some((place) => packages[place] !== undefined))
        faults.push(`${name}, optional for ${path}, is not in package-lock.json: npm ci will refuse it`);
    }
  }
  return faults;
}

export async function goSumFaults(root: string): Promise<string[]> {
  const faults: string[] = [];
  const toolchain = join(root, "cli", "toolchain");
  for (const entry of await readdir(toolchain, { withFileTypes: true })) {
    const folder = join(toolchain, entry.name);
    if (!entry.isDirectory() || !existsSync(join(folder, "go.mod"))) continue;
    const modules = await readFile(join(folder, "go.mod"), "utf8");
    const sums = existsSync(join(folder, "go.sum")) ? await readFile(join(folder, "go.sum"), "utf8") : "";
    const replacements = [...modules.matchAll(/^(?:replace |\s+)(\S+)(?: v\S+)? => (\S+ v\S+)/gm)];
    const replaced = new Map(replacements.map(([, name = "", other = ""]) => [name, other]));
    for (const match of modules.matchAll(/^\s*(?:require )?([\w.-]+\.[\w.-]+\/\S+) (v\S+)/gm)) {
      const [, name = "", version = ""] = match;
      const built = replaced.get(name) ?? `${name} ${version}`;
      if (!sums.includes(built))
        faults.push(`cli/toolchain/${entry.name}/go.sum does not pin ${built}: run go mod tidy there`);
    }
  }
  return faults;
}
