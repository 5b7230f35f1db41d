import assert from "node:assert/strict";
import { createServer as createHttpServer } from "node:http";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { checkRunnerConfig, type RunnerConfigInput } from "../../components/shared/agent/runnerConfig.ts";
import { valueOrThrow } from "../../components/shared/faults.ts";
import { answerLocal, answerSentinel, type RunnerView } from "../../runtime-agent/src/runner/api.ts";
import type { UnitSeen } from "../../runtime-agent/src/runner/core/judge.ts";
import { runRecord } from "../../runtime-agent/src/runner/core/state.ts";
import { createReadiness } from "../../runtime-agent/src/runner/readiness.ts";
import { residentAgent } from "../../runtime-agent/src/runner/resident.ts";
import type { BoundedRequest } from "../../runtime-agent/src/shared/boundedHttp.ts";
import { manualClock } from "../../runtime-agent/src/shared/clock.ts";
import { temporaryFolder } from "../support/agentChild.ts";

const runId = `run_${"1".repeat(32)}`;

const stack = new AsyncDisposableStack();
after(() => stack.disposeAsync());
async function folderOf(): Promise<string> {
  return stack.use(await temporaryFolder()).folder;
}

const config: RunnerConfigInput = {
  version: 1,
  sentinel: { address: "10.0.0.2:8944" },
  address: "10.0.0.9:8943",
  agent: { name: "ghost" },
};

describe("a resident agent", () => {
  const idle = new AbortController().signal;

  async function agentThat(answer: (line: string, socket: Socket) => void): Promise<string> {
    const socketPath = join(await folderOf(), "agent.sock");
    const server = createServer((socket) => {
      let text = "";
      socket.on("error", () => undefined);
      socket.on("data", (chunk) => {
        text += chunk.toString();
        if (text.endsWith("\n")) answer(text, socket);
      });
    });
    await new Promise<void>((listening) => server.listen(socketPath, listening));
    stack.defer(() => void server.close());
    return socketPath;
  }

  it("gets one line and answers by one", async () => {
    const socketPath = await agentThat((line, socket) => socket.end(`{"ok":true,"result":${line.trim()}}\nmore`));
    const agent = residentAgent(socketPath, 10_000);
    assert.equal(await agent.answers(), true);
    const answer = await agent.send(runId, '{"x":"é"}', idle);
    assert.deepEqual(answer, { kind: "ok", value: { runId, payload: { x: "é" } } });
  });

  it("fails in its own words, or for an answer of another form", async () => {
    for (const [line, reason] of [
      ['{"ok":false,"error":"no room"}', /no room/],
      ['{"ok":true,"result":1,"more":2}', /another form/],
      ["hello", /not JSON/],
      ["[".repeat(1000), /another form/],
    ] as const) {
      const socketPath = await agentThat((_line, socket) => socket.end(`${line}\n`));
      const answer = await residentAgent(socketPath, 10_000).send(runId, "1", idle);
      assert.ok(answer.kind === "error" && reason.test(answer.reason), line.slice(0, 40));
    }
  });

  it("is told apart: not there, gone before its answer, too slow, too much", async () => {
    const gone = residentAgent("/nowhere/agent.sock", 10_000);
    assert.equal(await gone.answers(), false);
    assert.equal((await gone.send(runId, "1", idle)).kind, "unreachable");
    const kind = async (answer: (line: string, socket: Socket) => void, ms = 10_000): Promise<string> =>
      (await residentAgent(await agentThat(answer), ms).send(runId, "1", idle)).kind;
    assert.equal(await kind((_line, socket) => socket.destroy()), "broken");
    assert.equal(await kind(() => undefined, 30), "broken");
    assert.equal(await kind((_line, socket) => void socket.write("x".repeat(400_000))), "error");
    const stopping = new AbortController();
    const socketPath = await agentThat(() => stopping.abort());
    assert.equal((await residentAgent(socketPath, 10_000).send(runId, "1", stopping.signal)).kind, "broken");
  });
});

describe("whether the agent can work", () => {
  const unit: UnitSeen = {
    invocation: "a",
    active: "active",
    result: "success",
    exit: null,
    restarts: 0,
    burst: 5,
    kept: true,
    loaded: true,
    pending: false,
  };

  it("is its own word: unit, socket, health address", async () => {
    let status = 200;
    const health = createHttpServer((_request, response) => response.writeHead(status).end());
    await new Promise<void>((listening) => health.listen(0, "127.0.0.1", listening));
    stack.defer(() => void health.close());
    const address = health.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const ask = (agent: Partial<RunnerConfigInput["agent"]>, seen: Partial<UnitSeen>, answers = true) => {
      const checked = valueOrThrow("config", checkRunnerConfig({ ...config, agent: { ...config.agent, ...agent } }));
      const units = { show: async () => ({ ...unit, ...seen }) };
      return createReadiness(checked.agent, units, { answers: async () => answers }, manualClock())();
    };
    assert.equal((await ask({}, { active: "inactive" })).ready, true);
    assert.equal((await ask({}, { loaded: false })).ready, false);
    assert.deepEqual(await ask({ idempotent: true }, { active: "failed", result: "signal", restarts: 5 }), {
      ready: false,
      crashLoop: true,
      reason: "a crash loop: the start limit stopped it",
    });
    const resident = { mode: "resident" as const };
    assert.equal((await ask(resident, {})).ready, true);
    assert.equal((await ask(resident, { active: "activating" })).ready, false);
    assert.equal((await ask(resident, {}, false)).ready, false);
    const healthUrl = `http://127.0.0.1:${String(port)}/`;
    assert.equal((await ask({ healthUrl }, {})).ready, true);
    status = 503;
    assert.equal((await ask({ healthUrl }, {})).ready, false);
    assert.equal((await ask({ healthUrl: "http://127.0.0.1:1/" }, {})).ready, false);
  });

  it("is looked at once for those that ask together", async () => {
    let looks = 0;
    const clock = manualClock();
    const { agent } = valueOrThrow("config", checkRunnerConfig(config));
    const show = async () => {
      looks += 1;
      return unit;
    };
    const readiness = createReadiness(agent, { show }, { answers: async () => true }, clock);
    await Promise.all([readiness(), readiness()]);
    assert.equal(looks, 1);
    clock.advance(3000);
    await readiness();
    assert.equal(looks, 2);
  });
});

describe("what the Sentinel may ask", () => {
  const known = runRecord.parse({
    ...{ runId, key: "k", body: "0".repeat(64), timestampSec: 1, phase: "running", attempts: 0, interruptions: 0 },
    ...{ startedMs: 1000, start: null, oomKillsBefore: 0, report: null },
  });
  const asked: string[] = [];
  const view: RunnerView = {
    run: async (id) =>
      id === runId ? known : id === queued ? { ...known, phase: "queued", startedMs: null } : undefined,
    signal: async () => ({ status: 401, error: "not signed", changes: [] }),
    runLog: {
      tail: async () => "",
      async part(span, from) {
        asked.push(`${String(span.fromMs)}-${String(span.toMs)} ${String(from)}`);
        return { from, next: from + 4, text: "text", more: false };
      },
    },
    health: async () => ({ ready: true }),
  };
  const queued = `run_${"3".repeat(32)}`;
  const request = (method: string, address: string): BoundedRequest => {
    const { pathname: path, searchParams: query } = new URL(address, "http://runner");
    return { method, path, query, headers: {}, body: Buffer.alloc(0), identity: "agent:g" };
  };
  const ask = async (method: string, address: string) => answerSentinel(view, request(method, address));

  it("is a run, its log from a place on, and the agent's health", async () => {
    assert.deepEqual(await ask("GET", "/v1/health"), { status: 200, json: { ready: true } });
    assert.equal((await ask("GET", `/v1/runs/${runId}`)).status, 200);
    assert.deepEqual(await ask("GET", `/v1/runs/${runId}/log?from=7`), {
      status: 200,
      json: { from: 7, next: 11, text: "text", end: false },
    });
    assert.deepEqual(asked, ["1000-undefined 7"]);
    const waiting = await ask("GET", `/v1/runs/${queued}/log`);
    assert.deepEqual(waiting.json, { from: 0, next: 0, text: "", end: false });
  });

  it("is nothing else", async () => {
    for (const [method, address, status] of [
      ["GET", "/v1/runs/run_1", 404],
      ["GET", `/v1/runs/run_${"4".repeat(32)}`, 404],
      ["GET", `/v1/runs/${runId}/log?from=-1`, 400],
      ["GET", `/v1/runs/${runId}/log?from=9999999999`, 400],
      ["GET", `/v1/runs/${runId}/more`, 404],
      ["POST", `/v1/runs/${runId}`, 404],
      ["DELETE", "/v1/signals", 405],
      ["GET", "/", 404],
      ["POST", "/v1/signals", 401],
    ] as const) {
      assert.equal((await ask(method, address)).status, status, `${method} ${address}`);
    }
    // From this machine's own users: signals alone.
    assert.equal((await answerLocal(view, request("GET", "/v1/health"))).status, 404);
    assert.equal((await answerLocal(view, request("POST", "/v1/signals"))).status, 401);
  });
});
