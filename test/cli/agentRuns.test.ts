// Waiting for a run and following its log, against a Sentinel that is told what to answer.
import assert from "node:assert/strict";
import { copyLog } from "../../cli/commands/agent/logs.ts";
import { endOf } from "../../cli/commands/agent/signal.ts";
import { guestIds, lostWith } from "../../cli/destroy/lost.ts";
import type { StateResource } from "../../cli/repair/deployment.ts";
import type { LogPiece, RunSeen } from "../../cli/sentinel/answers.ts";

const runId = `run_${"0".repeat(32)}`;
const run = (state: RunSeen["state"]): RunSeen => ({
  ...{ runId, state, agent: "ghost", key: "a:1", acceptedMs: 0, attempts: 1, reason: null },
});

/** A Sentinel whose answers follow a list each; the last one stays. */
function scripted(states: readonly RunSeen["state"][], pieces: readonly (LogPiece | undefined)[] = []) {
  const asked: number[] = [];
  let [turn, piece] = [0, 0];
  return {
    asked,
    run: () => Promise.resolve(run(states[Math.min(turn++, states.length - 1)] ?? "waiting")),
    log: (_: string, from: number) => {
      asked.push(from);
      return Promise.resolve(pieces[Math.min(piece++, pieces.length - 1)]);
    },
  };
}

async function copied(
  sentinel: ReturnType<typeof scripted>,
  follow: boolean,
): Promise<{ readonly text: string; readonly pauses: number }> {
  let [text, pauses] = ["", 0];
  const cancel = new AbortController();
  await copyLog(sentinel, runId, {
    ...{ follow, cancel: cancel.signal, write: (part: string) => void (text += part) },
    pause: () => {
      pauses += 1;
      if (pauses > 20) cancel.abort();
      return Promise.resolve();
    },
  });
  return { text, pauses };
}

describe("hive agent: runs and logs", () => {
  it("waits for the end of a run, whichever it is", async () => {
    for (const end of ["completed", "failed", "interrupted", "dead"] as const) {
      let pauses = 0;
      const pause = (): Promise<void> => Promise.resolve(void (pauses += 1));
      const cancel = new AbortController().signal;
      const found = await endOf(scripted(["waiting", "handed", "handed", end]), runId, { cancel, pause });
      assert.deepEqual([found?.state, pauses], [end, 3]);
    }
  });

  it("stops waiting when it is told to, and says how the run stands", async () => {
    const cancel = new AbortController();
    const pause = (): Promise<void> => Promise.resolve(cancel.abort());
    const found = await endOf(scripted(["handed"]), runId, { cancel: cancel.signal, pause });
    assert.equal(found?.state, "handed");
  });

  it("copies all pieces of a log there are, each once", async () => {
    const pieces = [
      { text: "one\n", next: 4, end: false },
      { text: "two\n", next: 8, end: false },
      { text: "", next: 8, end: false },
    ];
    const sentinel = scripted(["handed"], pieces);
    assert.deepEqual(await copied(sentinel, false), { text: "one\ntwo\n", pauses: 0 });
    assert.deepEqual(sentinel.asked, [0, 4, 8]);
  });

  it("follows a log until its end, also when there is none yet, and does not wait for one that will not come", async () => {
    const late = [
      { text: "", next: 0, end: false },
      { text: "late\n", next: 5, end: false },
      { text: "", next: 5, end: true },
    ];
    assert.deepEqual(await copied(scripted(["waiting", "handed", "completed"], late), true), {
      text: "late\n",
      pauses: 1,
    });
    const dead = [{ text: "", next: 0, end: false }];
    assert.deepEqual(await copied(scripted(["dead"], dead), true), { text: "", pauses: 0 });
    assert.deepEqual(await copied(scripted(["completed"], [undefined]), true), { text: "", pauses: 0 });
  });
});

describe("hive agent: a server that went without us", () => {
  const resource = (type: string, name: string, inputs: Readonly<Record<string, unknown>> = {}): StateResource => ({
    ...{ urn: `urn:pulumi:agent-x::hive::${type}::${name}`, type, inputs, protect: false },
  });
  const container = resource("proxmoxve:index/containerLegacy:ContainerLegacy", "c", { vmId: 399 });
  const rules = resource("proxmoxve:firewall/rulesLegacy:RulesLegacy", "r", { containerId: 399 });
  const remote = resource("command:remote:Command", "sources");
  const local = resource("command:local:Command", "farewell");
  const all = [container, rules, remote, local];

  it("is forgotten with all that was on it, and with nothing else", () => {
    assert.deepEqual(guestIds(all), ["399"]);
    assert.deepEqual([...lostWith(all, new Set(["399"]))], [container.urn, rules.urn, remote.urn]);
    assert.deepEqual([...lostWith(all, new Set())], []);
    // An earlier look has taken the guest itself out of the state.
    assert.deepEqual(guestIds([rules, remote]), ["399"]);
    assert.deepEqual([...lostWith([rules, remote], new Set(["399"]))], [rules.urn, remote.urn]);
    // What is only on this machine, and ends with the guest: the state may not name a guest that is not in it.
    const hostKey = { ...resource("command:local:Command", "host-key"), deletedWith: container.urn };
    assert.deepEqual([...lostWith([container, local, hostKey], new Set(["399"]))], [container.urn, hostKey.urn]);
    const other = resource("proxmoxve:index/containerLegacy:ContainerLegacy", "d", { vmId: 398 });
    assert.deepEqual([...lostWith([...all, other], new Set(["399"]))], [container.urn, rules.urn]);
  });
});
