import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { mendAttributes } from "../../cli/repair/attributes.ts";

describe("files that a killed engine left half-made in a backend", () => {
  let backend = "";
  beforeEach(() => (backend = mkdtempSync(join(tmpdir(), "hive-backend-"))));
  afterEach(() => rmSync(backend, { recursive: true, force: true }));

  it("are removed: empty attributes and parts that were never put in place, and nothing else", async () => {
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
    await mendAttributes(backend);
    assert.deepEqual(
      Object.keys(files).filter((name) => existsSync(join(backend, name))),
      [
        ".pulumi/stacks/hive/genesis.json",
        ".pulumi/stacks/hive/genesis.json.bak",
        ".pulumi/stacks/hive/genesis.json.bak.attrs",
        "elsewhere.attrs",
      ],
    );
    assert.deepEqual(await mendAttributes(backend), []);
  });

  it("are left alone while another engine writes them", async () => {
    const locks = join(backend, ".pulumi/locks/organization/hive/genesis");
    mkdirSync(locks, { recursive: true });
    const part = join(locks, "a.json.18ea2110603b93bb.tmp");
    const attributes = join(locks, "b.json.attrs");
    writeFileSync(part, "{");
    writeFileSync(attributes, "");
    const mended = mendAttributes(backend);
    setTimeout(() => {
      renameSync(part, join(locks, "a.json"));
      writeFileSync(attributes, "{}");
      // The next write makes a part of the same name anew.
      writeFileSync(part, "{");
    }, 100);
    assert.deepEqual(await mended, []);
    assert.ok(existsSync(part) && existsSync(attributes));
  });

  it("are none where there is no backend yet", async () => {
    assert.deepEqual(await mendAttributes(join(backend, "none")), []);
  });
});
