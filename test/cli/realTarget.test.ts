import assert from "node:assert/strict";
import { wellFormedSecrets } from "../../components/shared/genesisSecrets.ts";
import { aimed, speakFor } from "../../cli/output/terminal.ts";
import { backendFolderOf } from "../../cli/targets/real.ts";
import { readTracked } from "../../cli/targets/tracked.ts";
import { unfinishedSettings } from "../../cli/targets/unfinished.ts";

describe("the user's own target", () => {
  it("takes every encrypted secret for a good one, the Keeper's too: only the engine can read them", () => {
    const tracked = readTracked("genesis");
    const secrets = Object.fromEntries(
      Object.keys(wellFormedSecrets).map((name) => [`${tracked.project}:${name}`, { secure: "v1:AAAA" }]),
    );
    const keeper = {
      ...{ tarball: "hive-agent-0.1.0-linux-x64.tar.gz", sha256: "ab".repeat(32), version: "0.1.0" },
      watchdog: { type: "udp", address: "192.168.1.60:6060" },
    };
    const admin = { user: "hive", publicKeys: [`ssh-ed25519 ${"A".repeat(68)} me@home`] };
    const more = { ...secrets, [`${tracked.project}:keeper`]: keeper, [`${tracked.project}:admin`]: admin };
    const faults = unfinishedSettings("genesis", { ...tracked, config: { ...tracked.config, ...more } }, false);
    assert.deepEqual(
      faults.filter(({ property }) => /keeper|Token|Key/.test(property)),
      [],
    );
  });

  it("finds a file backend where the engine has it", () => {
    assert.equal(backendFolderOf("file:///srv/state", "/home/me", "/srv/project"), "/srv/state");
    assert.equal(backendFolderOf("file://~", "/home/me", "/srv/project"), "/home/me");
    assert.equal(backendFolderOf("file://~/hive", "/home/me", "/srv/project"), "/home/me/hive");
    assert.equal(backendFolderOf("file://./state", "/home/me", "/srv/project"), "/srv/project/state");
    assert.equal(backendFolderOf("s3://bucket", "/home/me", "/srv/project"), undefined);
    assert.equal(backendFolderOf(undefined, "/home/me", "/srv/project"), undefined);
  });

  it("is named in every command that a message gives, once", () => {
    const text = "Take it in: hive adopt --only 100. Or run: hive up --target real, or hive doctor";
    assert.equal(aimed(text), text, "the lab is the default");
    speakFor("real");
    try {
      assert.equal(
        aimed(text),
        "Take it in: hive adopt --target real --only 100. Or run: hive up --target real, or hive doctor --target real",
      );
    } finally {
      speakFor("lab");
    }
  });
});
