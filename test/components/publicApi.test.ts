import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import ts from "typescript";

const root = join(import.meta.dirname, "../..");
const snapshotFile = join(root, "test/components/publicApi.snapshot.d.ts.txt");

/** The declarations of the library's entry and of every module of ours that they reach. */
function emitDeclarations(): string {
  const configFile = ts.readConfigFile(join(root, "tsconfig.json"), (path) => ts.sys.readFile(path));
  const { options } = ts.parseJsonConfigFileContent(configFile.config, ts.sys, root);
  const entry = join(root, "components/index.ts");
  const program = ts.createProgram([entry], {
    ...options,
    noEmit: false,
    declaration: true,
    emitDeclarationOnly: true,
    outDir: "/declarations",
    rootDir: root,
  });
  const declarations = new Map<string, string>();
  program.emit(undefined, (path, text) => {
    declarations.set(relative("/declarations", path), text);
  });

  const reached = new Set<string>();
  const visit = (path: string): void => {
    const text = declarations.get(path);
    if (text === undefined || reached.has(path)) return;
    reached.add(path);
    for (const [, target] of text.matchAll(/from "(\.[^"]+)\.(?:ts|js)"/g)) {
      visit(join(dirname(path), `${String(target)}.d.ts`));
    }
  };
  visit("components/index.d.ts");
  return [...reached]
    .toSorted()
    .map((path) => `// ${path}\n${declarations.get(path) ?? ""}`)
    .join("\n");
}

describe("public API", () => {
  it("is the one that was agreed: changes show in the snapshot's diff", function () {
    this.timeout(120_000);
    const actual = emitDeclarations();
    if (process.env["UPDATE_SNAPSHOTS"] === "1") {
      mkdirSync(dirname(snapshotFile), { recursive: true });
      writeFileSync(snapshotFile, actual);
    }
    assert.equal(
      actual,
      readFileSync(snapshotFile, "utf8"),
      "the library's declarations changed; if that is meant, run the test with UPDATE_SNAPSHOTS=1 and commit the diff",
    );
  });
});
