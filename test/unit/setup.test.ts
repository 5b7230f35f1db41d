import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { processStart } from "../../cli/bin/lock.mjs";
import { type Recipe, artifactFault, cachedArtifact, ensureArtifact } from "../../cli/setup/artifact.ts";
import { recipeKey } from "../../cli/setup/hashing.ts";
import { cacheRoot, projectRoot } from "../../cli/setup/paths.ts";
import { readPins } from "../../cli/setup/pins.ts";
import { findOnPath, run } from "../../cli/setup/process.ts";
import { analyzerScript, shellWord, standInScript } from "../../cli/setup/scripts.ts";
import { obtain } from "../../cli/setup/sources.ts";
import { parseVersion, versionMismatch } from "../../cli/setup/versions.ts";

let cache: string;
let lines: string[];
const progress = (line: string): void => void lines.push(line);
beforeEach(() => {
  cache = mkdtempSync(join(tmpdir(), "hive-cache-"));
  lines = [];
});
afterEach(() => rmSync(cache, { recursive: true, force: true }));

function fake(name: string, content: string, count: { builds: number }): Recipe {
  return {
    name,
    key: "k1",
    version: "1.0.0",
    build: ({ folder }) => {
      count.builds++;
      writeFileSync(join(folder, "tool"), content);
      return Promise.resolve();
    },
  };
}

describe("cache of tools", () => {
  it("builds once and then uses what it has", async () => {
    const count = { builds: 0 };
    const first = await ensureArtifact(fake("a", "x", count), { cache, progress });
    const second = await ensureArtifact(fake("a", "x", count), { cache, progress });
    assert.equal(first, second);
    assert.equal(count.builds, 1);
  });

  it("builds once for two that need it at the same time", async () => {
    const count = { builds: 0 };
    await Promise.all([1, 2, 3].map(() => ensureArtifact(fake("a", "x", count), { cache, progress })));
    assert.equal(count.builds, 1);
  });

  const damages: readonly (readonly [string, (folder: string) => void])[] = [
    ["a changed byte", (folder) => writeFileSync(join(folder, "tool"), "y")],
    ["a longer file", (folder) => writeFileSync(join(folder, "tool"), "xx")],
    ["a missing file", (folder) => rmSync(join(folder, "tool"))],
    ["a torn manifest", (folder) => writeFileSync(join(folder, "manifest.json"), "{")],
    ["an empty manifest", (folder) => writeFileSync(join(folder, "manifest.json"), "{}")],
    ["no manifest", (folder) => rmSync(join(folder, "manifest.json"))],
  ];
  for (const [what, damage] of damages)
    it(`finds ${what} and builds again`, async () => {
      const count = { builds: 0 };
      const recipe = fake("a", "x", count);
      const folder = await ensureArtifact(recipe, { cache, progress });
      damage(folder);
      assert.notEqual(await artifactFault(folder), undefined);
      assert.equal(await cachedArtifact(recipe, { cache, progress }), undefined);
      assert.equal(await ensureArtifact(recipe, { cache, progress }), folder);
      assert.equal(count.builds, 2);
      assert.equal(readFileSync(join(folder, "tool"), "utf8"), "x");
    });

  it("keeps nothing of a build that fails, and lets the next one in", async () => {
    const failing: Recipe = { ...fake("a", "x", { builds: 0 }), build: () => Promise.reject(new Error("no compiler")) };
    await assert.rejects(ensureArtifact(failing, { cache, progress }), /no compiler/);
    assert.deepEqual(readdirSync(join(cache, "drafts")), []);
    const count = { builds: 0 };
    await ensureArtifact(fake("a", "x", count), { cache, progress });
    assert.equal(count.builds, 1);
  });

  it("goes on after a kill in the middle of a build, and ends the build's own process", async () => {
    const code = `import { ensureArtifact } from ${JSON.stringify(join(projectRoot, "cli/setup/artifact.ts"))};
      import { run } from ${JSON.stringify(join(projectRoot, "cli/setup/process.ts"))};
      import { writeFileSync } from "node:fs";
      await ensureArtifact({ name: "a", key: "k1", version: "1.0.0", build: async ({ folder, childFile }) => {
        writeFileSync(folder + "/tool", "half");
        setTimeout(() => console.log("building"), 100);
        await run("sleep", ["120"], { childFile });
      } }, { cache: ${JSON.stringify(cache)}, progress: () => {} });`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", code], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await once(child.stdout, "data");
    const drafts = join(cache, "drafts");
    const note = readdirSync(drafts).find((name) => name.endsWith(".child.json"));
    assert.ok(note);
    const left: unknown = JSON.parse(readFileSync(join(drafts, note), "utf8"));
    assert.ok(typeof left === "object" && left !== null && "pid" in left && typeof left.pid === "number");
    child.kill("SIGKILL");
    await once(child, "close");
    assert.notEqual(processStart(left.pid), undefined);

    const count = { builds: 0 };
    const folder = await ensureArtifact(fake("a", "x", count), { cache, progress });
    assert.equal(count.builds, 1);
    assert.equal(readFileSync(join(folder, "tool"), "utf8"), "x");
    assert.deepEqual(readdirSync(drafts), []);
    for (let i = 0; i < 200 && processStart(left.pid) !== undefined; i++) await sleep(10);
    assert.equal(processStart(left.pid), undefined);
    assert.match(lines.join("\n"), new RegExp(`process ${left.pid}`));
  });

  it("removes what nobody has used for a month, of the name that it makes anew and of no other", async () => {
    const count = { builds: 0 };
    const old = new Date(Date.now() - 31 * 86_400_000);
    const made = (name: string, key: string): Promise<string> =>
      ensureArtifact({ ...fake(name, "x", count), key }, { cache, progress });
    const [unused, used] = [await made("a", "k1"), await made("a", "k2")];
    const alike = await made("a-official", "k1");
    for (const folder of [unused, used, alike]) utimesSync(folder, old, old);
    assert.equal(await cachedArtifact({ ...fake("a", "x", count), key: "k2" }, { cache, progress }), used);
    const newest = await made("a", "k3");
    assert.deepEqual([unused, used, alike, newest].map(existsSync), [false, true, true, true]);
    assert.match(lines.join("\n"), /removing a-k1, which nobody has used for 30 days/);
  });

  it("gives another key to another recipe", async () => {
    writeFileSync(join(cache, "go.mod"), "module a");
    const before = await recipeKey(cache, ["x"]);
    assert.equal(await recipeKey(cache, ["x"]), before);
    assert.notEqual(await recipeKey(cache, ["y"]), before);
    writeFileSync(join(cache, "go.mod"), "module b");
    assert.notEqual(await recipeKey(cache, ["x"]), before);
  });
});

describe("where a tool comes from", () => {
  const choices = (own: Recipe, official: Recipe): Parameters<typeof obtain>[0] => ({
    what: "tool",
    onPath: () => Promise.resolve(undefined),
    official,
    officialProbe: "https://example.invalid/tool",
    own,
    ownSource: "built",
  });
  const reachable = (): Promise<undefined> => Promise.resolve(undefined);
  const closed = (): Promise<string> => Promise.resolve("the network is closed");

  it("PATH comes first, then the cache, then the download, then our build", async () => {
    const count = { builds: 0 };
    const own = fake("own", "x", count);
    const official = fake("official", "y", count);
    const found = { folder: "/usr/bin", version: "3.259.0", source: "path" } as const;
    const onPath = await obtain(
      { ...choices(own, official), onPath: () => Promise.resolve(found) },
      { cache, progress, probe: closed },
    );
    assert.deepEqual([onPath, count.builds], [found, 0]);

    const built = await obtain(choices(own, official), { cache, progress, probe: closed });
    assert.deepEqual([built.source, count.builds], ["built", 1]);
    assert.match(lines.join("\n"), /the network is closed/);

    const cached = await obtain(choices(own, official), {
      cache,
      progress,
      probe: () => assert.fail("no question needed"),
    });
    assert.deepEqual([cached, count.builds], [built, 1]);

    const downloaded = await obtain(choices(fake("own2", "x", count), official), { cache, progress, probe: reachable });
    assert.equal(downloaded.source, "download");
  });

  it("a download that fails is said and followed by our build", async () => {
    const count = { builds: 0 };
    const official: Recipe = {
      ...fake("official", "y", count),
      build: () => Promise.reject(new Error("half an archive")),
    };
    const found = await obtain(choices(fake("own", "x", count), official), { cache, progress, probe: reachable });
    assert.equal(found.source, "built");
    assert.match(lines.join("\n"), /half an archive/);
  });
});

describe("versions", () => {
  it("an engine fits from the SDK's minor version on", () => {
    for (const fits of ["3.259.0", "v3.259.4", "3.260.0", "v3.300.1-alpha.1"])
      assert.equal(versionMismatch("3.259.0", fits), undefined, fits);
    for (const not of ["3.258.9", "v2.259.0", "4.0.0", "", "pulumi", "3.259"])
      assert.notEqual(versionMismatch("3.259.0", not), undefined, not);
  });
  it("reads what the tools print", () => {
    assert.deepEqual(parseVersion("v3.259.0\n"), { major: 3, minor: 259, patch: 0 });
    assert.equal(parseVersion("3.259.0; rm -rf"), undefined);
  });
  it("the Go modules build the versions that package.json asks for", () => {
    const modules = readFileSync(join(projectRoot, "cli/toolchain/engine/go.mod"), "utf8");
    assert.match(
      modules,
      new RegExp(`github\\.com/pulumi/pulumi/pkg/v3 v${readPins().engine.replaceAll(".", "\\.")}\\s`),
    );
  });
});

describe("paths and scripts", () => {
  it("the cache is where the user says", () => {
    assert.equal(cacheRoot({ HIVE_CACHE: "/a", XDG_CACHE_HOME: "/b" }, "/home/u"), "/a");
    assert.equal(cacheRoot({ XDG_CACHE_HOME: "/b" }, "/home/u"), "/b/hive");
    assert.equal(cacheRoot({ XDG_CACHE_HOME: "relative" }, "/home/u"), "/home/u/.cache/hive");
    assert.equal(cacheRoot({}, "/home/u"), "/home/u/.cache/hive");
  });

  it("a generated script runs its entry whatever its path holds", async () => {
    const entry = join(cache, "it's a $(touch x) `path`.mjs");
    writeFileSync(entry, "console.log(JSON.stringify(process.argv.slice(2)));");
    const script = join(cache, "script");
    writeFileSync(script, standInScript(process.execPath, entry));
    chmodSync(script, 0o755);
    const result = await run(script, ["127.0.0.1:1", "two words"], { cwd: cache });
    assert.deepEqual(JSON.parse(result.stdout), ["127.0.0.1:1", "two words"]);
    assert.equal(existsSync(join(cache, "x")), false);
    assert.equal(shellWord("a'b"), "'a'\\''b'");
  });

  it("the policy pack script finds Pulumi from the pack's folder", async () => {
    const script = join(cache, "pulumi-analyzer-policy-nodejs");
    writeFileSync(script, analyzerScript(process.execPath));
    chmodSync(script, 0o755);
    const inside = await run(script, [], { cwd: join(projectRoot, "test") });
    assert.match(inside.stderr, /usage: RUN/);
    const outside = await run(script, [], { cwd: cache });
    assert.equal(outside.status, 1);
    assert.match(outside.stderr, /Cannot find module '@pulumi\/pulumi/);
  });

  it("only executable files in absolute folders of PATH are found", () => {
    writeFileSync(join(cache, "tool"), "");
    assert.equal(findOnPath("tool", `relative:${cache}`), undefined);
    chmodSync(join(cache, "tool"), 0o755);
    assert.equal(findOnPath("tool", `relative:${cache}`), join(cache, "tool"));
    assert.equal(findOnPath("tool", ""), undefined);
  });

  it("a tool that does not end is ended, with its children", async () => {
    const result = await run("sh", ["-c", "sleep 60 & echo $!; wait"], { timeoutMs: 300 });
    assert.match(result.fault ?? "", /longer than 300 ms/);
    const pid = Number(result.stdout.trim());
    for (let i = 0; i < 200 && processStart(pid) !== undefined; i++) await sleep(10);
    assert.equal(processStart(pid), undefined);
  });
});
