import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pruneReleases } from "../../cli/agents/release.ts";

const hourMs = 3_600_000;
const nowMs = Date.UTC(2026, 10, 1);

describe("releases of the agent that are kept", () => {
  let root = "";
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "hive-releases-"));
  });
  afterEach(() => {
    rmSync(root, { recursive: true });
  });
  const make = (name: string, ageHours: number): void => {
    const folder = join(root, name);
    mkdirSync(folder);
    writeFileSync(join(folder, "name"), name);
    const at = new Date(nowMs - ageHours * hourMs);
    utimesSync(folder, at, at);
  };
  const left = (): string[] => readdirSync(root).toSorted();

  it("are the five that were used last, and whatever was used within a day", () => {
    for (let n = 1; n <= 8; n += 1) make(`r${String(n)}`, n * 10);
    pruneReleases(root, nowMs);
    assert.deepEqual(left(), ["r1", "r2", "r3", "r4", "r5"]);
    for (let n = 1; n <= 6; n += 1) make(`today${String(n)}`, n);
    pruneReleases(root, nowMs);
    assert.deepEqual(left(), ["r1", "r2", ...Array.from({ length: 6 }, (_, n) => `today${String(n + 1)}`)]);
  });

  it("leave a build alone that may still go on, and nothing of one that was killed", () => {
    make("draft-now", 0);
    make("draft-killed", 30);
    pruneReleases(root, nowMs);
    assert.deepEqual(left(), ["draft-now"]);
  });
});
