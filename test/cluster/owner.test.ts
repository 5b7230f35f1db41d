import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ClusterTools } from "../../cli/setup/cluster.ts";
import { startCluster } from "../../lab/cluster/index.ts";
import { clusterToolsOrSkip, processesNaming } from "../support/cluster.ts";
import { awaitTrue } from "../support/liveProcess.ts";

describe("the owner of a control plane", () => {
  let tools: ClusterTools;
  let parent: string;

  before(async function () {
    tools = await clusterToolsOrSkip(this);
  });
  beforeEach(() => {
    parent = mkdtempSync(join(tmpdir(), "hive-cluster-test-"));
  });
  afterEach(() => {
    // What a failing test leaves.
    for (const pid of processesNaming(parent)) process.kill(pid, "SIGKILL");
    rmSync(parent, { recursive: true, force: true });
  });

  const startOwner = (): ChildProcess => {
    const owner = join(import.meta.dirname, "ownerChild.ts");
    return spawn(process.execPath, [owner, JSON.stringify({ programs: tools, parent })], {
      stdio: ["ignore", "pipe", "inherit"],
    });
  };
  const nothingLeft = async (): Promise<void> => {
    await awaitTrue(() => processesNaming(parent).length === 0, "every process has gone");
    await awaitTrue(() => readdirSync(parent).length === 0, "the folder has gone");
  };

  it("leaves no process and no folder when it is killed", async () => {
    const owner = startOwner();
    assert.ok(owner.stdout);
    await once(owner.stdout, "data");
    // Five programs, the owner, and the one that removes the folder.
    assert.equal(processesNaming(parent).length, 7);
    owner.kill("SIGKILL");
    await nothingLeft();
  });

  it("leaves none either when it is killed while it starts", async () => {
    const owner = startOwner();
    const log = (): boolean => readdirSync(parent).some((name) => existsSync(join(parent, name, "kube-apiserver.log")));
    await awaitTrue(log, "the API server is started");
    owner.kill("SIGKILL");
    await nothingLeft();
  });

  it("hears which program ended and what it said, and is left with nothing", async () => {
    const broken = join(parent, "control-plane");
    writeFileSync(broken, '#!/bin/sh\necho "$1: no such store" >&2\nexit 7\n', { mode: 0o755 });
    await assert.rejects(startCluster({ programs: { ...tools, controlPlane: broken }, parent }), (error) => {
      assert.match(String(error), /ended \(status 7\):\n(etcd|kube-apiserver): no such store/);
      return true;
    });
    assert.deepEqual(readdirSync(parent), ["control-plane"]);
  });
});
