import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sentinelFolder, writeFound } from "../../cli/sentinel/folder.ts";
import { labStateFolder } from "../../cli/targets/stateFolder.ts";
import { identityOf } from "../../lab/keeper/folder.ts";
import { abandon } from "../bench/agents/abandon.ts";

describe("benchmark agents, ended by a signal", () => {
  it("leaves neither lab nor Sentinel nor command behind, whoever started the Sentinel, and may find them gone", async () => {
    const root = mkdtempSync(join(tmpdir(), "hive-abandon-"));
    const folder = labStateFolder({ HIVE_STATE_DIR: root });
    const started: ChildProcess[] = [];
    const start = async (env: Readonly<Record<string, string>> = {}): Promise<number> => {
      const child = spawn("sleep", ["600"], { stdio: "ignore", env: { ...process.env, ...env } });
      await once(child, "spawn");
      started.push(child);
      assert.ok(child.pid !== undefined);
      return child.pid;
    };
    try {
      const lab = await start();
      await start({ HIVE_STATE_DIR: root });
      const other = await start({ HIVE_STATE_DIR: `${root}-other` });
      // One that took the place of another: the bench's own child no more than the command line's.
      const identity = identityOf(await start());
      assert.ok(identity !== undefined);
      const runtime = join(root, "run");
      mkdirSync(runtime);
      writeFound(sentinelFolder(folder.lab), { ...identity, runtime, listen: { host: "127.0.0.1", port: 8944 } });
      const ended = started.filter(({ pid }) => pid !== other).map((child) => once(child, "exit"));
      abandon({ folder, info: { pid: lab } });
      assert.deepEqual(
        (await Promise.all(ended)).map(([, signal]: unknown[]) => signal),
        ["SIGKILL", "SIGKILL", "SIGKILL"],
      );
      assert.equal(started.find(({ pid }) => pid === other)?.signalCode, null);
      assert.equal(existsSync(runtime), false);
      abandon({ folder, info: { pid: lab } });
    } finally {
      for (const child of started) child.kill("SIGKILL");
      rmSync(root, { recursive: true, force: true });
    }
  });
});
