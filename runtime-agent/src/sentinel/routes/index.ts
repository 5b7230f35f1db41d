/** The admin API on the Sentinel's local socket. */
import { randomBytes } from "node:crypto";
import type { RunReport } from "../../../../components/shared/signals/protocol.ts";
import { runReport } from "../../../../components/shared/signals/protocol.ts";
import { healthReply, type Health } from "../../shared/health.ts";
import type { ApiContext, ApiReply, Route } from "../../shared/localApi/index.ts";
import { ApiError } from "../../shared/localApi/index.ts";
import type { Bodies } from "../bodies.ts";
import type { Reply } from "../core/events.ts";
import { standing } from "../core/runs.ts";
import type { SentinelState } from "../core/state.ts";
import type { Run } from "../core/types.ts";
import type { AgentView } from "../extension.ts";
import type { SentinelLoop } from "../loop.ts";
import type { RunnerClient } from "../runnerClient.ts";
import { readNewAgent, readNext, readRenewal, readSignal, readSize } from "./bodies.ts";

export interface RoutePorts {
  readonly loop: Pick<SentinelLoop, "take" | "signal">;
  readonly state: SentinelState;
  readonly bodies: Pick<Bodies, "get">;
  readonly log: RunnerClient["log"];
  readonly agents: () => readonly AgentView[];
  readonly status: () => object & Health;
  /** Since the last completed turn, ms; undefined before the first. */
  readonly loopAgeMs: () => number | undefined;
}

/** Runs named in one answer. */
const mostListed = 1000;

function reply({ status, json }: Reply): ApiReply {
  return { status, json };
}

/** A run as it is shown. */
function shown(run: Run) {
  const { runId, agent, key, acceptedMs, attempts, reason, end } = run;
  return {
    runId,
    agent,
    key,
    state: standing(run),
    acceptedMs,
    attempts,
    reason: end === undefined ? (reason ?? null) : end.reason,
    endedMs: end?.atMs ?? null,
  };
}

export function sentinelRoutes(ports: RoutePorts): Route[] {
  const { loop, state } = ports;
  const newKey = (): string => randomBytes(32).toString("hex");
  const newId = (): string => randomBytes(16).toString("hex");

  const agentOf = (name = ""): AgentView => {
    const agent = ports.agents().find((one) => one.name === name);
    if (agent === undefined) throw new ApiError(404, "no such agent", { fix: "`hive agent list` names them." });
    return agent;
  };
  const runOf = (id = ""): Run => {
    const run = state.runs.get(id);
    if (run === undefined) throw new ApiError(404, "no such run", { fix: "It is not known, or not any more." });
    return run;
  };
  const reportOf = async (run: Run): Promise<RunReport | undefined> => {
    const text = run.end?.report === undefined ? undefined : await ports.bodies.get(run.end.report);
    return text === undefined ? undefined : runReport.safeParse(JSON.parse(text), { jitless: true }).data;
  };

  async function logOf({ params, query }: ApiContext): Promise<ApiReply> {
    const run = runOf(params.id);
    const from = Number(query.get("from") ?? 0);
    if (!Number.isSafeInteger(from) || from < 0)
      throw new ApiError(400, "from cannot be read", {
        property: "from",
        limit: "a number of bytes",
        fix: "Write it.",
      });
    const agent = state.agents.get(run.agent);
    if (agent?.registered !== undefined && run.phase !== "waiting" && run.phase !== "dead") {
      const asked = await ports.log(run.runId, agent, from).catch(() => undefined);
      if (asked?.status === 200) return { text: asked.text, contentType: "application/json" };
    }
    // Its server is gone, or does not answer: what came with the result.
    const text = from === 0 ? ((await reportOf(run))?.logTail ?? "") : "";
    return { json: { from, next: from + Buffer.byteLength(text), text, end: run.phase === "ended" } };
  }

  const admin = (method: Route["method"], path: string, handle: Route["handle"]): Route => ({
    method,
    path,
    role: "admin",
    handle,
  });

  return [
    { method: "GET", path: "/health", role: "service", handle: () => healthReply(ports.status(), ports.loopAgeMs()) },
    admin("GET", "/status", () => ({ json: ports.status() })),
    admin("GET", "/agents", () => ({ json: { agents: ports.agents() } })),
    admin("POST", "/agents", async ({ body }) =>
      reply(await loop.take({ kind: "new", agent: readNewAgent(body), key: newKey(), id: newId() })),
    ),
    admin("GET", "/agents/:name", ({ params }) => ({ json: agentOf(params.name) })),
    admin("DELETE", "/agents/:name", async ({ params, query }) =>
      reply(await loop.take({ kind: "remove", name: params.name ?? "", id: query.get("id") ?? undefined })),
    ),
    admin("POST", "/agents/:name/renew", async ({ params, body }) =>
      reply(await loop.take({ kind: "renew", name: params.name ?? "", ...readRenewal(body) })),
    ),
    admin("POST", "/agents/:name/resize", async ({ params, body }) =>
      reply(await loop.take({ kind: "resize", name: params.name ?? "", ...readSize(body) })),
    ),
    admin("POST", "/agents/:name/registration", async ({ params, body }) =>
      reply(await loop.take({ kind: "mint", name: params.name ?? "", key: newKey(), ...readNext(body) })),
    ),
    admin("POST", "/agents/:name/signals", async ({ params, body }) =>
      reply(await loop.signal({ agent: params.name ?? "", ...readSignal(body) })),
    ),
    admin("GET", "/agents/:name/runs", ({ params }) => ({
      json: {
        runs: state
          .runsOf(params.name ?? "")
          .slice(-mostListed)
          .map(shown),
      },
    })),
    admin("GET", "/runs/:id", async ({ params }) => {
      const run = runOf(params.id);
      return { json: { ...shown(run), report: (await reportOf(run)) ?? null } };
    }),
    admin("GET", "/runs/:id/log", logOf),
    admin("GET", "/dead-letters", () => ({
      json: {
        deadLetters: [...state.runs.values()]
          .filter(({ phase }) => phase === "dead")
          .slice(0, mostListed)
          .map(shown),
      },
    })),
    admin("POST", "/dead-letters/:id/retry", async ({ params }) =>
      reply(await loop.take({ kind: "retry", runId: params.id ?? "" })),
    ),
    admin("DELETE", "/dead-letters/:id", async ({ params }) =>
      reply(await loop.take({ kind: "give-up", runId: params.id ?? "" })),
    ),
  ];
}
