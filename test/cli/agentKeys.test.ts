// When `hive up` of an agent asks the Sentinel for a key, and what it may not do before its checks are over.
import assert from "node:assert/strict";
import fc from "fast-check";
import { fitRegistrationKey, keyStep, makesServer } from "../../cli/agents/registrationKey.ts";
import { askAgain, renderLetters } from "../../cli/commands/agent/deadLetters.ts";
import { timeFromNow } from "../../cli/commands/agent/renew.ts";
import type { Step } from "../../cli/engine/progress.ts";
import { CommandFailure } from "../../cli/output/failure.ts";
import type { RegistrationSeen, RunSeen } from "../../cli/sentinel/answers.ts";
import { keyId } from "../../runtime-agent/src/shared/pskTls.ts";

const nowMs = Date.now();
const hour = 3_600_000;
const own = "ab".repeat(32);
const ownId = keyId(Buffer.from(own, "hex"));
const fresh: RegistrationSeen = { id: "0".repeat(32), keyId: ownId, life: 1, registerBeforeMs: nowMs + hour };
const registered: RegistrationSeen = { ...fresh, registerBeforeMs: 0, registered: { atMs: 1 } };

const step = (op: Step["op"], type: string): Step => ({ op, urn: `urn:pulumi:agent-x::hive::${type}::agent` });
const container = "hive:index:HeavyAgent$hive:index:Vps$proxmoxve:index/containerLegacy:ContainerLegacy";

const onHost = { "hive:proxmox": { value: "{}", objectValue: { vmId: 399 } } };
const atAws = (zone: string) => ({ "hive:lightsail": { value: "{}", objectValue: { zone } } });
const host = { kind: "proxmox", id: "399" } as const;

/** A stack with a key in its settings, and a Sentinel that counts what it mints. */
function stage(seen: RegistrationSeen | undefined, steps: readonly Step[] = [], section: object = onHost) {
  const done: string[] = [];
  const session = {
    target: { stack: "agent-x" },
    engine: (args: readonly string[], input = "") => {
      const isRead = args.includes("--show-secrets");
      if (!isRead) done.push(`${args.slice(0, 3).join(" ")} ${input}`);
      const stdout = JSON.stringify({ "hive:registrationKey": { value: own, secret: true }, ...section });
      return Promise.resolve({ code: 0, stdout: isRead ? stdout : "", stderr: "" });
    },
  };
  const sentinel = {
    registration: () => Promise.resolve(seen),
    reaper: () => Promise.resolve({ region: "eu-west-3" }),
    mint: (_: string, provider?: object) => {
      done.push(`mint ${JSON.stringify(provider)}`);
      return Promise.resolve({
        id: fresh.id,
        key: "cd".repeat(32),
        registerBeforeMs: nowMs + hour,
        expiresMs: nowMs + hour,
      });
    },
  };
  const plan = (): Promise<readonly Step[]> => {
    done.push("plan");
    return Promise.resolve(steps);
  };
  return { done, fit: () => fitRegistrationKey(sentinel, "x", session, plan) };
}

const minted = ['mint {"kind":"proxmox","id":"399"}', `config set hive:registrationKey ${"cd".repeat(32)}`];

describe("hive up: the key of an agent's server", () => {
  it("is the one of its order while no server has used it, without a look at anything", async () => {
    const one = stage(fresh);
    await one.fit();
    assert.deepEqual(one.done, []);
  });

  it("stays when the update changes the server in place, or not at all", async () => {
    for (const steps of [[], [step("update", container)], [step("create", "command:remote:Command")]]) {
      const one = stage(registered, steps);
      await one.fit();
      assert.deepEqual(one.done, ["plan"]);
    }
  });

  it("is a new one when the update makes a server, whatever becomes of the old one", async () => {
    for (const [op, type] of [
      ["create", container],
      ["replace", "hive:index:Vps$proxmoxve:index/vmLegacy:VmLegacy"],
      ["create-replacement", "hive:index:Vps$aws:lightsail/instance:Instance"],
    ] as const) {
      const one = stage(registered, [step(op, type)]);
      await one.fit();
      assert.deepEqual(one.done, ["plan", ...minted]);
    }
    assert.equal(makesServer([step("delete", container), step("same", container)]), false);
  });

  it("is not asked for when the plan is refused", async () => {
    const refused = (): Promise<never> => Promise.reject(new CommandFailure("above the budget"));
    const stdout = JSON.stringify({ "hive:registrationKey": { value: own } });
    const session = {
      target: { stack: "agent-x" },
      engine: (args: readonly string[]) => {
        assert.ok(args.includes("--show-secrets"), "no settings are written");
        return Promise.resolve({ code: 0, stdout, stderr: "" });
      },
    };
    const sentinel = {
      registration: () => Promise.resolve(registered),
      reaper: () => assert.fail("nobody is asked"),
      mint: () => assert.fail("nothing is minted"),
    };
    await assert.rejects(fitRegistrationKey(sentinel, "x", session, refused), /above the budget/);
  });

  it("of a command that was cut off is used while it is good, else a new one is asked for", async () => {
    const pending = { keyId: ownId, registerBeforeMs: nowMs + hour };
    const other = { ...registered, keyId: "f".repeat(16) };
    for (const [seen, done] of [
      [{ ...other, pending }, []],
      [{ ...other, pending: { ...pending, registerBeforeMs: nowMs + 60_000 } }, minted],
      [{ ...other, pending: { ...pending, keyId: "e".repeat(16) } }, minted],
      [other, minted],
      // The old server has said farewell, and the new one was never made.
      [{ ...fresh, life: 2 }, []],
      [{ ...fresh, life: 2, keyId: "f".repeat(16) }, minted],
      [{ ...fresh, registerBeforeMs: nowMs + 60_000 }, minted],
    ] as const) {
      const one = stage(seen);
      await one.fit();
      assert.deepEqual(one.done, done);
    }
  });

  it("is another one where the server is to be elsewhere, and says where", async () => {
    const elsewhere = ['mint {"kind":"lightsail","id":"agent-x"}', minted[1]];
    const pending = { keyId: ownId, registerBeforeMs: nowMs + hour };
    const other = { ...registered, keyId: "f".repeat(16) };
    for (const [seen, section, done] of [
      [{ ...fresh, provider: host }, onHost, []],
      [{ ...fresh, provider: host }, atAws("eu-west-3b"), elsewhere],
      [{ ...fresh, provider: { ...host, id: "398" } }, onHost, minted],
      // It was moved by an older command line: the registry does not know where it is.
      [{ ...registered, provider: host }, atAws("eu-west-3a"), elsewhere],
      [{ ...other, provider: host, pending }, onHost, []],
      [{ ...other, provider: host, pending }, atAws("eu-west-3a"), elsewhere],
      [{ ...other, provider: { ...host, id: "1" }, pending: { ...pending, provider: host } }, onHost, []],
    ] as const) {
      const one = stage(seen, [], section);
      await one.fit();
      assert.deepEqual(one.done, done, JSON.stringify(seen));
    }
  });

  it("is refused where the reaper does not look: nobody would delete that server", async () => {
    for (const seen of [fresh, registered]) {
      const one = stage(seen, [step("create", container)], atAws("eu-central-1a"));
      await assert.rejects(one.fit(), (error) => {
        assert.ok(error instanceof CommandFailure);
        assert.match(JSON.stringify(error.faults), /hive:lightsail\.zone.*eu-central-1a.*eu-west-3.*watch\.reaper/);
        return true;
      });
      assert.ok(!one.done.join(" ").includes("mint"));
    }
    await stage(registered, [], atAws("eu-central-1a")).fit();
  });

  it("is a new one after a move that failed half-way and was handed over", async () => {
    const one = stage({ ...fresh, life: 2, handedOver: { why: "unregistered", atMs: 1 } });
    await one.fit();
    assert.deepEqual(one.done, minted);
  });

  it("is refused, with what to do, where no server could register", async () => {
    await assert.rejects(stage(undefined).fit(), /knows no agent x.*hive agent destroy x/);
    const handedOver = { why: "expired", atMs: 1 };
    await assert.rejects(stage({ ...registered, handedOver }).fit(), /handed to the reaper \(expired\).*destroy x/);
  });

  it("is never one that another server has used, nor void within minutes (property)", () => {
    const id = fc.constantFrom("a", "b", "c");
    const untilMs = fc.integer({ min: nowMs - hour, max: nowMs + hour });
    const seen = fc.record(
      {
        ...{ id: fc.constant(""), keyId: id, life: fc.integer({ min: 1, max: 3 }), registerBeforeMs: untilMs },
        registered: fc.constant({ atMs: 1 }),
        pending: fc.record({ keyId: id, registerBeforeMs: untilMs }),
      },
      { requiredKeys: ["id", "keyId", "life", "registerBeforeMs"] },
    );
    fc.assert(
      fc.property(seen, id, (given, key) => {
        const decided = keyStep(given, { keyId: key, place: undefined, zone: undefined }, nowMs);
        const isFree = given.registered === undefined && given.keyId === key;
        const isNext = given.registered !== undefined && given.pending?.keyId === key && given.keyId !== key;
        if (decided === "keep") assert.ok(isFree || isNext, JSON.stringify(given));
        if (decided === "look") assert.ok(given.registered !== undefined && given.keyId === key);
      }),
    );
  });
});

describe("hive agent renew: its time", () => {
  it("counts from now, ten minutes to 366 days at a time, as often as need be", () => {
    assert.deepEqual([timeFromNow("10m"), timeFromNow("366d")], [600, 366 * 86_400]);
    for (const [ttl, said] of [
      [undefined, /how long/],
      ["5", /with s, m, h, d or w/],
      ["9m", /600.*10m to 366d/],
      ["367d", /31622400.*as often as need be/],
    ] as const)
      assert.throws(
        () => timeFromNow(ttl),
        (error) => error instanceof CommandFailure && said.test(JSON.stringify(error)) && error.exitCode === 2,
        String(ttl),
      );
  });
});

describe("hive agent dead-letters", () => {
  const runId = `run_${"0".repeat(32)}`;
  const dead: RunSeen = {
    ...{
      runId,
      state: "dead",
      agent: "ghost",
      key: "a:1",
      acceptedMs: 0,
      attempts: 20,
      reason: "the runner answered 409",
    },
  };
  it("are a table: what, whose, how often it was tried, why not", () => {
    assert.match(renderLetters([dead]), /RUN.*WHY\n.*run_0+ +ghost +a:1 +1970-01-01T00:00:00.000Z +20 +the runner/);
  });

  it("are asked for again as the same run, by the agent whose they are", async () => {
    const asked: string[] = [];
    const sentinel = {
      run: (id: string) => Promise.resolve(id === runId ? dead : undefined),
      askAgain: (id: string) => {
        asked.push(id);
        return Promise.resolve({ runId: id, state: "waiting" as const });
      },
    };
    assert.deepEqual(await askAgain(sentinel, runId, "ghost"), { agent: "ghost", key: "a:1", runId, state: "waiting" });
    assert.equal((await askAgain(sentinel, runId, undefined)).state, "waiting");
    await assert.rejects(askAgain(sentinel, runId, "other"), /is a run of ghost/);
    await assert.rejects(askAgain(sentinel, `run_${"1".repeat(32)}`, undefined), /does not know/);
    assert.deepEqual(asked, [runId, runId]);
  });
});
