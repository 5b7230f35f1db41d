import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import {
  parseRootStep,
  renderRootStep,
  rootOnlyFields,
  type RootOnlySettings,
} from "../../components/shared/rootOnly.ts";
import { shellWord } from "../../components/shared/shell.ts";

/** A `qm` that keeps one guest's configuration in a file, as `key: value` lines, and its run state in another. */
const fakeQm = `#!/bin/sh
set -eu
echo "$*" >>"$QM_FOLDER/calls"
case "$1" in
  config) cat "$QM_FOLDER/config" ;;
  status) echo "status: $(cat "$QM_FOLDER/status")" ;;
  start) echo running >"$QM_FOLDER/status" ;;
  set)
    if [ "\${QM_DEAF:-}" = 1 ]; then exit 0; fi
    shift 2
    cp "$QM_FOLDER/config" "$QM_FOLDER/config.new"
    while [ $# -gt 0 ]; do
      case "$1" in --delete) keys=$2 ;; *) keys=\${1#--} ;; esac
      for key in $(echo "$keys" | tr , ' '); do sed -i "/^$key: /d" "$QM_FOLDER/config.new"; done
      if [ "$1" != --delete ]; then echo "$keys: $2" >>"$QM_FOLDER/config.new"; fi
      shift 2
    done
    mv "$QM_FOLDER/config.new" "$QM_FOLDER/config" ;;
esac
`;

describe("root-only step", () => {
  let folder = "";
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "root-step-"));
    writeFileSync(join(folder, "qm"), fakeQm, { mode: 0o755 });
    writeFileSync(join(folder, "config"), "cores: 8\n");
    writeFileSync(join(folder, "status"), "stopped\n");
    writeFileSync(join(folder, "calls"), "");
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const run = (script: string, environment: Record<string, string> = {}) =>
    spawnSync("/bin/sh", ["-c", script], {
      encoding: "utf8",
      env: { PATH: `${folder}:/usr/bin:/bin`, QM_FOLDER: folder, ...environment },
    });
  const calls = (): string[] => readFileSync(join(folder, "calls"), "utf8").split("\n");
  const settings: RootOnlySettings = { vmId: 100, affinity: "1-11,17-27", hugepagesMiB: 1024, start: true };

  it("sets what is missing, reads it back and starts the guest", () => {
    const { status, stdout, stderr } = run(renderRootStep(settings).create);
    assert.equal(status, 0, stderr);
    assert.equal(stdout.trim(), "guest 100: affinity=1-11,17-27 hugepages=1024");
    assert.equal(readFileSync(join(folder, "config"), "utf8"), "cores: 8\nhugepages: 1024\naffinity: 1-11,17-27\n");
    assert.equal(readFileSync(join(folder, "status"), "utf8").trim(), "running");
  });

  it("changes nothing the second time, and never starts a guest on an update", () => {
    assert.equal(run(renderRootStep(settings).create).status, 0);
    writeFileSync(join(folder, "status"), "stopped\n");
    writeFileSync(join(folder, "calls"), "");
    assert.equal(run(renderRootStep(settings).update).status, 0);
    assert.deepEqual(
      calls().filter((call) => /^(set|start)/.test(call)),
      [],
    );
  });

  it("takes away what is no longer wanted, and nothing else", () => {
    assert.equal(run(renderRootStep(settings).create).status, 0);
    assert.equal(run(renderRootStep({ ...settings, hugepagesMiB: undefined }).update).status, 0);
    assert.equal(readFileSync(join(folder, "config"), "utf8"), "cores: 8\naffinity: 1-11,17-27\n");
  });

  it("fails by name when the host does not keep what it was told", () => {
    const { status, stderr } = run(renderRootStep(settings).create, { QM_DEAF: "1" });
    assert.equal(status, 1);
    assert.match(stderr, /guest 100: hugepages reads back as '', wanted '1024'/);
    assert.equal(readFileSync(join(folder, "status"), "utf8").trim(), "stopped");
  });

  it("sets all of them in one call: whoever finds one relies on the rest, wherever a run was cut off", () => {
    assert.equal(run(renderRootStep(settings).create).status, 0);
    const set = calls().filter((call) => call.startsWith("set"));
    assert.deepEqual(set, ["set 100 --hugepages 1024 --affinity 1-11,17-27"]);
    assert.equal(run(renderRootStep({ ...settings, affinity: "2-3", hugepagesMiB: undefined }).update).status, 0);
    assert.equal(calls().filter((call) => call.startsWith("set"))[1], "set 100 --affinity 2-3 --delete hugepages");
  });

  it("can be read back from its script by the policies", () => {
    assert.deepEqual(parseRootStep(renderRootStep(settings).create), {
      HIVE_VMID: "100",
      HIVE_AFFINITY: "1-11,17-27",
      HIVE_HUGEPAGES: "1024",
    });
  });

  it("covers the fields that it sets", () => {
    for (const field of ["affinity", "hugepages"] as const) assert.ok(rootOnlyFields.includes(field));
  });
});

describe("a word of a shell", () => {
  it("comes out of the shell as it went in", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "grapheme" }).filter((text) => !text.includes("\0")),
        (text) => {
          const { stdout } = spawnSync("/bin/sh", ["-c", `printf %s ${shellWord(text)}`], { encoding: "utf8" });
          assert.equal(stdout, text);
        },
      ),
      { numRuns: 40 },
    );
  });
});
