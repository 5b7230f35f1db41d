import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFile, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { SourceMap } from "node:module";
import { bundleAgent } from "../../runtime-agent/build/bundle.ts";
import { licenceNotes, packagesOf } from "../../runtime-agent/build/licences.ts";
import { writeTarball } from "../../runtime-agent/build/tarball.ts";
import { ustar } from "../../components/shared/ustar.ts";
import { start, temporaryFolder } from "../support/agentChild.ts";

const root = path.resolve(import.meta.dirname, "../..");

describe("release", () => {
  it("bundles into one file that is the same every time, knows no path of this machine, and maps to its sources", async () => {
    const [first, second] = [await bundleAgent(), await bundleAgent()];
    assert.ok(first.code.equals(second.code) && first.sourceMap.equals(second.sourceMap));
    assert.equal(first.licences, second.licences);
    const code = first.code.toString("utf8");
    assert.ok(!code.includes(root) && !first.sourceMap.includes(root));
    assert.ok(!code.includes("node_modules/esbuild"));
    const payload: ConstructorParameters<typeof SourceMap>[0] = JSON.parse(first.sourceMap.toString("utf8"));
    const line = code.split("\n").findIndex((text) => text.includes("another agent runs ("));
    const entry = new SourceMap(payload).findEntry(line, 20);
    assert.match("originalSource" in entry ? entry.originalSource : "", /shared\/instanceLock\.ts$/);
    for (const name of ["zod", "yaml"])
      assert.match(first.licences, new RegExp(`^${name} \\d.* \\((?:MIT|ISC)\\)$`, "m"));
  });

  it("unpacks to an agent that runs with an empty environment, from a link, and can call C", async () => {
    await using place = await temporaryFolder();
    const { file, sha256, version } = await writeTarball(place.folder, 1);
    const bytes = await readFile(file);
    assert.equal(createHash("sha256").update(bytes).digest("hex"), sha256);
    assert.equal(await readFile(`${file}.sha256`, "utf8"), `${sha256}  ${path.basename(file)}\n`);
    const run = (program: string, ...args: readonly string[]): ReturnType<typeof start>["ended"] =>
      start(program, args, {}).ended;
    assert.equal((await run("/bin/tar", "-xzf", file, "-C", place.folder)).code, 0);
    const sums = await start("/bin/sh", ["-c", `cd ${place.folder} && sha256sum --quiet -c SHA256SUMS`]).ended;
    assert.deepEqual([sums.code, sums.stdout], [0, ""]);
    const link = path.join(place.folder, "link");
    await symlink(path.join(place.folder, "bin/hive-agent"), link);
    const said = await run(link, "version");
    assert.deepEqual([said.code, said.stdout, said.stderr], [0, `${version}\n`, ""]);
    const doctor = await run(link, "doctor", "--config", "/nowhere");
    assert.match(doctor.stdout, /^ok {4}system calls {3}koffi \d/m);
  });

  it("archives the same entries to the same bytes in any order, and refuses what ustar cannot hold", () => {
    const entry = (name: string): { name: string; mode: 0o644; content: Buffer } => ({
      name,
      mode: 0o644,
      content: Buffer.from(name),
    });
    const [a, b] = [entry("x/a"), entry("x/y/b")];
    assert.ok(ustar([a, b]).equals(ustar([b, a])));
    assert.throws(() => ustar([a, a]), RangeError);
    assert.throws(() => ustar([entry("n".repeat(101))]), RangeError);
  });

  it("finds the packages of a bundle and refuses one without a permissive licence", async () => {
    assert.deepEqual(
      packagesOf([
        "node_modules/zod/v4/core/a.js",
        "node_modules/@x/y/z.js",
        "src/a.ts",
        "node_modules/a/node_modules/b/c.js",
      ]),
      ["node_modules/@x/y", "node_modules/a/node_modules/b", "node_modules/zod"],
    );
    await using place = await temporaryFolder();
    await writeFile(path.join(place.folder, "package.json"), '{"name":"p","version":"1.0.0","license":"GPL-3.0"}');
    await assert.rejects(licenceNotes(place.folder, ["."]), /p 1\.0\.0: licence "GPL-3\.0" may not be shipped/);
  });
});
