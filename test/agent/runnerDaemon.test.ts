import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createServer } from "node:net";
import { PassThrough } from "node:stream";
import * as z from "zod";
import { runReport, type RunReport } from "../../components/shared/signals/protocol.ts";
import { firstWebhookSecret, signWebhook } from "../../components/shared/signals/webhooks.ts";
import { runFarewellCommand } from "../../runtime-agent/src/runner/farewellCommand.ts";
import { runSignalCommand } from "../../runtime-agent/src/runner/signalCommand.ts";
import { callLocalApi } from "../../runtime-agent/src/shared/localApi/index.ts";
import { agentIdentity, pskCall, pskClient, type PskAnswer } from "../../runtime-agent/src/shared/pskTls.ts";
import { start, temporaryFolder, type Running } from "../support/agentChild.ts";
import { fakeSystemd, type FakeSystemd } from "../support/fakeSystemd.ts";
import { freePort } from "../../lab/host/freePort.ts";
import { sentinelStub, type SentinelStub } from "../support/sentinelStub.ts";

const name = "ghost";
const agentScript = `
echo "working on $HEAVY_AGENT_RUN_ID"
grep -q '"fail":true' "$HEAVY_AGENT_PAYLOAD" && exit 3
printf '{"echo":%s}' "$(cat "$HEAVY_AGENT_PAYLOAD")" >"$HEAVY_AGENT_RESULT"
`;

async function until<T>(look: () => Promise<T | undefined> | T | undefined, what: string): Promise<T> {
  const endMs = performance.now() + 30_000;
  while (performance.now() < endMs) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.fail(`never: ${what}`);
}

interface World {
  readonly folder: string;
  readonly systemd: FakeSystemd;
  readonly sentinel: SentinelStub;
  readonly runtime: string;
  readonly secret: string;
  /** Starts the runner, with failpoints if it is to die. */
  run(failpoints?: string): Running;
  call(method: "GET" | "POST", path: string, headers?: Record<string, string>, body?: string): Promise<PskAnswer>;
  /** Sends a signal until it is taken. @returns the status */
  signal(key: string, payload: unknown): Promise<number>;
  result(key: string): Promise<RunReport>;
}

const resident = z.object({ runId: z.string(), payload: z.string() });
const runIdOf = (key: string): string => `run_${Buffer.from(key).toString("hex").padEnd(32, "0")}`;

/** @param more of the agent's section of the configuration */
async function world(stack: AsyncDisposableStack, more: object = {}): Promise<World> {
  const { folder } = stack.use(await temporaryFolder());
  const key = randomBytes(32);
  const sentinel = await sentinelStub(name, key);
  stack.defer(() => sentinel.close());
  const runFolder = join(folder, "run");
  const state = join(folder, "agent-state");
  await mkdir(state);
  const systemd = await fakeSystemd(join(folder, "systemd"), runFolder, agentScript);
  const port = await freePort();
  await writeFile(join(folder, "key"), `${key.toString("hex")}\n`, { mode: 0o600 });
  await writeFile(
    join(folder, "config.json"),
    JSON.stringify({
      version: 1,
      paths: { state: join(folder, "state"), runtime: join(folder, "runtime") },
      sentinel: { address: `127.0.0.1:${String(sentinel.port)}`, keyFile: join(folder, "key") },
      listen: `127.0.0.1:${String(port)}`,
      address: `127.0.0.1:${String(port)}`,
      agent: { name, run: runFolder, state, cgroup: join(folder, "cgroup"), ...more },
    }),
  );
  await writeFile(
    join(folder, "programs.json"),
    JSON.stringify({ systemctl: systemd.systemctl, journalctl: systemd.journalctl }),
  );
  const agent = pskClient({ identity: agentIdentity(name), key });
  stack.defer(() => agent.destroy());
  const secret = firstWebhookSecret(key);
  const sentSec = new Map<string, number>();

  const call: World["call"] = (method, path, headers = {}, body) =>
    pskCall({ agent, host: "127.0.0.1", port, method, path, headers, body });
  return {
    folder,
    systemd,
    sentinel,
    runtime: join(folder, "runtime"),
    secret,
    run(failpoints) {
      const env = { ...process.env, HIVE_FAILPOINTS: failpoints ?? "" };
      const running = start(
        process.execPath,
        ["test/agent/runnerChild.ts", join(folder, "config.json"), join(folder, "programs.json")],
        env,
      );
      stack.defer(async () => {
        running.child.kill("SIGKILL");
        await running.ended;
      });
      return running;
    },
    call,
    signal: (signalKey, payload) =>
      until(async () => {
        const body = JSON.stringify({ type: "run", agent: name, runId: runIdOf(signalKey), payload });
        // Strictly newer with each try that may have been read.
        const sec = Math.max((sentSec.get(signalKey) ?? 0) + 1, Math.floor(Date.now() / 1000));
        const headers = { ...signWebhook(signalKey, sec, body, secret) };
        const answer = await call("POST", "/v1/signals", headers, body).catch((error: unknown) => {
          if (!String(error).includes("ECONNREFUSED")) sentSec.set(signalKey, sec);
        });
        if (answer !== undefined) sentSec.set(signalKey, sec);
        return answer?.status === 202 || answer?.status === 200 ? answer.status : undefined;
      }, `signal ${signalKey} is taken`),
    result: (signalKey) =>
      until(() => sentinel.results.find(({ runId }) => runId === runIdOf(signalKey)), `the result of ${signalKey}`),
  };
}

describe("the runner as a process", () => {
  it("runs a signal's agent once, answers for it, and tells the Sentinel", async () => {
    await using stack = new AsyncDisposableStack();
    const it = await world(stack);
    const runner = it.run();
    assert.equal(await it.signal("one", { n: 1 }), 202);
    const report = await it.result("one");
    assert.equal(report.state, "completed");
    assert.deepEqual(report.result, { echo: { n: 1 } });
    assert.equal(report.attempts, 1);
    assert.equal(report.exit, 0);
    assert.match(report.logTail, /working on run_/);

    assert.equal(await it.signal("two", { fail: true }), 202);
    const failed = await it.result("two");
    assert.deepEqual([failed.state, failed.exit, failed.result], ["failed", 3, null]);

    // A redelivery is told how it stands, and starts nothing.
    assert.equal(await it.signal("one", { n: 1 }), 200);
    const asked = await it.call("GET", `/v1/runs/${runIdOf("one")}`);
    assert.equal(runReport.parse(JSON.parse(asked.text)).state, "completed");
    const log = await it.call("GET", `/v1/runs/${runIdOf("one")}/log?from=8`);
    assert.match(JSON.parse(log.text).text, /^on run_/);
    assert.equal((await it.call("GET", "/v1/runs/run_0")).status, 404);
    assert.equal((await it.call("POST", "/v1/signals", {}, "{}")).status, 401);
    assert.deepEqual(await it.systemd.starts(), [runIdOf("one"), runIdOf("two")]);

    // Registered once, renewing its lease, ready by the agent's own word.
    const beat = await until(() => it.sentinel.heartbeats.find(({ ready }) => ready), "a heartbeat");
    assert.equal(it.sentinel.registrations.length, 1);
    assert.equal(beat.crashLoop, false);
    const token = (await readFile(join(it.runtime, "api.token"), "utf8")).trim();
    const said = await until(async () => {
      const { text } = await callLocalApi({ socket: join(it.runtime, "api.sock"), token, path: "/status" });
      const document = JSON.parse(text);
      return document.outbox === 0 && document.sentinel === "up" ? document : undefined;
    }, "an empty outbox");
    assert.deepEqual([said.healthy, said.known], [true, 2]);
    const metrics = await callLocalApi({ socket: join(it.runtime, "api.sock"), token, path: "/metrics" });
    assert.match(metrics.text, /hive_runner_signals\{status="202".*\} 2/);

    // At the end of the server's time it takes no more, and asks for its end.
    it.sentinel.expiresMs = Date.now() - 1;
    await until(() => it.sentinel.farewells[0], "a farewell");
    const late = JSON.stringify({ type: "run", agent: name, runId: runIdOf("late"), payload: 1 });
    const headers = { ...signWebhook("late", Math.floor(Date.now() / 1000), late, it.secret) };
    assert.equal((await it.call("POST", "/v1/signals", headers, late)).status, 410);

    runner.child.kill("SIGTERM");
    assert.equal((await runner.ended).code, 0);
  });

  it("takes a signal from its own machine, as SSH brings it, by its signature alone", async () => {
    await using stack = new AsyncDisposableStack();
    const it = await world(stack);
    it.run();
    await it.signal("first", 1);
    const command = async (line: string) => {
      const [input, output, errors] = [new PassThrough(), new PassThrough(), new PassThrough()];
      input.end(line);
      const code = await runSignalCommand({ runtime: it.runtime, input, output, errors });
      return { code, said: String(output.read() ?? "") };
    };
    const body = JSON.stringify({ type: "run", agent: name, runId: runIdOf("ssh"), payload: "é" });
    const headers = signWebhook("ssh", Math.floor(Date.now() / 1000), body, it.secret);
    const taken = await command(JSON.stringify({ headers, body }));
    assert.equal(taken.code, 0);
    assert.equal(JSON.parse(taken.said).status, 202);
    assert.deepEqual((await it.result("ssh")).result, { echo: "é" });
    // The same line again is a replay.
    const replay = await command(JSON.stringify({ headers, body }));
    assert.deepEqual([replay.code, JSON.parse(replay.said).status], [1, 401]);
    assert.equal((await command("{}")).code, 64);
  });

  it("says farewell for whoever takes its server down, and begins nothing any more", async () => {
    await using stack = new AsyncDisposableStack();
    const it = await world(stack);
    const farewell = async () => {
      const [output, errors] = [new PassThrough(), new PassThrough()];
      const code = await runFarewellCommand({ runtime: it.runtime, output, errors });
      return { code, said: `${String(output.read() ?? "")}${String(errors.read() ?? "")}` };
    };
    assert.equal((await farewell()).code, 75);
    it.run();
    await it.signal("first", 1);
    await it.result("first");
    it.sentinel.status.set("/v1/farewell", 500);
    const refused = await until(async () => {
      const answer = await farewell();
      return answer.code === 75 ? undefined : answer;
    }, "the runner's own socket");
    assert.deepEqual([refused.code, /the Sentinel answered 500/.test(refused.said)], [1, true]);
    it.sentinel.status.delete("/v1/farewell");
    assert.deepEqual(await farewell(), { code: 0, said: "farewell said\n" });
    assert.deepEqual(it.sentinel.farewells, ["destroyed"]);
    const body = JSON.stringify({ type: "run", agent: name, runId: runIdOf("late"), payload: 1 });
    const headers = { ...signWebhook("late", Math.floor(Date.now() / 1000), body, it.secret) };
    assert.equal((await it.call("POST", "/v1/signals", headers, body)).status, 503);
    assert.deepEqual(await it.systemd.starts(), [runIdOf("first")]);
  });

  it("keeps every promise when it is killed at any point", async () => {
    await using stack = new AsyncDisposableStack();
    const it = await world(stack);
    const points = [
      "runner.before-journal=kill:1",
      "runner.after-journal=kill:1",
      "runner.after-journal=kill:2",
      "runner.before-start=kill",
      "runner.after-start=kill",
      "runner.before-deliver=kill",
      "runner.after-deliver=kill",
      "journal.before-fsync=kill:3",
    ];
    const keys = points.map((_, index) => `kill${String(index)}`);
    const taken: Promise<number>[] = [];
    for (const [index, point] of points.entries()) {
      // Each dies over this signal, or over what its predecessor left it.
      const dying = it.run(point);
      taken.push(it.signal(keys[index] ?? "", { index }));
      assert.equal((await dying.ended).signal, "SIGKILL", point);
    }
    it.run();
    await Promise.all(taken);
    for (const key of keys) {
      const report = await it.result(key);
      assert.equal(report.state, "completed", `${key}: ${String(report.reason)}`);
    }
    // Each was started once and completed once, none was lost.
    const all = keys.map(runIdOf).toSorted();
    assert.deepEqual((await it.systemd.starts()).toSorted(), all);
    assert.deepEqual((await it.systemd.completions()).toSorted(), all);
    assert.equal(new Set(it.sentinel.registrations).size, 1, "it is one instance all along");
  });

  it("stops with everything written: what is being journaled still is", async () => {
    await using stack = new AsyncDisposableStack();
    const it = await world(stack);
    const runner = it.run("runner.before-journal=delay:300");
    await it.signal("one", 1);
    // That the Sentinel has it is being written when the runner is told to stop.
    await it.result("one");
    runner.child.kill("SIGTERM");
    const { code, stderr } = await runner.ended;
    assert.equal(code, 0, stderr);
    assert.doesNotMatch(stderr, /the journal is closed/);
  });

  it("hands payloads to a resident agent, and says it when nobody knows how far one came", async () => {
    await using stack = new AsyncDisposableStack();
    const { folder } = stack.use(await temporaryFolder());
    const socket = join(folder, "agent.sock");
    const given: string[] = [];
    const server = createServer((connection) => {
      connection.on("error", () => undefined);
      connection.on("data", (chunk) => {
        const { runId, payload } = resident.parse(JSON.parse(chunk.toString()));
        given.push(runId);
        if (payload !== "hang") connection.end(`${JSON.stringify({ ok: true, result: { got: payload } })}\n`);
      });
    });
    await new Promise<void>((listening) => server.listen(socket, listening));
    stack.defer(() => void server.close());
    const it = await world(stack, { mode: "resident", socket });
    const first = it.run();
    await it.signal("one", "x");
    assert.deepEqual((await it.result("one")).result, { got: "x" });
    await it.signal("two", "hang");
    await until(() => given[1], "the second run is handed over");
    first.child.kill("SIGKILL");
    await first.ended;
    it.run();
    const report = await it.result("two");
    assert.deepEqual([report.state, report.attempts], ["interrupted", 1]);
    assert.deepEqual(given, [runIdOf("one"), runIdOf("two")], "never handed over twice");
  });
});
