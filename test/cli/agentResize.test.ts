// What `hive agent resize` writes before it changes anything, and takes back when it is refused.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sizeIn, writeAgentSettings } from "../../cli/agents/store.ts";
import { withSize } from "../../cli/commands/agent/resize.ts";
import { CommandFailure } from "../../cli/output/failure.ts";

describe("hive agent resize: the size in the settings", () => {
  const was = process.env["HIVE_STATE_DIR"];
  let root = "";
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "hive-resize-"));
    process.env["HIVE_STATE_DIR"] = root;
  });
  afterEach(() => {
    if (was === undefined) delete process.env["HIVE_STATE_DIR"];
    else process.env["HIVE_STATE_DIR"] = was;
    rmSync(root, { recursive: true });
  });
  const settings = (): string => readFileSync(join(root, "stacks", "Pulumi.agent-ghost.yaml"), "utf8");

  it("is the new one while the move may still be refused, and the one before after a refusal", async () => {
    for (const size of [undefined, "S"]) {
      writeAgentSettings("lab", "ghost", {
        "hive:agent": { kind: "browser-light", ...(size === undefined ? {} : { size }) },
      });
      const asked = (): Promise<never> => {
        assert.equal(sizeIn("lab", "ghost"), "M");
        return Promise.reject(new CommandFailure("the server of ghost was handed to the reaper"));
      };
      await assert.rejects(withSize("lab", "ghost", "M", asked), /handed to the reaper/);
      assert.equal(sizeIn("lab", "ghost"), size);
      assert.equal(settings().includes("size"), size !== undefined);
    }
  });

  it("stays when nothing refuses it", async () => {
    writeAgentSettings("lab", "ghost", { "hive:agent": { kind: "browser-light", size: "S" } });
    assert.equal(await withSize("lab", "ghost", "M", () => Promise.resolve("opened")), "opened");
    assert.equal(sizeIn("lab", "ghost"), "M");
  });
});
