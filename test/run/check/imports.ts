// Which folder may import which, and how long a file may be (design: imports go one way).
import { readFile } from "node:fs/promises";
import { dirname, join, posix } from "node:path";
import { existsSync } from "node:fs";
import ts from "typescript";
import { filesBelow } from "../../../cli/setup/hashing.ts";

const roots = ["stacks", "components", "runtime-agent", "policies", "cli", "lab", "test"];
/** A file that is longer holds more than one idea; 250 is the aim. */
const mostLines = 350;

interface Rule {
  /** Path prefix of the files it is about. */
  readonly from: string;
  /** True for an import (project path or module name) that is not allowed. */
  readonly forbids: (target: string) => boolean;
  readonly because: string;
}

const under =
  (...folders: string[]) =>
  (target: string): boolean =>
    folders.some((folder) => target === folder || target.startsWith(`${folder}/`));
const input = [
  "node:fs",
  "node:fs/promises",
  "node:net",
  "node:http",
  "node:https",
  "node:http2",
  "node:tls",
  "node:dgram",
  "node:child_process",
];

export const rules: readonly Rule[] = [
  {
    from: "components/shared/",
    forbids: (target) => target.startsWith("@pulumi/") || target.startsWith("@muhlba91/"),
    because: "components/shared is pure: no Pulumi",
  },
  {
    from: "components/shared/",
    forbids: (target) => input.includes(target),
    because: "components/shared is pure: no I/O",
  },
  {
    from: "components/shared/",
    forbids: (target) => under(...roots)(target) && !under("components/shared")(target),
    because: "components/shared imports nothing of the project",
  },
  {
    from: "components/",
    forbids: under("stacks", "cli", "policies", "lab", "runtime-agent"),
    because: "components stand below the stacks and the tools",
  },
  {
    from: "stacks/",
    forbids: under("cli", "policies", "lab", "runtime-agent"),
    because: "stacks import components only",
  },
  {
    from: "policies/",
    forbids: (target) =>
      under("stacks", "runtime-agent", "cli", "lab", "components")(target) && !under("components/shared")(target),
    because: "policies import neither stacks nor agent; contracts are in components/shared",
  },
  {
    from: "lab/",
    forbids: (target) =>
      under("stacks", "cli", "policies", "runtime-agent", "components")(target) && !under("components/shared")(target),
    because: "the lab imports no product code except contracts in components/shared",
  },
  {
    from: "runtime-agent/",
    forbids: (target) =>
      under("stacks", "cli", "policies", "lab", "components")(target) && !under("components/shared")(target),
    because: "the agent shares with the infrastructure only components/shared",
  },
  ...roots
    .filter((root) => root !== "test")
    .map((root) => ({ from: `${root}/`, forbids: under("test"), because: "nothing imports from test/" })),
];

/** The modules that a source text imports, re-exports or loads with `import("…")`. */
export function importsOf(text: string): string[] {
  return ts.preProcessFile(text, true, true).importedFiles.map((file) => file.fileName);
}

/** What is wrong with one file's imports; `file` is its path from the project's root. */
export function faultsOf(file: string, imports: readonly string[]): string[] {
  return imports.flatMap((name) => {
    const target = name.startsWith(".") ? posix.join(dirname(file), name) : name;
    return rules
      .filter((rule) => file.startsWith(rule.from) && rule.forbids(target))
      .map((rule) => `${file} imports ${name}: ${rule.because}`);
  });
}

async function sources(root: string): Promise<string[]> {
  const found: string[] = [];
  for (const folder of roots) {
    if (!existsSync(join(root, folder))) continue;
    for (const file of await filesBelow(join(root, folder)))
      if (/\.(ts|mts|mjs|js|tsx)$/.test(file) && !file.includes("node_modules/")) found.push(`${folder}/${file}`);
  }
  return found;
}

export async function importFaults(root: string): Promise<string[]> {
  const faults: string[] = [];
  for (const file of await sources(root))
    faults.push(...faultsOf(file, importsOf(await readFile(join(root, file), "utf8"))));
  return faults;
}

export async function lengthFaults(root: string): Promise<string[]> {
  const faults: string[] = [];
  for (const file of await sources(root)) {
    const lines = (await readFile(join(root, file), "utf8")).split("\n").length - 1;
    if (lines > mostLines) faults.push(`${file} has ${lines} lines, at most ${mostLines}: split it by idea`);
  }
  return faults;
}
