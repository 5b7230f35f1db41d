import { decide, initialState } from "../../runtime-agent/src/keeper/arbiter/core/decide.ts";
import { recover } from "../../runtime-agent/src/keeper/arbiter/core/recover.ts";
import type { ArbiterState } from "../../runtime-agent/src/keeper/arbiter/core/state.ts";
import type { Decision, Event, Outcome } from "../../runtime-agent/src/keeper/arbiter/core/types.ts";
import { wakeAtMs } from "../../runtime-agent/src/keeper/arbiter/core/wake.ts";
import type { ExpectedLine, Scenario } from "./keeperScenario.ts";
import { KeeperWorld } from "./keeperWorld.ts";

/** One line of the played journal. */
export interface PlayedLine extends Decision {
  readonly atMs: number;
}

/** Monotonic time at the start of every scenario: not zero, and no wall-clock time. */
const bootMs = 5_000_000;

/** Plays a scenario against the pure core: the regular loop, the events, the ends of actions, and the wake-ups. */
export function playScenario(scenario: Scenario): PlayedLine[] {
  const { config } = scenario;
  const world = new KeeperWorld(config, scenario);
  const lines: PlayedLine[] = [];
  const ends: { readonly atMs: number; end(): Event[] }[] = [];
  const events = [...scenario.events];
  let state: ArbiterState = initialState();
  let bootedMs = scenario.startMs - bootMs;
  let tickAt = scenario.startMs;

  const follow = (outcome: Outcome, atMs: number): void => {
    state = outcome.state;
    for (const decision of outcome.decisions) lines.push({ ...decision, atMs });
    for (const action of outcome.actions) {
      const carried = world.carryOut(action);
      if (carried !== undefined) ends.push({ atMs: atMs + carried.afterMs, end: () => carried.end() });
    }
    ends.sort((a, b) => a.atMs - b.atMs);
  };

  for (;;) {
    const wake = wakeAtMs(state, config) ?? Number.POSITIVE_INFINITY;
    const nextEnd = ends[0]?.atMs ?? Number.POSITIVE_INFINITY;
    const nextEvent = events[0]?.atMs ?? Number.POSITIVE_INFINITY;
    const atMs = Math.min(tickAt, nextEnd, nextEvent, wake + bootedMs);
    if (atMs > scenario.endMs) return lines;
    const heard: Event[] = [];
    while (ends[0] !== undefined && ends[0].atMs <= atMs) heard.push(...(ends.shift()?.end() ?? []));
    while (events[0] !== undefined && events[0].atMs <= atMs) {
      const words = events.shift()?.words ?? [];
      if (words[0] !== "crash" && words[0] !== "reboot") heard.push(...world.happen(words));
      else {
        ends.length = 0;
        const rebooted = words[0] === "reboot";
        if (rebooted) {
          bootedMs = atMs - 1000;
          world.vramMiB.clear();
          world.leases.clear();
        }
        follow(recover(state, { monotonicMs: atMs - bootedMs, rebooted }, config), atMs);
      }
    }
    if (atMs === tickAt) {
      tickAt += scenario.tickMs;
      world.takeSample();
      heard.push(...world.renewals());
    }
    follow(decide(state, world.observe(atMs - bootedMs, atMs, heard), config), atMs);
  }
}

/** What differs between the lines expected and the lines played; undefined when nothing does. */
export function difference(scenario: Scenario, played: readonly PlayedLine[]): string | undefined {
  const seen = played.filter((line) => scenario.compared.has(line.what));
  const { expected } = scenario;
  for (let i = 0; i < Math.max(seen.length, expected.length); i += 1) {
    const line = seen[i];
    const wanted = expected[i];
    if (line !== undefined && wanted !== undefined && agrees(wanted, line)) continue;
    const journal = seen.map((each, j) => `${j === i ? ">" : " "} ${print(scenario, each)}`).join("\n");
    return `${scenario.file} line ${String(i + 1)}: expected ${wanted?.text ?? "nothing more"}\n${journal}`;
  }
  return undefined;
}

function agrees(wanted: ExpectedLine, line: PlayedLine): boolean {
  const late = line.atMs - wanted.atMs;
  return (
    (wanted.toTheMs ? late === 0 : late >= 0 && late < 1000) &&
    wanted.what === line.what &&
    wanted.service === line.service &&
    (wanted.reason === undefined || line.reason.includes(wanted.reason))
  );
}

function print(scenario: Scenario, line: PlayedLine): string {
  const { timeZone } = scenario.config.calendar;
  const time = new Date(line.atMs).toLocaleTimeString("en-GB", { timeZone, hourCycle: "h23" });
  const ms = String(((line.atMs % 1000) + 1000) % 1000).padStart(3, "0");
  return `${time}.${ms} ${line.what}${line.service === undefined ? "" : ` ${line.service}`}: ${line.reason}`;
}
