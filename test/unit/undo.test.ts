import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { forgetsUndo, keepsUndo, undoFile, undoFolder, undoOwner } from "../../components/shared/undo.ts";

describe("undoing of steps", () => {
  const owner = { project: "hive", stack: "genesis", step: "host-firewall-enable" };
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "hive-undo-"));
  });
  afterEach(() => {
    rmSync(root, { recursive: true, force: true });
  });
  // The scripts name a folder of the host; here it lies below a temporary one.
  const run = (script: string): number | null =>
    spawnSync("sh", ["-c", script.replaceAll(undoFolder, join(root, "undo"))]).status;
  const kept = (): string[] => (existsSync(join(root, "undo")) ? readdirSync(join(root, "undo")) : []);
  const made = (): string => join(root, "made");
  const file = undoFile(owner);
  const undo = (): string => `set -eu\n[ -e '${made()}' ] || exit 0\nrm '${made()}'\n`;

  it("lies on the host before the step begins, and takes back a step that failed half-way", () => {
    assert.equal(run(keepsUndo(file, `set -eu\ntouch '${made()}'\nfalse\n`, undo())), 1);
    assert.ok(existsSync(made()));
    assert.deepEqual(kept(), ["hive~genesis~host-firewall-enable.sh"]);
    assert.equal(run(`sh ${file}`), 0);
    assert.ok(!existsSync(made()));
    assert.deepEqual(kept(), []);
  });

  it("goes with the step's own removal, which may find nothing to do and be run twice", () => {
    assert.equal(run(keepsUndo(file, `touch '${made()}'\n`, undo())), 0);
    assert.equal(run(forgetsUndo(file, undo())), 0);
    assert.equal(run(forgetsUndo(file, undo())), 0);
    assert.deepEqual([existsSync(made()), kept()], [false, []]);
  });

  it("stays, marked as begun, when the removal fails, until the step is made again or the undoing ends", () => {
    const name = "hive~genesis~host-firewall-enable.sh";
    run(keepsUndo(file, "true\n", "set -eu\nfalse\ntrue"));
    assert.deepEqual(kept(), [name]);
    assert.equal(run(forgetsUndo(file, "set -eu\nfalse\ntrue")), 1);
    assert.deepEqual(kept().sort(), [name, `${name}.begun`]);
    run(keepsUndo(file, "true\n", undo()));
    assert.deepEqual(kept(), [name]);
    assert.equal(run(forgetsUndo(file, "set -eu\nfalse\ntrue")), 1);
    assert.equal(run(`sh ${file}`), 0);
    assert.deepEqual(kept(), []);
  });

  it("names its owner, and no other file does", () => {
    assert.deepEqual(undoOwner(file.split("/").at(-1) ?? ""), owner);
    assert.equal(undoOwner("firewall.before"), undefined);
    assert.equal(undoOwner("hive~genesis~a b.sh"), undefined);
  });
});
