/** The type check of the whole project against a program that only has the same imports. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { filesBelow } from "../../../cli/setup/hashing.ts";
import { projectRoot } from "../../../cli/setup/paths.ts";
import { typesCommand } from "../../run/check/types.ts";
import { undoOnSignal } from "../cleanup.ts";
import { type Figures, type Pair, median, medianRatio, ratioRange } from "../statistics.ts";
import { type MeasuredRun, measuredRun } from "./measuredRun.ts";

/** Every package and built-in module that a source text imports, types included; paths of the project are left out. */
export function packagesOf(text: string): string[] {
  return ts
    .preProcessFile(text, true, true)
    .importedFiles.flatMap(({ fileName }) => (fileName.startsWith(".") || fileName.startsWith("/") ? [] : [fileName]));
}

/** One file that imports all of them and uses each once. */
export function bareImports(packages: readonly string[]): string {
  const sorted = [...new Set(packages)].sort();
  return [
    ...sorted.map((name, index) => `import * as m${String(index)} from ${JSON.stringify(name)};`),
    `export const all: readonly unknown[] = [${sorted.map((_, index) => `m${String(index)}`).join(", ")}];`,
    "",
  ].join("\n");
}

/** Folders that the project's own tsconfig.json checks. */
function includedFolders(): string[] {
  const { config } = ts.readConfigFile(join(projectRoot, "tsconfig.json"), (file) => readFileSync(file, "utf8")) as {
    config?: { include?: string[] };
  };
  return config?.include ?? [];
}

/** What the engine runs, without the command line, the lab, the policies and the tests. */
const programFolders = ["stacks", "components"];

/** Every package that the sources below some folders of the project import. */
async function packagesBelow(folders: readonly string[]): Promise<string[]> {
  const packages: string[] = [];
  for (const root of folders)
    for (const file of await filesBelow(join(projectRoot, root)).catch(() => []))
      if (/\.m?ts$/.test(file)) packages.push(...packagesOf(readFileSync(join(projectRoot, root, file), "utf8")));
  // The project's own name is no package of others.
  return packages.filter((name) => name !== "pulumi-hive");
}

/** Writes a tsconfig.json that differs from the project's own in what it includes. */
function configBelow(folder: string, include: readonly string[]): string {
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(folder, "tsconfig.json"),
    JSON.stringify({ extends: join(projectRoot, "tsconfig.json"), include }),
  );
  return folder;
}

/** A program that only imports what some folders import, ready to be checked. */
async function bareBelow(folder: string, folders: readonly string[]): Promise<string> {
  configBelow(folder, ["bare.ts"]);
  writeFileSync(join(folder, "bare.ts"), bareImports(await packagesBelow(folders)));
  return folder;
}

/**
 * The two compilers: the native one (TypeScript 7) is the checker of this project (`npm run check`); the other
 * (TypeScript 5.9) is the one that a Pulumi program has, for Pulumi cannot load the native one.
 */
type Compiler = "typescript-native" | "typescript";

function check(compiler: Compiler, project: string): Promise<MeasuredRun> {
  const [script, ...args] = compiler === "typescript-native" ? typesCommand : ["typescript/bin/tsc", "-p"];
  const tsc = join(projectRoot, "node_modules", script);
  // Errors are the business of `npm run check`: finding them takes no less time. Watched often: the native one is quick.
  return measuredRun(process.execPath, [tsc, ...args, project], { cwd: projectRoot, watch: true, accept: [0, 1, 2] });
}

interface Row {
  /** All of the tree as `npm run check` checks it. */
  readonly tree: MeasuredRun;
  /** The bare program as a Pulumi program is checked. */
  readonly bareTree: MeasuredRun;
  /** Both by one compiler, for whoever wants the cost of our own lines alone. */
  readonly treeByPulumis: MeasuredRun;
  readonly bareTreeByNative: MeasuredRun;
  readonly program: MeasuredRun;
  readonly bareProgram: MeasuredRun;
}

/**
 * All of the tree (tests and lab included), checked as this project is, against one file with all of its imports,
 * checked as a Pulumi program is; the same with one compiler on both sides, which counts our own lines and is told
 * without a limit; and with Pulumi's compiler on both sides for what the engine runs, stacks and components.
 */
export async function measureTypecheck(runs: number, say: (line: string) => void): Promise<Figures> {
  const folder = join(projectRoot, ".hive", `bench-types-${String(process.pid)}`);
  const clear = (): void => {
    rmSync(folder, { recursive: true, force: true });
  };
  const done = undoOnSignal(clear);
  try {
    const program = configBelow(
      join(folder, "program"),
      programFolders.map((each) => join(projectRoot, each)),
    );
    const bareTree = await bareBelow(join(folder, "bare-tree"), includedFolders());
    const bareProgram = await bareBelow(join(folder, "bare-program"), programFolders);
    for (const bare of [bareTree, bareProgram])
      if ((await check("typescript", bare)).status !== 0)
        throw new Error(`the bare program does not compile: tsc -p ${bare}`);
    const rows: Row[] = [];
    for (let index = 0; index < runs; index++) {
      const row = {
        tree: await check("typescript-native", "."),
        bareTree: await check("typescript", bareTree),
        treeByPulumis: await check("typescript", "."),
        bareTreeByNative: await check("typescript-native", bareTree),
        program: await check("typescript", program),
        bareProgram: await check("typescript", bareProgram),
      };
      rows.push(row);
      say(
        `typecheck: ${String(index + 1)} of ${String(runs)}: tree ${seconds(row.tree)}, its imports alone as a Pulumi program ${seconds(row.bareTree)}; stacks and components ${seconds(row.program)}, theirs ${seconds(row.bareProgram)}`,
      );
    }
    return figuresOf(rows);
  } finally {
    done();
    clear();
  }
}

function figuresOf(rows: readonly Row[]): Figures {
  const pairs: Pair[] = rows.map(({ tree, bareTree }) => ({ ours: tree.ms, bare: bareTree.ms }));
  const programs: Pair[] = rows.map(({ program, bareProgram }) => ({ ours: program.ms, bare: bareProgram.ms }));
  const range = ratioRange(pairs);
  return {
    typecheckRatio: medianRatio(pairs),
    typecheckLowestRatio: range.low,
    typecheckHighestRatio: range.high,
    typecheckPeakMiB: median(rows.map(({ tree }) => tree.peakMiB)),
    bareTypecheckPeakMiB: median(rows.map(({ bareTree }) => bareTree.peakMiB)),
    typecheckSeconds: median(pairs.map(({ ours }) => ours / 1000)),
    typecheckByPulumisCompilerRatio: medianRatio(
      rows.map(({ treeByPulumis, bareTree }) => ({ ours: treeByPulumis.ms, bare: bareTree.ms })),
    ),
    typecheckByPulumisCompilerPeakMiB: median(rows.map(({ treeByPulumis }) => treeByPulumis.peakMiB)),
    typecheckByNativeCompilerRatio: medianRatio(
      rows.map(({ tree, bareTreeByNative }) => ({ ours: tree.ms, bare: bareTreeByNative.ms })),
    ),
    bareTypecheckSeconds: median(pairs.map(({ bare }) => bare / 1000)),
    programTypecheckRatio: medianRatio(programs),
    programTypecheckPeakMiB: median(rows.map(({ program }) => program.peakMiB)),
    programTypecheckSeconds: median(programs.map(({ ours }) => ours / 1000)),
    bareProgramTypecheckSeconds: median(programs.map(({ bare }) => bare / 1000)),
  };
}

const seconds = ({ ms }: MeasuredRun): string => `${(ms / 1000).toFixed(2)} s`;
