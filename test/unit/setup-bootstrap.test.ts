import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { projectRoot } from "../../cli/setup/paths.ts";

// The bootstrap in a project of its own, with an npm that installs a Node in no time and writes down its calls.

const fakeNode = `#!/bin/sh
if [ "$1" = --version ]; then echo v99.0.0; else exec "$REAL_NODE" "$@"; fi
`;
const fakeNpm = `#!/bin/sh
echo "$1" >> npm.log
if [ "$1" = ci ]; then
  rm -rf node_modules; mkdir -p node_modules/node
  if [ -e slow ]; then rm slow; sleep 60; fi
  if [ -e broken ]; then rm broken; echo "npm error the registry is down"; exit 1; fi
  sleep 0.1
  cp package-lock.json node_modules/.package-lock.json
else
  mkdir -p node_modules/node/bin
  cp fake-node node_modules/node/bin/node
fi
`;

interface End {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

describe("bootstrap", () => {
  let root: string;
  const children: ChildProcess[] = [];

  function lockfile(integrity: string): void {
    const packages = { "": {}, "node_modules/node": { version: "99.0.0", integrity } };
    writeFileSync(join(root, "package-lock.json"), JSON.stringify({ lockfileVersion: 3, packages }));
  }

  function executable(name: string, content: string): void {
    writeFileSync(join(root, name), content);
    chmodSync(join(root, name), 0o755);
  }

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "hive-bootstrap-"));
    cpSync(join(projectRoot, "cli", "bin"), join(root, "cli", "bin"), { recursive: true });
    lockfile("sha512-a");
    mkdirSync(join(root, "fake"));
    executable("fake-node", fakeNode);
    executable(join("fake", "npm"), fakeNpm);
    mkdirSync(join(root, "test", "run"), { recursive: true });
    entry("console.log(JSON.stringify(process.argv.slice(2))); process.exitCode = 7;");
  });
  afterEach(() => {
    for (const child of children.splice(0)) child.kill("SIGKILL");
    rmSync(root, { recursive: true, force: true });
  });

  function entry(code: string): void {
    writeFileSync(join(root, "test", "run", "main.ts"), code);
  }

  function start(...args: string[]): ChildProcess {
    const { npm_execpath: _npm, ...env } = process.env;
    const child = spawn(process.execPath, [join(root, "cli", "bin", "bootstrap.mjs"), ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...env, PATH: `${join(root, "fake")}:/usr/bin:/bin`, REAL_NODE: process.execPath },
    });
    children.push(child);
    return child;
  }

  async function end(child: ChildProcess): Promise<End> {
    assert.ok(child.stdout && child.stderr);
    const [stdout, stderr, [code, signal]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, "close"),
    ]);
    return { code: typeof code === "number" ? code : null, signal, stdout, stderr };
  }

  const npmCalls = (): string[] =>
    existsSync(join(root, "npm.log")) ? readFileSync(join(root, "npm.log"), "utf8").trim().split("\n") : [];

  it("installs once, runs the entry with its arguments, and ends as it ends", async () => {
    const first = await end(start("test", "--json", "a b"));
    assert.deepEqual([first.code, first.stdout], [7, '["--json","a b"]\n'], first.stderr);
    assert.deepEqual(npmCalls(), ["ci", "rebuild"]);
    const second = await end(start("check"));
    assert.deepEqual([second.code, second.stdout], [7, '["--tier","check"]\n']);
    assert.deepEqual(npmCalls(), ["ci", "rebuild"]);
  });

  it("installs again when the lockfile changed", async () => {
    await end(start("test"));
    lockfile("sha512-b");
    assert.equal((await end(start("test"))).code, 7);
    assert.deepEqual(npmCalls(), ["ci", "rebuild", "ci", "rebuild"]);
  });

  it("takes over what npm installed without it", async () => {
    mkdirSync(join(root, "node_modules/node/bin"), { recursive: true });
    cpSync(join(root, "package-lock.json"), join(root, "node_modules/.package-lock.json"));
    cpSync(join(root, "fake-node"), join(root, "node_modules/node/bin/node"));
    assert.equal((await end(start("test"))).code, 7);
    assert.deepEqual(npmCalls(), []);
  });

  it("says what npm said when it fails, and goes on the next time", async () => {
    writeFileSync(join(root, "broken"), "");
    const failed = await end(start("test"));
    assert.equal(failed.code, 1);
    assert.match(failed.stderr, /the registry is down/);
    assert.doesNotMatch(failed.stderr, /^ +at /m);
    assert.equal((await end(start("test"))).code, 7);
  });

  it("goes on after a kill in the middle of the installation", async () => {
    writeFileSync(join(root, "slow"), "");
    const killed = start("test");
    for (let i = 0; i < 500 && npmCalls().length === 0; i++) await sleep(10);
    await sleep(50);
    killed.kill("SIGKILL");
    await once(killed, "close");
    const next = await end(start("test"));
    assert.equal(next.code, 7, next.stderr);
    assert.match(next.stderr, /ended npm \(process \d+\), which an interrupted run had left/);
    assert.deepEqual(npmCalls(), ["ci", "ci", "rebuild"]);
  });

  it("lets one of two first runs install and the other wait", async () => {
    const ends = await Promise.all([end(start("test")), end(start("test"))]);
    assert.deepEqual(
      ends.map(({ code }) => code),
      [7, 7],
    );
    assert.deepEqual(npmCalls(), ["ci", "rebuild"]);
  });

  it("passes a signal on, and ends by it", async () => {
    await end(start("test"));
    entry("console.log('ready'); setInterval(() => {}, 1000);");
    const child = start("test");
    assert.ok(child.stdout);
    await once(child.stdout, "data");
    child.kill("SIGTERM");
    const [code, signal] = await once(child, "close");
    assert.deepEqual([code, signal], [null, "SIGTERM"]);
  });

  it("names the commands when it gets another", async () => {
    const { code, stderr } = await end(start("tset"));
    assert.equal(code, 1);
    assert.match(stderr, /unknown command "tset". Known: start, hive, bench, campaign, test, check/);
  });

  it("speaks before it works (the time is reported, not judged)", async () => {
    const before = performance.now();
    const child = start("test");
    assert.ok(child.stderr);
    await once(child.stderr, "data");
    process.stdout.write(`         first output after ${Math.round(performance.now() - before)} ms\n`);
    assert.deepEqual(npmCalls().length <= 1, true);
    await end(child);
  });
});
