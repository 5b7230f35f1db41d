import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Hive, stackFrames } from "./hive.ts";

const settingsFile = new URL("../../Pulumi.genesis.yaml", import.meta.url);
const digest = (): string => createHash("sha256").update(readFileSync(settingsFile)).digest("hex");

describe("hive for a newcomer", () => {
  const hive = new Hive();
  after(async () => {
    await hive.close();
  });

  for (const command of ["up", "preview", "adopt", "review", "outputs", "destroy", "repair"])
    it(`${command} --target real with an unedited settings file tells all that is missing and writes nothing`, async () => {
      const before = digest();
      const { code, stdout, stderr } = await hive.run([command, "--target", "real", "--json"]);
      assert.equal(code, 1);
      for (const name of ["apiToken", "sshPrivateKey", "publicKeys"]) assert.ok(stderr.includes(name), stderr);
      assert.match(stderr, /nothing was contacted/);
      const document: unknown = JSON.parse(stdout);
      assert.equal(Reflect.get(Object(document), "result"), "failed");
      assert.deepEqual(stackFrames(stderr + stdout), []);
      assert.equal(digest(), before, "the tracked file is as it was");
    });

  it("outputs and destroy before any up say so and succeed, without colour codes", async () => {
    const outputs = await hive.run(["outputs"], { NO_COLOR: "1" });
    assert.equal(outputs.code, 0, outputs.stderr);
    assert.match(outputs.stderr, /exports nothing yet: hive up/);
    assert.equal(outputs.stdout, "");
    // A killed engine may leave this: the state must open all the same.
    writeFileSync(join(hive.folder, "backend/.pulumi/stacks/hive/genesis.json.attrs"), "");
    const destroyed = await hive.run(["destroy", "--yes", "--json"]);
    assert.equal(destroyed.code, 0, destroyed.stderr);
    for (const text of [outputs.stderr, destroyed.stderr, destroyed.stdout])
      assert.equal(text.includes("\u001b["), false, "no escape codes in a pipe");
  });

  it("two ups at once both succeed: the second waits for the first", async () => {
    const both = await Promise.all([hive.run(["up", "--json"]), hive.run(["up", "--json"])]);
    for (const { code, stderr } of both) {
      assert.equal(code, 0, stderr);
      assert.deepEqual(stackFrames(stderr), []);
    }
  });
});
