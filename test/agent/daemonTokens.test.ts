// Fencing tokens never come twice, whatever a kill or a power cut leaves of the journal.
import assert from "node:assert/strict";
import { cp, readFile, readdir, rm, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { initialState } from "../../runtime-agent/src/keeper/arbiter/core/state.ts";
import { Memory } from "../../runtime-agent/src/keeper/arbiter/memory.ts";
import { decodeLine, encodeLine } from "../../runtime-agent/src/shared/journal/line.ts";
import { createLog } from "../../runtime-agent/src/shared/log.ts";
import { temporaryFolder } from "../support/agentChild.ts";
import { ArbiterSite } from "../support/arbiterDaemon.ts";
import type { AgentProgram } from "../support/arbiterDaemon.ts";
import { configureScene, night, openScene, programOrSkip } from "../support/arbiterScene.ts";
import type { Scene } from "../support/arbiterScene.ts";

const log = createLog({ level: "error", write: () => undefined });

function open(folder: string, boot: string, syncAfterMs: number): Promise<Memory> {
  const ports = { boot, wallMs: () => 0, log, placesOf: () => ({}), onDecision: () => undefined, syncAfterMs };
  return Memory.open(folder, ports);
}

async function give(memory: Memory, token: number): Promise<void> {
  const decisions = [{ what: "grant", token, reason: "the test's" }];
  await memory.record([{ state: { ...memory.before.state, token }, actions: [], decisions }]);
}

async function lastSegment(journal: string): Promise<string> {
  return join(journal, (await readdir(journal)).toSorted().at(-1) ?? "");
}

describe("fencing tokens", () => {
  it("go on above all that were given out after a power cut at any byte that was not synced (property)", async () => {
    const steps = fc.array(fc.record({ tokens: fc.integer({ min: 1, max: 400 }), rests: fc.boolean() }), {
      minLength: 1,
      maxLength: 12,
    });
    await fc.assert(
      fc.asyncProperty(steps, fc.double({ min: 0, max: 1, noNaN: true }), async (path, share) => {
        await using place = await temporaryFolder();
        const state = join(place.folder, "state");
        // Never by itself: only what has to be on the disk is.
        const memory = await open(state, "first", 1_000_000);
        let token = memory.before.state.token;
        for (const { tokens, rests } of path) {
          await give(memory, (token += tokens));
          if (rests) await sleep(2);
        }
        const { segment, bytes } = memory.syncedTo;
        const copy = join(place.folder, "copy");
        await cp(state, copy, { recursive: true });
        await memory.close();
        const file = join(copy, "journal", segment);
        const { size } = await stat(file);
        await truncate(file, Math.round(bytes + share * (size - bytes)));
        const next = await open(copy, "second", 20);
        assert.ok(next.before.state.token >= token, `${String(next.before.state.token)} after ${String(token)}`);
        await next.close();
      }),
      { numRuns: 60 },
    );
  });

  it("go on without a gap after a kill: what is written is there, on the disk or not", async () => {
    await using place = await temporaryFolder();
    const memory = await open(place.folder, "same", 1_000_000);
    for (const token of [1, 2, 3]) await give(memory, token);
    const { bytes } = memory.syncedTo;
    assert.ok(
      (await stat(await lastSegment(join(place.folder, "journal")))).size > bytes,
      "nobody waited for the disk",
    );
    const next = await open(place.folder, "same", 20);
    assert.equal(next.before.state.token, 3);
    assert.equal(next.decisions.length, 3);
    await next.close();
    await memory.close();
  });

  it("jump over what was reserved when the journal's last line is torn", async () => {
    await using place = await temporaryFolder();
    const memory = await open(place.folder, "same", 20);
    await give(memory, 1);
    await memory.close();
    const file = await lastSegment(join(place.folder, "journal"));
    await writeFile(file, `${await readFile(file, "latin1")}0000`, "latin1");
    const next = await open(place.folder, "same", 20);
    assert.ok(next.before.state.token >= 1001, String(next.before.state.token));
    await next.close();
  });

  it("never hold a state back that was written while a note waited", async () => {
    await using place = await temporaryFolder();
    const memory = await open(place.folder, "same", 20);
    await give(memory, 1);
    const state = { ...initialState(), arrivals: 7, token: 1 };
    await Promise.all([
      memory.record([{ state, actions: [], decisions: [] }]),
      memory.noteCheckpoint("muse", [{ pid: 1, startTicks: 1 }]),
    ]);
    await memory.close();
    const next = await open(place.folder, "same", 20);
    assert.equal(next.before.state.arrivals, 7);
    assert.ok("muse" in next.before.shell.checkpointed);
    await next.close();
  });
});

describe("arbiter daemon: a power cut", () => {
  let program: AgentProgram;
  let scene: Scene;
  let site: ArbiterSite;

  before(async function () {
    program = await programOrSkip(this);
    scene = await openScene();
    site = await ArbiterSite.open(program);
  });
  after(async () => {
    await site?.close();
    await scene?.close();
    await program?.remove();
  });

  it("takes back a grant that was not on the disk, and no token; a kill takes back neither", async () => {
    await configureScene(site, scene);
    // So slow a disk that nothing after the start reaches it here.
    const slow = { HIVE_LAB_CLOCK: night, HIVE_FAILPOINTS: "journal.before-fsync=delay:300" };
    const daemon = await site.start({ env: slow });
    await daemon.until(({ holder }) => holder?.service === "muse", "the batch runs");
    const folder = join(site.folder, "state", "journal");
    const file = await lastSegment(folder);
    for (let before = -1, size = 0; size !== before; before = size, size = (await stat(file)).size) await sleep(400);
    const { size: safe } = await stat(file);
    const lease = await daemon.ask("eva");
    assert.equal(lease.state, "held");
    await daemon.stop("SIGKILL");
    const whole = await readFile(file);
    assert.ok(whole.length > safe && whole.includes(lease.lease), "the kernel has it");

    // Another boot and the synced part alone: what a machine finds after a power cut.
    const lines = whole.subarray(0, safe).toString("utf8").trimEnd().split("\n");
    const old = lines.map((line) => {
      const decoded = decodeLine(Buffer.from(line));
      assert.ok(decoded.ok);
      return encodeLine({ ...decoded.value, boot: "before the power cut" });
    });
    await rm(file);
    await writeFile(file, Buffer.concat(old), { mode: 0o600 });
    const next = await site.start({ env: { HIVE_LAB_CLOCK: night } });
    assert.equal((await next.look(lease.lease)).status, 404);
    const again = await next.ask("eva");
    assert.ok(again.token > lease.token, `${String(again.token)} after ${String(lease.token)}`);
  });
});
