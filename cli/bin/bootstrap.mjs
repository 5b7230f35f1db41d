#!/usr/bin/env node
// The first process of every `npm start`, `npm test` and `npm run …`: plain JavaScript on Node >= 20 that needs
// nothing installed. It brings node_modules in step with package-lock.json, then hands over to the TypeScript entry
// on the Node that node_modules holds. Nothing is printed to stdout here: that belongs to the command.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { basename, delimiter, dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { enableCompileCache } from "./cache.mjs";
import { exitFlag, exitForSure } from "./exit.mjs";

const started = Date.now();
const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const modules = join(root, "node_modules");
const ownNode = join(modules, "node", "bin", "node");
const stampFile = join(modules, ".hive-stamp.json");
const childFile = join(root, ".hive", "setup.child.json");
const colour = process.stderr.isTTY && !process.env.NO_COLOR && process.env.TERM !== "dumb";

/** command → [module to run, arguments put before the user's]. */
const ENTRIES = {
  start: ["cli/main.ts", "start"],
  hive: ["cli/main.ts"],
  bench: ["test/bench/main.ts"],
  campaign: ["test/campaign/main.ts"],
  test: ["test/run/main.ts"],
  check: ["test/run/main.ts", "--tier", "check"],
};

function say(text) {
  const at = `${((Date.now() - started) / 1000).toFixed(1)}s`;
  process.stderr.write(colour ? `\x1b[2m[setup ${at}]\x1b[0m ${text}\n` : `[setup ${at}] ${text}\n`);
}

class SetupError extends Error {}

function readJson(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch {
    return undefined;
  }
}

function lockfileHash() {
  try {
    return createHash("sha256")
      .update(readFileSync(join(root, "package-lock.json")))
      .digest("hex");
  } catch {
    throw new SetupError(`package-lock.json is missing in ${root}. Restore it: git checkout -- package-lock.json`);
  }
}

function inStep(hash) {
  return readJson(stampFile)?.lock === hash && existsSync(ownNode);
}

/** npm's own record of what it installed, written last, against what the lockfile asks for. */
function installedAsLocked(lock) {
  const installed = readJson(join(modules, ".package-lock.json"))?.packages;
  if (!installed) return false;
  return Object.entries(lock.packages).every(([path, wanted]) => {
    const found = installed[path];
    if (path === "" || (!found && (wanted.optional || wanted.devOptional || wanted.peer))) return true;
    return found && found.version === wanted.version && found.integrity === wanted.integrity;
  });
}

function nodeRuns(version) {
  return spawnSync(ownNode, ["--version"], { encoding: "utf8", timeout: 20_000 }).stdout?.trim() === `v${version}`;
}

/** Runs npm, saying every ten seconds that it still does; its output is kept for the case that it fails. */
async function npm(what, why, args) {
  const { noteChild, endLeftover } = await import("./leftover.mjs");
  say(`${what}: npm ${args.join(" ")}, because ${why}`);
  const from = Date.now();
  // Under `npm run`, npm names itself; its node may be the one that this very install replaces.
  const cli = process.env.npm_execpath;
  const [file, before] =
    cli && basename(cli) === "npm-cli.js" && existsSync(cli) && existsSync(process.execPath)
      ? [process.execPath, [cli]]
      : ["npm", []];
  const child = spawn(file, [...before, ...args], {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
    env: {
      ...process.env,
      PATH: [process.env.PATH ?? "", dirname(process.execPath)].join(delimiter),
      npm_config_loglevel: "warn",
    },
  });
  const forward = (signal) => child.pid && process.kill(-child.pid, signal);
  if (child.pid) noteChild(childFile, child.pid);
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
  for (const signal of signals) process.on(signal, forward);
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk) => (output = (output + chunk).slice(-20_000)));
  const beat = setInterval(
    () => say(`${what}: still running, ${Math.round((Date.now() - from) / 1000)} s so far`),
    10_000,
  );
  const outcome = await new Promise((done) => {
    child.on("error", (error) =>
      done(error.code === "ENOENT" ? "npm is not on PATH: install npm >= 9" : error.message),
    );
    child.on("close", (code, signal) => done(code === 0 ? "" : `npm ended with ${signal ?? `status ${code}`}`));
  });
  clearInterval(beat);
  endLeftover(childFile);
  for (const signal of signals) process.off(signal, forward);
  if (outcome) {
    const tail = output.trimEnd().split("\n").slice(-25).join("\n");
    throw new SetupError(
      `${what}: ${outcome}${tail ? `\n${tail}` : ""}\nRun the same command again when the cause is gone: it goes on from here.`,
    );
  }
  say(`${what}: done in ${((Date.now() - from) / 1000).toFixed(1)} s`);
}

function writeStamp(hash) {
  const draft = `${stampFile}.${process.pid}`;
  const handle = openSync(draft, "w", 0o644);
  writeSync(handle, JSON.stringify({ lock: hash }));
  fsyncSync(handle);
  closeSync(handle);
  renameSync(draft, stampFile);
}

async function installDependencies() {
  const { acquireLock } = await import("./lock.mjs");
  const { endLeftover } = await import("./leftover.mjs");
  mkdirSync(join(root, ".hive"), { recursive: true, mode: 0o700 });
  const release = await acquireLock(join(root, ".hive", "setup.lock"), {
    onWait: (holder) => say(`dependencies: waiting for process ${holder.pid}, which is installing them`),
  });
  try {
    const leftover = endLeftover(childFile);
    if (leftover) say(`dependencies: ended npm (process ${leftover}), which an interrupted run had left`);
    const hash = lockfileHash();
    const lock = readJson(join(root, "package-lock.json"));
    const nodeVersion = lock?.packages?.["node_modules/node"]?.version;
    if (!nodeVersion)
      throw new SetupError("package-lock.json does not name the npm package node. Restore it from git.");
    if (!installedAsLocked(lock)) {
      const why = existsSync(modules)
        ? "node_modules is not what package-lock.json asks for"
        : "there is no node_modules yet";
      // Install scripts of 400 packages do not run; the one that is needed runs below, by name.
      await npm("dependencies", why, [
        "ci",
        "--ignore-scripts",
        "--engine-strict=false",
        "--include=dev",
        "--no-audit",
        "--no-fund",
      ]);
    }
    if (!nodeRuns(nodeVersion)) {
      const why = `Pulumi's SDK needs Node >= 22 and this is ${process.version}`;
      await npm(`Node ${nodeVersion}`, why, ["rebuild", "node", "--ignore-scripts=false", "--no-audit", "--no-fund"]);
      if (!nodeRuns(nodeVersion))
        throw new SetupError(
          `${ownNode} does not run as Node ${nodeVersion}.\nTry: npm rebuild node --foreground-scripts, and read what it says`,
        );
    }
    writeStamp(hash);
  } finally {
    release();
  }
}

/** Runs the entry on our own Node and ends as it ends. In place when this process already is that Node. */
async function handOver(entry, args) {
  enableCompileCache();
  const file = join(root, entry);
  if (!existsSync(file)) throw new SetupError(`${entry} is missing in ${root}. Restore it: git checkout -- ${entry}`);
  if (process.versions.node === readJson(join(modules, "node", "package.json"))?.version) {
    process.argv = [process.execPath, file, ...args];
    exitForSure();
    await import(pathToFileURL(file).href);
    return;
  }
  const path = [join(modules, ".bin"), process.env.PATH ?? ""].join(delimiter);
  const child = spawn(ownNode, [exitFlag, file, ...args], { stdio: "inherit", env: { ...process.env, PATH: path } });
  // A terminal sends Ctrl-C to the child as well: passing it on would make it two.
  process.on("SIGINT", () => process.stdin.isTTY || child.kill("SIGINT"));
  for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  const [code, signal] = await new Promise((done, fail) => {
    child.on("error", fail);
    child.on("exit", (...end) => done(end));
  });
  if (signal) {
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  }
  process.exitCode = code ?? 1;
}

async function main() {
  const [command = "", ...args] = process.argv.slice(2);
  const entry = Object.hasOwn(ENTRIES, command) ? ENTRIES[command] : undefined;
  if (process.platform === "win32")
    throw new SetupError("Windows is not supported: run this on Linux or macOS, or inside WSL 2.");
  if (!entry) throw new SetupError(`unknown command "${command}". Known: ${Object.keys(ENTRIES).join(", ")}`);
  if (Number(process.versions.node.split(".")[0]) < 20)
    throw new SetupError(`Node ${process.version} is too old: install Node >= 20 from https://nodejs.org`);
  if (!inStep(lockfileHash())) {
    say(`${command}: setting up in ${root}`);
    await installDependencies();
  } else if (command !== "hive") say(`${command}: starting`);
  await handOver(entry[0], [...entry.slice(1), ...args]);
}

main().catch((error) => {
  process.stderr.write(`${error instanceof SetupError ? error.message : (error.stack ?? error)}\n`);
  process.exitCode = 1;
});
