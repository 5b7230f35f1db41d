import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { entryPointOf, packSources, type SourceEntry } from "../../components/shared/vps/pack.ts";
import { readSources } from "../../components/vps/readSources.ts";

const launcher = entryPointOf("x", undefined);

function file(path: string, text = "", executable = false): SourceEntry {
  return { path, kind: "file", executable, content: Buffer.from(text) };
}

const run = file("run", "#!/bin/sh\n");

function faultsOf(...entries: SourceEntry[]): readonly string[] {
  const packed = packSources(entries, launcher);
  return packed.ok ? [] : packed.faults.map(({ property, value, limit }) => `${property}: ${String(value)}: ${limit}`);
}

describe("an agent's packed sources", () => {
  let folder = "";
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "vps-pack-"));
  });
  after(() => rmSync(folder, { recursive: true }));

  it("are the same bytes in any order, other bytes for anything else, and checksummed (property)", () => {
    const part = fc.stringMatching(/^[a-z]{1,8}$/);
    const entries = fc.uniqueArray(
      fc.tuple(fc.array(part, { minLength: 1, maxLength: 3 }), fc.string(), fc.boolean()),
      { selector: ([parts]) => parts.join("/"), maxLength: 8 },
    );
    fc.assert(
      fc.property(entries, (tuples) => {
        // A folder cannot be a file too.
        const files = tuples.map(([parts, text, executable], index) =>
          file(`d${String(index)}/${parts.join("/")}`, text, executable),
        );
        const [one, other] = [
          packSources([run, ...files], launcher),
          packSources([...files, run].toReversed(), launcher),
        ];
        assert.ok(one.ok && other.ok);
        assert.ok(one.value.tar.equals(other.value.tar));
        assert.equal(one.value.sha256, createHash("sha256").update(one.value.tar).digest("hex"));
        assert.equal(one.value.files, files.length + 1);
        const more = packSources([run, ...files, file("more")], launcher);
        assert.ok(more.ok && more.value.sha256 !== one.value.sha256);
      }),
      { numRuns: 50 },
    );
  });

  it("come out of tar as they went in, long names too, and nothing of the folder around them", async () => {
    const [source, out] = [join(folder, "source"), join(folder, "out")];
    const long = `${"deep/".repeat(30)}${"n".repeat(80)}`;
    mkdirSync(join(source, long, ".."), { recursive: true });
    for (const each of [".git", "node_modules/.bin", "node_modules/a"])
      mkdirSync(join(source, each), { recursive: true });
    writeFileSync(join(folder, "neighbour"), "not ours");
    writeFileSync(join(source, "run"), "#!/bin/sh\n");
    writeFileSync(join(source, long), "long");
    writeFileSync(join(source, "tool"), "x");
    chmodSync(join(source, "tool"), 0o700);
    writeFileSync(join(source, ".git/config"), "token");
    writeFileSync(join(source, "node_modules/a/index.js"), "1");
    symlinkSync("../a/index.js", join(source, "node_modules/.bin/a"));
    const packed = packSources(await readSources(source), launcher);
    assert.ok(packed.ok, JSON.stringify(packed));
    const tar = join(folder, "packed.tar");
    writeFileSync(tar, packed.value.tar);
    mkdirSync(out);
    assert.equal(spawnSync("tar", ["-xf", tar, "-C", out]).status, 0);
    const listed = spawnSync("tar", ["-tf", tar], { encoding: "utf8" }).stdout.trim().split("\n");
    const files = listed.filter((name) => !name.endsWith("/"));
    assert.deepEqual(files.toSorted(), [long, "node_modules/a/index.js", "run", "tool"].toSorted());
    assert.equal(readFileSync(join(out, long), "utf8"), "long");
    const mode = (name: string): number => statSync(join(out, name)).mode & 0o111;
    assert.deepEqual([mode("run") > 0, mode("tool") > 0, mode(long)], [true, true, 0]);
  });

  it("have an entry point that Linux can start", () => {
    assert.deepEqual(faultsOf(run), []);
    assert.deepEqual(faultsOf(file("run", "\x7fELF")), []);
    assert.deepEqual(faultsOf(file("Run", "#!/bin/sh")), ["sources/run: undefined: a file in the agent's folder"]);
    assert.match(faultsOf(file("run", "console.log(1)")).join(), /cannot start/);
    // With an exec of its own: the file that it names, or none of the sources.
    const started = entryPointOf("x", ["/opt/heavy-agent/x/bin/go", "--fast"]);
    assert.deepEqual(started, { path: "bin/go", started: true });
    const script = entryPointOf("x", ["/usr/local/bin/node", "/opt/heavy-agent/x/main.js"]);
    assert.deepEqual(script, { path: "main.js", started: false });
    assert.ok(packSources([file("main.js", "1")], script).ok);
    assert.ok(!packSources([run], script).ok);
    assert.equal(entryPointOf("x", ["/usr/bin/env", "/opt/heavy-agent/xy/main.js"]), undefined);
    assert.ok(packSources([file("anything")], undefined).ok);
  });

  it("are refused with a link, a device, a way out of the folder, or a file of secrets; all at once", () => {
    const faulty = faultsOf(
      { path: "data", kind: "link" },
      { path: "pipe", kind: "other" },
      file("../outside"),
      file("/etc/passwd"),
      file("a//b"),
      file(".env", "TOKEN=canary"),
      file("config/.env.production"),
      file("id_ed25519", "-----BEGIN OPENSSH PRIVATE KEY-----"),
      file(`${"n".repeat(101)}`),
    );
    assert.equal(faulty.length, 10);
    assert.ok(!faulty.join().includes("canary"));
    // Of what was not read: too much, and still what its name says.
    assert.deepEqual(faultsOf({ path: "run", kind: "unread", bytes: 10 }, { path: ".env", kind: "unread", bytes: 1 }), [
      'sources: ".env": no file of secrets',
      "sources: 2 files and folders or more, 11 bytes or more: at most 20000 files, 268435456 bytes together",
    ]);
    assert.deepEqual(faultsOf(run, file(".env.example"), file("node_modules/tls/test.pem", "PRIVATE KEY-----")), []);
  });

  it("are measured before any of them is read, and read no further than they were long", async () => {
    const wide = join(folder, "wide");
    mkdirSync(join(wide, "below"), { recursive: true });
    for (const name of ["run", "a", "below/b"]) writeFileSync(join(wide, name), "#!");
    const kinds = async (...most: Parameters<typeof readSources>): Promise<readonly string[]> =>
      (await readSources(...most)).map(({ kind }) => kind);
    assert.deepEqual(await kinds(wide, { files: 3, bytes: 6 }), ["file", "file", "file"]);
    assert.deepEqual(new Set(await kinds(wide, { files: 2, bytes: 6 })), new Set(["unread"]));
    assert.deepEqual(new Set(await kinds(wide, { files: 3, bytes: 5 })), new Set(["unread"]));
    for (const name of ["1", "2", "3", "4"]) mkdirSync(join(wide, name));
    assert.deepEqual(new Set(await kinds(wide, { files: 3, bytes: 6 })), new Set(["unread"]), "folders count too");
    // More than this process could read at once; no block of it is on the disk.
    truncateSync(join(wide, "a"), 2 ** 40);
    const packed = packSources(await readSources(wide), launcher);
    assert.ok(!packed.ok);
    assert.match(
      packed.faults.map(({ value }) => value).join(),
      /^\d files and folders or more, 10995116277\d\d bytes/,
    );
    // Files without a size that hold something all the same.
    const endless = await readSources("/proc/sys/kernel/random");
    assert.deepEqual(new Set(endless.map(({ kind }) => kind)), new Set(["changing"]));
    assert.match(faultsOf(run, ...endless).join(), /"uuid": files that stay as they are/);
  });
});
