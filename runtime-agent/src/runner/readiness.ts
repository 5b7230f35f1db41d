/** Whether the agent can work, by its own word: not that its server is up. */
import { get as getPlain } from "node:http";
import { get as getTls } from "node:https";
import type { RunnerConfig } from "../../../components/shared/agent/runnerConfig.ts";
import { inCrashLoop } from "./core/judge.ts";
import type { Resident } from "./resident.ts";
import type { Units } from "./units.ts";

export interface Readiness {
  readonly ready: boolean;
  /** The start limit stopped the agent. */
  readonly crashLoop: boolean;
  /** Why it is not ready. */
  readonly reason: string | undefined;
}

const answerMs = 3_000;
/** A word as old as this is asked for again, ms. */
const youngMs = 2_000;

/** By node:http: `fetch` would cost the runner 10 MiB of memory for ever. */
function wellBy(url: string): Promise<boolean> {
  return new Promise((resolve) => {
    const options = { agent: false, signal: AbortSignal.timeout(answerMs) } as const;
    const asked = (url.startsWith("https:") ? getTls : getPlain)(url, options, (answer) => {
      const { statusCode = 0 } = answer;
      answer.destroy();
      resolve(statusCode >= 200 && statusCode < 300);
    });
    asked.once("error", () => resolve(false));
  });
}

/** Asks when it is asked, and answers those that ask together by one look. Never rejects. */
export function createReadiness(
  agent: RunnerConfig["agent"],
  units: Pick<Units, "show">,
  resident: Pick<Resident, "answers">,
  clock: { monotonicMs(): number },
): () => Promise<Readiness> {
  const no = (reason: string, crashLoop = false): Readiness => ({ ready: false, crashLoop, reason });
  async function look(): Promise<Readiness> {
    try {
      const unit = await units.show();
      if (!unit.loaded) return no("its unit is not installed");
      if (inCrashLoop(unit)) return no("a crash loop: the start limit stopped it", true);
      if (agent.mode === "resident") {
        if (unit.active !== "active") return no(`its unit is ${unit.active}`);
        if (!(await resident.answers())) return no("it takes no connection on its socket");
      }
      if (agent.healthUrl !== undefined && !(await wellBy(agent.healthUrl))) return no("its health address says no");
      return { ready: true, crashLoop: false, reason: undefined };
    } catch (error) {
      return no(error instanceof Error ? error.message : String(error));
    }
  }
  let last: { readonly atMs: number; readonly word: Promise<Readiness> } | undefined;
  return () => {
    const nowMs = clock.monotonicMs();
    if (last === undefined || nowMs - last.atMs > youngMs) last = { atMs: nowMs, word: look() };
    return last.word;
  };
}
