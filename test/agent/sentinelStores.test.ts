import assert from "node:assert/strict";
import { appendFile, readdir, readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { realClock } from "../../runtime-agent/src/shared/clock.ts";
import { openBodies } from "../../runtime-agent/src/sentinel/bodies.ts";
import type { Line } from "../../runtime-agent/src/sentinel/core/types.ts";
import { openKeyStore } from "../../runtime-agent/src/sentinel/keyStore.ts";
import { createLedger } from "../../runtime-agent/src/sentinel/ledger.ts";
import { temporaryFolder } from "../support/agentChild.ts";

const dayMs = 86_400_000;
const hex = (n: number, digits: number): string => n.toString(16).padStart(digits, "0");

function keyOf(n: number, day = 20_000) {
  const state = (["completed", "failed", "interrupted"] as const)[n % 3] ?? "failed";
  return {
    ...{ agent: `agent-${String(n % 7)}`, key: `key-${String(n)}`, runId: `run_${hex(n, 32)}` },
    ...{ digest: hex(n, 24).padEnd(64, "0"), state, endedMs: day * dayMs },
  };
}

describe("Sentinel: what it keeps on the disk", () => {
  it("knows thousands of keys again after a restart, and forgets whole days", async () => {
    await using place = await temporaryFolder();
    const folder = join(place.folder, "keys");
    const store = await openKeyStore(folder);
    const many = Array.from({ length: 5000 }, (_, n) => keyOf(n, 20_000 + (n % 2)));
    await store.add(many);
    // Once more, as after a crash between the two: the same key is one key.
    await store.add(many.slice(0, 10));
    const again = await openKeyStore(folder);
    assert.deepEqual([again.size, again.damaged, store.size], [5000, 0, 5000]);
    for (const { agent, key, runId, state, digest } of many) {
      const found = again.find(agent, key);
      assert.deepEqual([found?.runId, found?.state, found?.digest], [runId, state, digest.slice(0, 24)]);
    }
    assert.equal(again.find("agent-1", "key-0"), undefined);
    await again.dropBefore(20_001 * dayMs);
    assert.deepEqual([again.size, (await readdir(folder)).length], [2500, 1]);
    assert.equal(again.find("agent-0", "key-0"), undefined);
    assert.equal(again.find("agent-1", "key-1")?.runId, keyOf(1).runId);
  });

  it("passes over a record that a crash cut short or a disk changed, and writes on behind it", async () => {
    await using place = await temporaryFolder();
    const store = await openKeyStore(place.folder);
    await store.add([keyOf(1), keyOf(2), keyOf(3)]);
    const file = join(place.folder, "keys-20000");
    const bytes = await readFile(file);
    bytes[60] = (bytes[60] ?? 0) ^ 1;
    await writeFile(file, bytes);
    await truncate(file, bytes.length - 7);
    const damaged = await openKeyStore(place.folder);
    assert.deepEqual([damaged.size, damaged.damaged], [1, 2]);
    await damaged.add([keyOf(4)]);
    await appendFile(file, "torn");
    const again = await openKeyStore(place.folder);
    assert.deepEqual([again.size, again.damaged, again.find("agent-4", "key-4")?.runId], [2, 3, keyOf(4).runId]);
  });

  it("keeps short texts in the state and long ones in files, and deletes what nobody names", async () => {
    await using place = await temporaryFolder();
    const bodies = await openBodies(place.folder);
    const short = await bodies.put("run_1", '"short"');
    const [long, other] = [
      await bodies.put("run_1", `"${"é".repeat(600)}"`),
      await bodies.put("run_1", `"${"x".repeat(2000)}"`),
    ];
    assert.deepEqual([short, long.bytes], [{ bytes: 7, json: '"short"' }, 1202]);
    assert.deepEqual([await bodies.get(short), await bodies.get(long)], ['"short"', `"${"é".repeat(600)}"`]);
    await bodies.keepOnly([short, other]);
    assert.deepEqual([await bodies.get(long), (await readdir(place.folder)).length], [undefined, 1]);
    await bodies.drop(other);
    assert.equal((await readdir(place.folder)).length, 0);
  });

  it("journals in the order of the decisions, tries again when the disk is full, and lets nothing out before", async () => {
    const written: object[] = [];
    let full = false;
    const journal = {
      append(lines: readonly object[]): Promise<void> {
        if (full) return Promise.reject(new Error("ENOSPC"));
        written.push(...lines);
        return Promise.resolve();
      },
    };
    const faults: string[] = [];
    let release = (): void => undefined;
    const clock = { ...realClock(), sleep: () => new Promise<void>((resolve) => (release = resolve)) };
    const ledger = createLedger(journal, clock, new AbortController().signal, (reason) => faults.push(reason));
    const line = (runId: string): Line => ({ kind: "run-gone", runId });
    await ledger.put([line("a")]);
    full = true;
    const done: string[] = [];
    const [second, third] = ["b", "c"].map((id) => ledger.put([line(id)]).then(() => done.push(id)));
    // Nothing of its own to write, and still behind the others.
    const empty = ledger.put([]).then(() => done.push("empty"));
    while (ledger.fault() === undefined) await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual([written.length, done, faults], [1, [], ["ENOSPC"]]);
    full = false;
    release();
    await Promise.all([second, third, empty]);
    assert.deepEqual([written, done], [["a", "b", "c"].map(line), ["b", "c", "empty"]]);
    assert.equal(ledger.fault(), undefined);
  });
});
