import assert from "node:assert/strict";
import { readFile, readdir, rm, stat, truncate, writeFile } from "node:fs/promises";
import path from "node:path";
import fc from "fast-check";
import type { Journal, JournalEntry } from "../../runtime-agent/src/shared/journal/index.ts";
import { openJournal } from "../../runtime-agent/src/shared/journal/index.ts";
import { startSource, temporaryFolder } from "../support/agentChild.ts";

async function all(journal: Journal): Promise<JournalEntry[]> {
  const entries: JournalEntry[] = [];
  for await (const entry of journal.entries()) entries.push(entry);
  return entries;
}

function numbers(entries: readonly JournalEntry[]): readonly unknown[] {
  return entries.map((entry) => (entry.kind === "entry" ? entry.value.n : entry.at.reason));
}

async function written(dir: string, count: number, options = {}): Promise<void> {
  const journal = await openJournal(dir, options);
  for (let n = 0; n < count; n += 1) await journal.append([{ n, text: `entry ${String(n)}` }]);
  await journal.close();
}

describe("journal", () => {
  it("gives back in order what was appended, also by many callers at once and after opening again", async () => {
    await using place = await temporaryFolder();
    const journal = await openJournal(place.folder);
    await Promise.all(Array.from({ length: 50 }, (_, n) => journal.append([{ n: 2 * n }, { n: 2 * n + 1 }])));
    const wanted = Array.from({ length: 100 }, (_, n) => n);
    assert.deepEqual(numbers(await all(journal)), wanted);
    await journal.close();
    await assert.rejects(journal.append([{}]), /closed/);
    const again = await openJournal(place.folder);
    await again.append([{ n: 100 }]);
    assert.deepEqual(numbers(await all(again)), [...wanted, 100]);
    await again.close();
  });

  it("cuts off a last line torn at any byte, loses nothing before it, and goes on (property)", async () => {
    await using place = await temporaryFolder();
    await written(place.folder, 5);
    const file = path.join(place.folder, "journal-00000001.log");
    const whole = await readFile(file);
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length), fc.uint8Array({ maxLength: 20 }), async (length, noise) => {
        const torn = Buffer.concat([whole.subarray(0, length), Buffer.from(noise.filter((byte) => byte !== 0x0a))]);
        await writeFile(file, torn);
        const kept = torn.toString("latin1").split("\n").length - 1;
        const journal = await openJournal(place.folder);
        assert.equal(journal.opened.tornBytes, torn.length - (torn.lastIndexOf(0x0a) + 1));
        assert.equal((await stat(file)).size, torn.lastIndexOf(0x0a) + 1);
        await journal.append([{ n: 99 }]);
        assert.deepEqual(numbers(await all(journal)), [...[0, 1, 2, 3, 4].slice(0, kept), 99]);
        await journal.close();
      }),
      { numRuns: 60 },
    );
  });

  it("reports a flipped bit and loses at most the lines it touches (property)", async () => {
    await using place = await temporaryFolder();
    await written(place.folder, 6);
    const file = path.join(place.folder, "journal-00000001.log");
    const whole = await readFile(file);
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length * 8 - 1), async (bit) => {
        const flipped = Buffer.from(whole);
        flipped.writeUInt8((flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7)), bit >> 3);
        await writeFile(file, flipped);
        const journal = await openJournal(place.folder);
        const entries = await all(journal);
        const good = numbers(entries.filter((entry) => entry.kind === "entry"));
        const reported = entries.some((entry) => entry.kind === "corrupt") || journal.opened.tornBytes > 0;
        assert.ok(reported);
        assert.ok(good.length >= 4);
        assert.deepEqual(good, [...good].toSorted());
        await journal.close();
      }),
      { numRuns: 60 },
    );
  });

  it("begins a new segment when one is full, with the snapshot at its head, and keeps only so many", async () => {
    await using place = await temporaryFolder();
    let last = -1;
    const snapshot = (): readonly object[] => [{ n: `snapshot ${String(last)}` }];
    const journal = await openJournal(place.folder, { maxBytes: 200, keep: 2, snapshot });
    for (let n = 0; n < 30; n += 1) {
      await journal.append([{ n }]);
      last = n;
    }
    assert.equal((await readdir(place.folder)).length, 2);
    const seen = numbers(await all(journal));
    const from = Number(/^snapshot (\d+)$/.exec(String(seen[0]))?.[1]);
    const rest = seen.filter((n) => typeof n === "number");
    assert.deepEqual(
      rest,
      Array.from({ length: 29 - from }, (_, index) => from + 1 + index),
    );
    await journal.close();
  });

  it("says so when a segment in the middle is missing or ends in a torn line", async () => {
    await using place = await temporaryFolder();
    await written(place.folder, 12, { maxBytes: 120, keep: 9 });
    const files = (await readdir(place.folder)).toSorted();
    assert.ok(files.length >= 4);
    await truncate(path.join(place.folder, files[0] ?? ""), 50);
    await rm(path.join(place.folder, files[1] ?? ""));
    const journal = await openJournal(place.folder);
    const reasons = (await all(journal)).flatMap((entry) => (entry.kind === "corrupt" ? [entry.at.reason] : []));
    assert.deepEqual(reasons, ["checksum differs", "the segment before it is missing"]);
    await journal.close();
  });

  it("has every acknowledged entry, and whole ones only, after SIGKILL before, between and after write and fsync", async () => {
    const points = ["before-write", "before-fsync", "after-fsync", "new-segment"].map(
      (name) => `journal.${name}=kill:5`,
    );
    for (const point of [...points, "state.before-rename=kill:5"]) {
      await using place = await temporaryFolder();
      const source = `
        import { openJournal } from "/shared/journal/index.ts";
        import { writeFileAtomically } from "/shared/stateFile.ts";
        const journal = await openJournal(process.env.DIR, { maxBytes: 300, keep: 100 });
        for (let n = 0; ; n += 1) {
          await journal.append([{ n }]);
          process.stdout.write(n + "\\n");
          await writeFileAtomically(process.env.DIR + "/state.json", JSON.stringify({ n }));
        }`;
      const { ended } = startSource(source, { DIR: place.folder, HIVE_FAILPOINTS: point });
      const { signal, stdout, stderr } = await ended;
      assert.equal(signal, "SIGKILL", stderr);
      const acknowledged = stdout.trim().split("\n").map(Number);
      const journal = await openJournal(place.folder);
      const seen = numbers(await all(journal));
      assert.deepEqual(seen.slice(0, acknowledged.length), acknowledged, point);
      assert.ok(seen.length <= acknowledged.length + 1);
      const state: unknown = JSON.parse(await readFile(path.join(place.folder, "state.json"), "utf8"));
      assert.ok(typeof state === "object" && state !== null && "n" in state);
      await journal.close();
    }
  });

  it("begins a segment again after the first try failed", async () => {
    await using place = await temporaryFolder();
    const source = `
      import { openJournal } from "/shared/journal/index.ts";
      const journal = await openJournal(process.env.DIR, { maxBytes: 30 });
      for (const n of [1, 2, 3]) await journal.append([{ n }]).catch((error) => process.stdout.write(error.name + n));`;
    const fails = "journal.new-segment=error:2-2";
    const env = { DIR: place.folder, HIVE_FAILPOINTS: fails };
    assert.equal((await startSource(source, env).ended).stdout, "FailpointError2");
    const journal = await openJournal(place.folder);
    assert.deepEqual(numbers(await all(journal)), [1, 3]);
    await journal.close();
  });

  it("rejects the entries of a failed write, keeps none of them, and works again when the fault has gone", async () => {
    await using place = await temporaryFolder();
    const source = `
      import { openJournal } from "/shared/journal/index.ts";
      const journal = await openJournal(process.env.DIR);
      for (let n = 0; n < 4; n += 1) await journal.append([{ n }]).catch((error) => process.stdout.write(error.name + "\\n"));
      process.stdout.write("end");`;
    const env = { DIR: place.folder, HIVE_FAILPOINTS: "journal.before-fsync=error:3" };
    assert.equal((await startSource(source, env).ended).stdout, "FailpointError\nFailpointError\nend");
    const journal = await openJournal(place.folder);
    await journal.append([{ n: 7 }]);
    assert.deepEqual(numbers(await all(journal)), [0, 1, 7]);
    await assert.rejects(journal.append([{ big: 1n }]), TypeError);
    await journal.close();
  });

  it("has what was written after SIGKILL before its fsync, and writes it again when the fsync fails", async () => {
    const source = `
      import { openJournal } from "/shared/journal/index.ts";
      const journal = await openJournal(process.env.DIR, { syncAfterMs: 1_000_000 });
      await journal.write([{ n: 0 }]);
      await journal.write([{ n: 1 }]);
      process.stdout.write("written " + journal.syncedTo().bytes + "\\n");
      await journal.sync().catch((error) => process.stdout.write(error.name + "\\n"));
      process.stdout.write("synced " + (journal.syncedTo().bytes > 0));
      await journal.append([{ n: 2 }]).catch((error) => process.stdout.write(" " + error.name));`;
    for (const [point, wanted, kept] of [
      ["kill", "written 0\n", [0, 1]],
      ["error:1-1", "written 0\nFailpointError\nsynced true", [0, 1, 2]],
      ["error:2", "written 0\nsynced true FailpointError", [0, 1]],
    ] as const) {
      await using place = await temporaryFolder();
      const env = { DIR: place.folder, HIVE_FAILPOINTS: `journal.before-fsync=${point}` };
      assert.equal((await startSource(source, env).ended).stdout, wanted, point);
      const journal = await openJournal(place.folder);
      assert.deepEqual(numbers(await all(journal)), kept, point);
      await journal.close();
    }
  });
});
