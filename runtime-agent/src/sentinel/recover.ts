/** The state that the journal holds, and what is not in it. */
import type { Clock } from "../shared/clock.ts";
import type { Journal } from "../shared/journal/index.ts";
import { parseLine } from "./core/lines.ts";
import type { SentinelState } from "./core/state.ts";
import type { Body } from "./core/types.ts";

/** Reads the journal into a state. Gives the number of lines that could not be believed. */
export async function recover(journal: Journal, state: SentinelState, clock: Clock): Promise<number> {
  let corrupt = 0;
  for await (const entry of journal.entries()) {
    const line = entry.kind === "entry" ? parseLine(entry.value) : undefined;
    if (line === undefined) corrupt += 1;
    else state.apply(line);
  }
  for (const runId of state.ended()) state.shed(runId);
  // Nobody was heard while nobody listened: each gets a whole lease to be heard again.
  for (const agent of state.agents.values())
    if (agent.registered !== undefined) state.heard.set(agent.name, { atMs: clock.monotonicMs() });
  return corrupt;
}

/** Every text that the state still refers to. */
export function* bodiesOf(state: SentinelState): Generator<Body> {
  for (const { payload, end } of state.runs.values()) {
    if (payload !== undefined) yield payload;
    if (end?.report !== undefined) yield end.report;
  }
}
