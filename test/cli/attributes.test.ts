import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { mendAttributes } from "../../cli/repair/attributes.ts";

describe("files that a killed engine left half-made in a backend", () => {
  let backend = "";
  beforeEach(() => (backend = mkdtempSync(join(tmpdir(), "hive-backend-"))));
  afterEach(() => rmSync(backend, { recursive: true, force: true }));

  it("are removed: empty attributes and parts that were never put in place, and nothing else", () => {
    const files = {
      ".pulumi/stacks/hive/genesis.json": "{}",
      ".pulumi/stacks/hive/genesis.json.attrs": "",
      ".pulumi/stacks/hive/genesis.json.bak": "",
      ".pulumi/stacks/hive/genesis.json.bak.attrs": '{"user.content_type":"application/json"}',
      ".pulumi/stacks/hive/genesis.json.18ea16c1826de50b.tmp": "half",
      ".pulumi/history/hive/genesis/a.history.json.attrs": "",
      "elsewhere.attrs": "",
    };
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(backend, name)), { recursive: true });
      writeFileSync(join(backend, name), text);
    }
    mendAttributes(backend);
    assert.deepEqual(
      Object.keys(files).filter((name) => existsSync(join(backend, name))),
      [
        ".pulumi/stacks/hive/genesis.json",
        ".pulumi/stacks/hive/genesis.json.bak",
        ".pulumi/stacks/hive/genesis.json.bak.attrs",
        "elsewhere.attrs",
      ],
    );
    assert.deepEqual(mendAttributes(backend), []);
  });

  it("are none where there is no backend yet", () => {
    assert.deepEqual(mendAttributes(join(backend, "none")), []);
  });
});
