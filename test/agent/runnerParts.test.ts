import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmod, chown, link, mkdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { checkRunnerConfig, type RunnerConfigInput } from "../../components/shared/agent/runnerConfig.ts";
import { valueOrThrow } from "../../components/shared/faults.ts";
import { runChild } from "../../runtime-agent/src/runner/child.ts";
import { readAgentKey, readSecrets, ownInstance } from "../../runtime-agent/src/runner/identity.ts";
import { parseMemoryEvents, parsePressure, watchMemory } from "../../runtime-agent/src/runner/memory.ts";
import { runFiles } from "../../runtime-agent/src/runner/runFiles.ts";
import { journalLog } from "../../runtime-agent/src/runner/runLog.ts";
import { readUnit, systemdUnits } from "../../runtime-agent/src/runner/units.ts";
import { temporaryFolder } from "../support/agentChild.ts";

const runId = `run_${"1".repeat(32)}`;

const stack = new AsyncDisposableStack();
after(() => stack.disposeAsync());
async function folderOf(): Promise<string> {
  return stack.use(await temporaryFolder()).folder;
}

async function script(folder: string, name: string, text: string): Promise<string> {
  const file = join(folder, name);
  await writeFile(file, `#!/bin/sh\n${text}\n`);
  await chmod(file, 0o755);
  return file;
}

const config: RunnerConfigInput = {
  version: 1,
  sentinel: { address: "10.0.0.2:8944" },
  address: "10.0.0.9:8943",
  agent: { name: "ghost" },
};

describe("the runner's configuration", () => {
  it("fills in where an agent's things are", () => {
    const { agent, listen } = valueOrThrow("config", checkRunnerConfig(config));
    assert.equal(agent.run, "/var/lib/heavy-agent-run/ghost");
    assert.equal(agent.state, "/var/lib/heavy-agent/ghost");
    assert.equal(agent.socket, "/run/heavy-agent/ghost/agent.sock");
    assert.deepEqual(listen, { host: "0.0.0.0", port: 8943 });
  });

  it("takes one or two secrets, never none and never three", () => {
    const files = ["/a", "/b"];
    const ok = (signatures: RunnerConfigInput["signatures"]) => checkRunnerConfig({ ...config, signatures }).ok;
    assert.equal(ok({ first: false }), false);
    assert.equal(ok({ secretFiles: files }), false);
    assert.equal(ok({ first: false, secretFiles: files }), true);
    assert.equal(ok({ secretFiles: ["/a"] }), true);
    const checked = checkRunnerConfig({ ...config, agent: { name: "Ghost" }, sentinel: { adress: "x" } });
    assert.ok(!checked.ok);
    assert.deepEqual(checked.faults.map(({ property }) => property).toSorted(), [
      "agent.name",
      "sentinel.address",
      "sentinel.adress",
    ]);
  });
});

describe("a child of the runner", () => {
  it("is killed at its deadline, and its output is bounded on either end", async () => {
    const options = { deadlineMs: 10_000, mostBytes: 4 };
    const run = (text: string, more = {}) => runChild("/bin/sh", ["-c", text], { ...options, ...more });
    const text = (end: Awaited<ReturnType<typeof run>>) => [end.stdout.toString(), end.cut];
    assert.deepEqual(text(await run("printf abc")), ["abc", false]);
    assert.deepEqual(text(await run("printf abcdef")), ["abcd", true]);
    assert.deepEqual(text(await run("printf abcdef", { tail: true })), ["cdef", true]);
    assert.deepEqual(text(await run("printf abcdef", { skipBytes: 5 })), ["f", false]);
    // Without end: the bound ends it, not the deadline.
    assert.deepEqual(text(await run("yes", { mostBytes: 2 })), ["y\n", true]);
    const late = await run("exec sleep 60", { deadlineMs: 50 });
    assert.deepEqual([late.code, late.stderr], [null, "no answer within 50 ms"]);
    assert.equal((await runChild("/nowhere/program", [], options)).code, null);
    assert.equal((await run("exit 3")).code, 3);
  });
});

describe("the unit by systemctl", () => {
  const shown = (changes: Record<string, string> = {}): string =>
    Object.entries({
      LoadState: "loaded",
      ActiveState: "failed",
      Result: "exit-code",
      InvocationID: "abc",
      ExecMainCode: "1",
      ExecMainStatus: "7",
      NRestarts: "2",
      StartLimitBurst: "5",
      After: "a.target hive-agent-runner.service",
      Before: "shutdown.target",
      ...changes,
    })
      .map(([name, value]) => `${name}=${value}\n`)
      .join("");

  it("is read from what systemctl prints", () => {
    const unit = {
      invocation: "abc",
      active: "failed",
      result: "exit-code",
      exit: 7,
      restarts: 2,
      burst: 5,
      kept: true,
      loaded: true,
      pending: false,
    };
    assert.deepEqual(readUnit(shown()), unit);
    assert.equal(readUnit(shown({ ExecMainCode: "2", ExecMainStatus: "9" }))?.exit, "SIGKILL");
    assert.equal(readUnit(shown({ ExecMainCode: "3", ExecMainStatus: "40" }))?.exit, "SIGRTMIN+6");
    assert.equal(readUnit(shown({ ExecMainCode: "0", ExecMainStatus: "0" }))?.exit, null);
    assert.equal(readUnit(shown({ After: "x" }))?.kept, false);
    assert.equal(readUnit(shown({ LoadState: "not-found" }))?.loaded, false);
    // Without a job systemctl prints nothing, or nothing after the sign.
    assert.equal(readUnit(shown({ Job: "" }))?.pending, false);
    assert.equal(readUnit(shown({ Job: "0" }))?.pending, false);
    assert.equal(readUnit(shown({ Job: "4711" }))?.pending, true);
    assert.equal(readUnit(shown({ Job: "4294967295" }))?.pending, true);
    assert.equal(readUnit(""), undefined);
  });

  it("is asked for the job that waits in systemd's queue", async () => {
    const folder = await folderOf();
    const args = join(folder, "args");
    const systemctl = await script(folder, "systemctl", `echo "$2" >${args}; echo ActiveState=inactive; echo Job=7`);
    assert.equal((await systemdUnits("u", systemctl).show()).pending, true);
    assert.match(await readFile(args, "utf8"), /[=,]Job[,\n]/);
  });

  it("is started after its count of starts is cleared, and a refusal is told in systemd's words", async () => {
    const folder = await folderOf();
    const log = join(folder, "log");
    const good = await script(folder, "good", `echo "$*" >>${log}; [ "$1" != reset-failed ]`);
    assert.deepEqual(await systemdUnits("heavy-agent@g.service", good).start(), { kind: "started" });
    assert.equal(
      await readFile(log, "utf8"),
      "reset-failed --no-ask-password -- heavy-agent@g.service\nstart --no-ask-password -- heavy-agent@g.service\n",
    );
    const bad = await script(folder, "bad", 'echo "Job failed." >&2; exit 1');
    assert.deepEqual(await systemdUnits("u", bad).start(), { kind: "refused", reason: "Job failed." });
    await assert.rejects(systemdUnits("u", bad).show(), /Job failed/);
    assert.equal((await systemdUnits("u", "/nowhere/systemctl").start()).kind, "unknown");
  });
});

describe("the memory of the agent", () => {
  it("is read from its control group, and its counts never fall", async () => {
    const folder = await folderOf();
    const write = (kill: number) =>
      writeFile(
        join(folder, "memory.events"),
        `low 0\nhigh 1\nmax 5\noom 2\noom_kill ${String(kill)}\noom_group_kill 0\n`,
      );
    await writeFile(
      join(folder, "memory.pressure"),
      "some avg10=1.00 avg60=12.34 avg300=0.00 total=9\nfull avg10=0.00 avg60=0.00\n",
    );
    const watch = watchMemory(folder);
    await write(3);
    assert.deepEqual(await watch.look(), { events: { high: 1, max: 5, oom: 2, oomKill: 3 }, pressurePercent: 12.34 });
    // systemd made the group anew.
    await write(1);
    assert.equal((await watch.look()).events?.oomKill, 4);
    assert.equal(watch.oomKills(), 4);
    assert.deepEqual(await watchMemory(join(folder, "gone")).look(), { events: undefined, pressurePercent: undefined });
    assert.equal(parseMemoryEvents("nonsense"), undefined);
    assert.equal(parsePressure("nonsense"), undefined);
  });
});

describe("the files of a run", () => {
  it("carry payload and run id there, and the result back", async () => {
    const folder = await folderOf();
    const files = runFiles({ run: join(folder, "run"), state: folder });
    await files.prepare(runId, '{"a":"é"}');
    const environment = await readFile(join(folder, "run/run.env"), "utf8");
    const [, payloadFile = ""] = /^HEAVY_AGENT_PAYLOAD=(.*)$/m.exec(environment) ?? [];
    const [, resultFile = ""] = /^HEAVY_AGENT_RESULT=(.*)$/m.exec(environment) ?? [];
    assert.equal(await readFile(payloadFile, "utf8"), '{"a":"é"}\n');
    assert.deepEqual(await files.result(runId), { kind: "none" });
    await writeFile(resultFile, "[1]");
    assert.deepEqual(await files.result(runId), { kind: "json", value: [1] });
    // A run that is made again does not find its own old result, nor the next run the last one's.
    await files.prepare(runId, "1");
    assert.deepEqual(await files.result(runId), { kind: "none" });
  });

  it("can be read by the folder's group, whatever the runner's own umask keeps to itself, and by nobody else", async () => {
    const run = join(await folderOf(), "run");
    const files = runFiles({ run, state: run });
    const before = process.umask(0o077);
    try {
      await files.prepare(runId, "1");
    } finally {
      process.umask(before);
    }
    const modes = [run, join(run, "payload.json"), join(run, "run.env")].map(async (path) => (await stat(path)).mode);
    assert.deepEqual(
      (await Promise.all(modes)).map((mode) => (mode & 0o777).toString(8)),
      ["750", "640", "640"],
    );
    if (process.getuid?.() !== 0) return;
    // As it is installed: what is made in it is the group's, without a call that gives files away.
    const group = 54_321;
    await chown(run, 0, group);
    await chmod(run, 0o2750);
    await files.prepare(runId, "2");
    for (const file of ["payload.json", "run.env"]) {
      const { gid, mode } = await stat(join(run, file));
      assert.deepEqual([gid, (mode & 0o7777).toString(8)], [group, "640"], file);
    }
    assert.equal((await stat(run)).mode & 0o7777, 0o2750);
  });

  it("are not believed when the agent puts something else in the result's place", async () => {
    const folder = await folderOf();
    const files = runFiles({ run: join(folder, "run"), state: folder });
    const file = join(folder, `result-${runId}.json`);
    const secret = join(folder, "secret");
    await writeFile(secret, '"secret"');
    const bad = async (what: string): Promise<void> => {
      const seen = await files.result(runId);
      assert.equal(seen.kind, "bad", what);
      assert.ok(!JSON.stringify(seen).includes("secret"));
      await files.prepare(runId, "1");
    };
    await symlink(secret, file);
    await bad("a link");
    execFileSync("mkfifo", [file]);
    await bad("a pipe");
    await writeFile(file, `"${"x".repeat(300_000)}"`);
    await bad("too long");
    await writeFile(file, "[".repeat(1000) + "]".repeat(1000));
    await bad("too deep");
    await writeFile(file, "{");
    await bad("no JSON");
    await mkdir(file);
    assert.equal((await files.result(runId)).kind, "bad", "a folder");
    if (process.getuid?.() === 0) {
      const theirs = `run_${"2".repeat(32)}`;
      await link("/etc/hostname", join(folder, `result-${theirs}.json`)).catch(() => undefined);
      assert.notEqual((await files.result(theirs)).kind, "json");
    }
  });
});

describe("the log of a run", () => {
  it("is given in parts that end with whole characters, and as its end", async () => {
    const folder = await folderOf();
    const text = "é".repeat(60_000);
    await writeFile(join(folder, "text"), text);
    const args = join(folder, "args");
    const journalctl = await script(folder, "journalctl", `echo "$*" >${args}; cat ${join(folder, "text")}`);
    const log = journalLog("heavy-agent@g.service", journalctl);
    let got = "";
    let from = 0;
    for (let more = true; more;) {
      const part = await log.part({ fromMs: 1500, toMs: 2500 }, from);
      got += part.text;
      from = part.next;
      ({ more } = part);
    }
    assert.equal(got, text);
    assert.match(await readFile(args, "utf8"), /--unit=heavy-agent@g.service --since=@1.500 --until=@3.500/);
    assert.equal((await log.part({ fromMs: 0 }, 999_999)).text, "");
    assert.equal(await log.tail({ fromMs: 0 }), "é".repeat(16_384));
    assert.equal(await journalLog("u", "/nowhere/journalctl").tail({ fromMs: 0 }), "");
    await assert.rejects(journalLog("u", "/nowhere/journalctl").part({ fromMs: 0 }, 0));
  });
});

describe("who a runner is", () => {
  it("is kept from its first start on, and so are its secrets, which others must not read", async () => {
    const folder = await folderOf();
    const instance = await ownInstance(join(folder, "state"));
    assert.equal(await ownInstance(join(folder, "state")), instance);
    const file = join(folder, "key");
    await writeFile(file, "ab".repeat(32), { mode: 0o600 });
    await assert.rejects(readAgentKey(file), /64 random/, "one byte repeated is a placeholder");
    await writeFile(file, "0123456789abcdef".repeat(4));
    const key = await readAgentKey(file);
    await chmod(file, 0o644);
    await assert.rejects(readAgentKey(file), /others can read it/);
    const second = join(folder, "second");
    await writeFile(second, `whsec_${Buffer.alloc(32, 7).toString("base64")}\n`, { mode: 0o600 });
    assert.equal((await readSecrets({ first: true, secretFiles: [second] }, key)).length, 2);
    await writeFile(second, "whsec_short");
    await assert.rejects(readSecrets({ first: false, secretFiles: [second] }, key), /not whsec_/);
  });
});
