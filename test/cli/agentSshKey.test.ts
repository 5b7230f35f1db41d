/** When `hive up` of an agent asks the Sentinel for the key that it logs in with. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fitSshKey } from "../../cli/agents/sentinelSshKey.ts";
import { agentSettings, writeAgentSettings } from "../../cli/agents/store.ts";

const keyOf = (letter: string): string => `ssh-ed25519 ${letter.repeat(68)}`;

describe("hive up: the Sentinel's SSH key in an agent's settings", () => {
  const was = process.env["HIVE_STATE_DIR"];
  let root = "";
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "ssh-key-"));
    process.env["HIVE_STATE_DIR"] = root;
  });
  afterEach(() => {
    if (was === undefined) delete process.env["HIVE_STATE_DIR"];
    else process.env["HIVE_STATE_DIR"] = was;
    rmSync(root, { recursive: true });
  });

  /** Section `sentinel` afterwards, and how often the Sentinel was asked. */
  async function fitted(transport: string | undefined, sshKey: string | undefined): Promise<[unknown, number]> {
    writeAgentSettings("lab", "x", {
      "hive:agent": { name: "x", ...(transport === undefined ? {} : { transport }) },
      "hive:sentinel": { host: "203.0.113.1", port: 8944, ...(sshKey === undefined ? {} : { sshKey }) },
    });
    let asked = 0;
    const sentinel = {
      sshKey: () => {
        asked += 1;
        return Promise.resolve(keyOf("N"));
      },
    };
    await fitSshKey(sentinel, "lab", "x");
    return [agentSettings("lab", "x").config["hive:sentinel"], asked];
  }
  const at = { host: "203.0.113.1", port: 8944 };

  it("is renewed when the Sentinel has another one by now", async () => {
    for (const before of [keyOf("O"), keyOf("N"), undefined])
      assert.deepEqual(await fitted("ssh", before), [{ ...at, sshKey: keyOf("N") }, 1]);
  });

  it("is not asked for by an agent that is reached by HTTP", async () => {
    for (const transport of ["http", undefined]) assert.deepEqual(await fitted(transport, undefined), [at, 0]);
  });
});
