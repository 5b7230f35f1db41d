import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { endLeftover, noteChild } from "../../cli/bin/leftover.mjs";
import { acquireLock, currentHolder, holderAlive, processStart } from "../../cli/bin/lock.mjs";

const lockModule = join(import.meta.dirname, "../../cli/bin/lock.mjs");

describe("lock between processes", () => {
  let folder: string;
  const children: ChildProcess[] = [];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "hive-lock-"));
  });
  afterEach(() => {
    for (const child of children.splice(0)) child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  });

  function node(code: string): ChildProcess {
    const child = spawn(process.execPath, ["--input-type=module", "-e", code], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    children.push(child);
    return child;
  }

  async function holderInAnotherProcess(): Promise<ChildProcess> {
    const child = node(
      `import { acquireLock } from ${JSON.stringify(lockModule)}; await acquireLock(${JSON.stringify(folder)}); console.log("held"); setInterval(() => {}, 1000);`,
    );
    assert.ok(child.stdout);
    await once(child.stdout, "data");
    return child;
  }

  it("is free again after its release", async () => {
    for (let turn = 0; turn < 3; turn++) (await acquireLock(folder))();
    assert.equal(currentHolder(folder), undefined);
  });

  it("is not taken from a living holder", async () => {
    const holder = await holderInAnotherProcess();
    const waitedFor: number[] = [];
    const giveUp = new AbortController();
    const waiting = acquireLock(folder, {
      onWait: (found) => waitedFor.push(found.pid),
      signal: giveUp.signal,
      pollMs: 5,
    });
    await sleep(60);
    giveUp.abort();
    await assert.rejects(waiting, { name: "AbortError" });
    assert.deepEqual(waitedFor, [holder.pid]);
  });

  it("is taken at once when its holder was killed", async () => {
    const holder = await holderInAnotherProcess();
    holder.kill("SIGKILL");
    await once(holder, "close");
    let waited = false;
    const release = await acquireLock(folder, { onWait: () => (waited = true) });
    assert.equal(waited, false);
    assert.equal(currentHolder(folder)?.pid, process.pid);
    release();
  });

  it("is taken when another process has the dead holder's pid by now", async () => {
    const stranger = { pid: process.pid, started: "an earlier boot:1", host: hostname() };
    writeFileSync(join(folder, "7"), JSON.stringify(stranger));
    (await acquireLock(folder))();
    assert.equal(currentHolder(folder), undefined);
  });

  it("is not judged for a holder on another machine", () => {
    assert.equal(holderAlive({ pid: 999_999_999, started: "x", host: `not-${hostname()}` }), true);
    assert.equal(holderAlive({ pid: 999_999_999, started: "x", host: hostname() }), false);
  });

  it("is taken after a record that nobody finished writing", async () => {
    writeFileSync(join(folder, "3"), '{"pid":');
    (await acquireLock(folder))();
  });

  it("lets one process in at a time, with a dead holder to break first", async () => {
    writeFileSync(join(folder, "1"), JSON.stringify({ pid: 999_999_999, started: "x", host: hostname() }));
    const log = join(folder, "log");
    writeFileSync(log, "");
    const code = `import { acquireLock } from ${JSON.stringify(lockModule)}; import { appendFileSync } from "node:fs";
      for (let i = 0; i < 8; i++) {
        const release = await acquireLock(${JSON.stringify(folder)}, { pollMs: 1 });
        appendFileSync(${JSON.stringify(log)}, "in " + process.pid + "\\n");
        await new Promise((done) => setTimeout(done, 2));
        appendFileSync(${JSON.stringify(log)}, "out " + process.pid + "\\n");
        release();
      }`;
    const ends = await Promise.all([1, 2, 3, 4].map(async () => (await once(node(code), "close"))[0]));
    assert.deepEqual(ends, [0, 0, 0, 0]);
    const lines = readFileSync(log, "utf8").trim().split("\n");
    assert.equal(lines.length, 64);
    for (let i = 0; i < lines.length; i += 2) assert.equal(lines[i + 1], lines[i]?.replace("in ", "out "));
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.startsWith("draft.") || name.startsWith("released.")),
      [],
    );
  });
});

describe("children that outlive a killed run", () => {
  it("are ended by the next run, and only they", async () => {
    const folder = mkdtempSync(join(tmpdir(), "hive-left-"));
    const file = join(folder, "child.json");
    const child = spawn("sleep", ["60"], { stdio: "ignore", detached: true });
    try {
      assert.ok(child.pid);
      noteChild(file, child.pid);
      const ended = once(child, "exit");
      assert.equal(endLeftover(file), child.pid);
      assert.deepEqual(await ended, [null, "SIGKILL"]);
      assert.equal(processStart(child.pid), undefined);
      // A later process with that pid is a stranger.
      writeFileSync(file, JSON.stringify({ pid: process.pid, started: "an earlier boot:1" }));
      assert.equal(endLeftover(file), undefined);
      writeFileSync(file, '{"pid":');
      assert.equal(endLeftover(file), undefined);
      assert.equal(endLeftover(file), undefined);
    } finally {
      child.kill("SIGKILL");
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
