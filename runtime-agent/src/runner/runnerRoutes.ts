/** What an administrator can see on the runner's local socket, and tell it. */
import * as z from "zod";
import { ApiError, type Route } from "../shared/localApi/index.ts";
import type { RunnerState } from "./core/state.ts";
import type { Readiness } from "./readiness.ts";

export interface RunnerStatusView {
  readonly agent: string;
  readonly mode: string;
  state(): RunnerState;
  /** Since the last completed turn, ms; undefined before the first. */
  turnAgeMs(): number | undefined;
  sentinelFault(): string | undefined;
  parted(): boolean;
  /** @returns why the Sentinel could not be told */
  leave(): Promise<string | undefined>;
  readiness(): Promise<Readiness>;
}

/** A turn older than this, while one is due every 5 s, is not well, ms. */
const lateMs = 15_000;

/**
 * The runner is well when it turns. A Sentinel that is away and an agent that cannot work are told, and are no fault of
 * the runner: it is installed before either of them answers.
 */
async function statusOf(view: RunnerStatusView) {
  const state = view.state();
  const ageMs = view.turnAgeMs();
  const late = ageMs === undefined || ageMs > lateMs;
  const { ready, crashLoop, reason } = await view.readiness();
  return {
    role: "runner",
    healthy: !late,
    unhealthy: late ? ["no turn was completed lately"] : [],
    agent: { name: view.agent, mode: view.mode, ready, crashLoop, reason },
    sentinel: view.sentinelFault() ?? "up",
    running: state.running ?? null,
    queued: state.queue.size,
    outbox: state.outbox.size,
    known: state.runs.size,
    expires: state.expiresMs === undefined ? null : new Date(state.expiresMs).toISOString(),
    parted: view.parted(),
  };
}

const farewell = z.strictObject({ reason: z.literal("destroyed") });

export function runnerRoutes(view: RunnerStatusView): Route[] {
  return [
    {
      method: "GET",
      path: "/health",
      role: "service",
      async handle() {
        const { healthy, unhealthy } = await statusOf(view);
        return { status: healthy ? 200 : 503, json: { healthy, unhealthy } };
      },
    },
    { method: "GET", path: "/status", role: "service", handle: async () => ({ json: await statusOf(view) }) },
    {
      method: "POST",
      path: "/farewell",
      role: "admin",
      async handle({ body }) {
        if (!farewell.safeParse(body).success)
          throw new ApiError(400, "why?", { property: "reason", limit: "destroyed", fix: "Say that the server goes." });
        const why = await view.leave();
        if (why !== undefined) throw new ApiError(502, why);
        return { json: { told: true } };
      },
    },
  ];
}
