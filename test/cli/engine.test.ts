import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { ComponentResource } from "@pulumi/pulumi";
import { openSession, type Session } from "../../cli/engine/session.ts";
import { clearLocks } from "../../cli/repair/execute.ts";
import { clearReportedLocks } from "../../cli/repair/reportedLock.ts";
import { lockFolder, readLocks } from "../../cli/repair/lock.ts";
import { labEnvironment } from "../../cli/targets/environment.ts";
import type { Target } from "../../cli/targets/target.ts";
import { skip } from "../run/skip.ts";
import { findEngine } from "../support/engine.ts";

const engine = findEngine();
const engineFile = "missing" in engine ? undefined : join(engine.folder, "pulumi");
const secret = "canary-4f1d9a-secret";

describe("engine adapter", function () {
  this.timeout(120_000);
  let root: string;
  let target: Target;
  const open = (names: readonly string[], fail?: string, create?: boolean): Promise<Session> => {
    assert.ok(engineFile !== undefined);
    return openSession({
      target,
      engine: { file: engineFile, env: { PATH: `${join(engineFile, "..")}${delimiter}${process.env["PATH"] ?? ""}` } },
      program: async () => {
        for (const name of names) new ComponentResource("hive:index:Nothing", name);
        if (fail !== undefined) throw new Error(fail);
        return { names };
      },
      policyPacks: [],
      create,
    });
  };

  before(function () {
    if ("missing" in engine) skip(this, engine.missing);
  });
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "hive-cli-"));
    for (const folder of ["backend", "project"]) mkdirSync(join(root, folder), { mode: 0o700 });
    writeFileSync(join(root, "passphrase"), "a passphrase", { mode: 0o600 });
    writeFileSync(join(root, "project", "Pulumi.yaml"), "name: hive\nruntime: nodejs\n");
    target = {
      kind: "lab",
      project: "hive",
      stack: "genesis",
      workDir: join(root, "project"),
      env: labEnvironment(process.env, {
        backendFolder: join(root, "backend"),
        passphraseFile: join(root, "passphrase"),
        pulumiHome: join(root, "home"),
        home: join(root, "home"),
      }),
      backendFolder: join(root, "backend"),
      write: {
        plain: { "hive:workers": 2, "hive:insecure": true },
        secrets: { "hive:apiToken": secret },
        digestFile: join(root, "digest.json"),
        digestKey: "key",
      },
    };
  });
  afterEach(() => {
    rmSync(root, { recursive: true, force: true });
  });

  it("creates, then changes nothing, then destroys", async () => {
    const session = await open(["a", "b"]);
    const first = await session.run("up");
    assert.ok(first.succeeded, first.message);
    assert.equal(first.progress.changes.create, 3);
    const second = await session.run("up");
    assert.deepEqual([second.progress.changes.create, second.progress.changes.same], [0, 3]);
    assert.deepEqual((await session.outputs())["names"]?.value, ["a", "b"]);
    assert.equal((await session.run("destroy")).progress.changes.delete, 3);
  });

  it("keeps secrets encrypted in settings, state and digest", async () => {
    const session = await open(["a"]);
    await session.run("up");
    const state = JSON.stringify(await session.exportState());
    const settings = readFileSync(join(root, "project", "Pulumi.genesis.yaml"), "utf8");
    assert.match(settings, /secure: v1:/);
    for (const text of [state, settings, readFileSync(join(root, "digest.json"), "utf8")])
      assert.ok(!text.includes(secret));
    await open(["a"]);
    assert.equal(
      readFileSync(join(root, "project", "Pulumi.genesis.yaml"), "utf8"),
      settings,
      "an unchanged secret is not written again",
    );
  });

  it("tells a failing program's reason in plain words, without stack frames", async () => {
    const session = await open([], "the reason why");
    const outcome = await session.run("up");
    assert.ok(!outcome.succeeded);
    assert.match(JSON.stringify(outcome.progress.errors), /the reason why/);
    assert.doesNotMatch(JSON.stringify(outcome.progress.errors), /\bat file:|engine\.test\.ts:/);
  });

  it("breaks the lock of a killed engine, and none of a live one", async () => {
    const session = await open(["a"]);
    assert.ok((await session.run("up")).succeeded);
    const folder = lockFolder(join(root, "backend"), "hive", "genesis");
    mkdirSync(folder, { recursive: true });
    const holder = spawn("sleep", ["60"], { stdio: "ignore" });
    const { hostname } = await import("node:os");
    writeFileSync(
      join(folder, "one.json"),
      JSON.stringify({ pid: holder.pid, username: "u", hostname: hostname(), timestamp: new Date().toISOString() }),
    );
    await assert.rejects(clearLocks(target, { patienceSec: 0 }), /which still runs/);
    assert.ok(!(await session.run("up")).succeeded);
    const gone = new Promise((done) => holder.on("exit", done));
    holder.kill("SIGKILL");
    await gone;
    assert.equal((await clearLocks(target, { patienceSec: 0 })).length, 1);
    assert.deepEqual(readLocks(join(root, "backend"), "hive", "genesis"), []);
    assert.ok((await session.run("up")).succeeded);
  });

  it("breaks the lock of a killed engine in a backend that it cannot read, and none of a live one", async () => {
    assert.ok((await (await open(["a"])).run("up")).succeeded);
    const { backendFolder: _unread, ...elsewhere } = target;
    target = elsewhere;
    const session = await open(["a"]);
    const cutOff = (type: string): Record<string, unknown> => ({
      type,
      resource: {
        urn: `urn:pulumi:genesis::hive::other:index:Thing::${type}`,
        custom: true,
        type: "other:index:Thing",
      },
    });
    const { version, deployment } = await session.exportState();
    const pending = ["creating", "updating", "deleting"].map(cutOff);
    await session.importState({ version, deployment: { ...deployment, pending_operations: pending } });
    const state = async (): Promise<unknown[]> => {
      const { resources, pending_operations: operations } = (await session.exportState()).deployment;
      return [resources, operations];
    };
    const before = await state();
    assert.deepEqual(await clearReportedLocks(session), []);
    assert.deepEqual(await state(), before, "asking for the lock touches nothing");
    const folder = lockFolder(join(root, "backend"), "hive", "genesis");
    mkdirSync(folder, { recursive: true });
    const holder = spawn("sleep", ["60"], { stdio: "ignore" });
    const { hostname } = await import("node:os");
    writeFileSync(
      join(folder, "one.json"),
      JSON.stringify({ pid: holder.pid, username: "u", hostname: hostname(), timestamp: new Date().toISOString() }),
    );
    await assert.rejects(clearReportedLocks(session), /which still runs/);
    const gone = new Promise((done) => holder.on("exit", done));
    holder.kill("SIGKILL");
    await gone;
    assert.equal((await clearReportedLocks(session)).length, 1);
    assert.deepEqual(readLocks(join(root, "backend"), "hive", "genesis"), []);
    assert.deepEqual(await state(), before, "nothing but the lock was touched");
  });

  it("makes no stack when it must not, and tells how to make it", async () => {
    await assert.rejects(
      open(["a"], undefined, false),
      /does not exist in this backend; run pulumi stack init genesis/,
    );
    assert.ok(!existsSync(join(root, "backend", ".pulumi", "stacks", "hive", "genesis.json")));
  });

  it("runs without any variable that leads to the user's own backend or host", () => {
    const env = labEnvironment(
      {
        PROXMOX_VE_ENDPOINT: "https://real:8006",
        PULUMI_ACCESS_TOKEN: "x",
        PULUMI_CONFIG_PASSPHRASE: "y",
        SSH_AUTH_SOCK: "/s",
        HOME: "/h",
      },
      { backendFolder: "/b", passphraseFile: "/p", pulumiHome: "/q", home: "/r" },
    );
    assert.deepEqual(
      Object.keys(env).filter((name) => /PROXMOX|TOKEN|SSH_|PASSPHRASE$/.test(name)),
      [],
    );
    assert.equal(env["HOME"], "/r", "known_hosts of the providers is not the user's");
  });
});
