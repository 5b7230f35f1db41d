/**
 * Signals through a real Sentinel to real runners while either side is killed, at named places and anywhere, with torn
 * journals; afterwards each signal is judged against the guarantee of components/shared/signals/protocol.ts.
 */
import { join } from "node:path";
import { launcherEnvironment, launcherFlags } from "../../../runtime-agent/build/tarball.ts";
import { buildAgent } from "../../support/arbiterDaemon.ts";
import { seededRandom } from "../../support/seeded.ts";
import { SentinelSite } from "../../support/sentinelDaemon.ts";
import type { CampaignOptions, CampaignResult } from "../campaign.ts";
import { openAdmin } from "./admin.ts";
import { Begins, type Work } from "./begins.ts";
import { Caller, type Signal } from "./caller.ts";
import { handOverFigures, verdictOf } from "./figures.ts";
import { buildJobRunner } from "./jobRunner.ts";
import { runnerPoints, sentinelPoints } from "./plan.ts";
import { members, openRunner, type Member } from "./team.ts";
import { Victim } from "./victim.ts";

/** Signals that are on their way to one agent at a time. */
const width = 4;
/** How many ask for ends side by side: on a busy machine each answer takes long, and they must not fall behind. */
const askers = 24;
/** Of one in so many starts of a job's server, everything that ran is gone. */
const rebootShare = 0.4;
/** Asked for once more when all is over: their keys are known, and nothing begins. */
const askedAgain = 3_000;
const tellEveryMs = 15_000;

function payloads(seed: number): (key: string) => Work {
  return (key) => {
    const random = seededRandom(seed ^ Number(key.slice(1)));
    return {
      key,
      fails: random() < 0.02,
      ms: random() < 0.8 ? 0 : Math.floor(random() * 20),
      filler: "x".repeat(random() < 0.04 ? 1500 + Math.floor(random() * 4000) : 10),
    };
  };
}

/** Whose each signal is. */
function drawn(team: readonly Member[], count: number, seed: number, payload: (key: string) => Work): Signal[] {
  const random = seededRandom(seed);
  const all = team.reduce((sum, { weight }) => sum + weight, 0);
  return Array.from({ length: count }, (_, n) => {
    let at = random() * all;
    const agent = team.find(({ weight }) => (at -= weight) < 0) ?? team[0];
    const key = `k${String(n)}`;
    const { fails } = payload(key);
    const blank = { ids: new Set<string>(), askedMs: 0, end: undefined, otherEnds: 0, report: undefined };
    return { agent: agent?.name ?? "", key, fails, ...blank };
  });
}

/** The pace of the deaths: a few hundred in a long campaign, a handful in a short one. */
function paces(count: number): { readonly sentinel: number; readonly runner: number; readonly job: number } {
  const sentinel = Math.min(1200, Math.max(80, count / 8));
  return { sentinel, runner: sentinel / 3, job: Math.max(4, sentinel / 30) };
}

/** @param team all the runners, or the first few of them */
export async function runSignals(options: CampaignOptions, team = members): Promise<CampaignResult> {
  const { count, seed, tell } = options;
  const begun = performance.now();
  const broken: string[] = [];
  const stop = new AbortController();
  const fail = (what: string): void => {
    if (broken.length < 20) tell(`BROKEN (seed ${String(seed)}): ${what}`);
    broken.push(what);
    stop.abort();
  };
  const end = (): void => stop.abort();
  options.stop?.addEventListener("abort", end, { once: true });

  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => options.stop?.removeEventListener("abort", end));
  const program = await buildAgent();
  cleanup.defer(() => program.remove());
  const site = await SentinelSite.open(program, {
    ...{ log: { level: "warning" }, leases: { heartbeatSec: 5, validSec: 30 } },
    delivery: { deadlineSec: 5, mostSec: 1, attempts: 1000, askAfterSec: 10 },
    history: { runs: Math.min(2000, Math.max(10, Math.ceil(count / 10))) },
  });
  cleanup.defer(() => site.close());
  const pace = paces(count);
  const victims = new Map<string, Victim>();
  const sentinel = new Victim({
    name: "sentinel",
    journal: join(site.folder, "state/journal"),
    launch: (failpoints) => site.launch(failpoints, [process.execPath, ...launcherFlags], launcherEnvironment),
    points: sentinelPoints,
    every: pace.sentinel,
    random: seededRandom(seed + 1),
    broken: fail,
    over: () => stop.signal.aborted,
  });
  victims.set("sentinel", sentinel);
  cleanup.defer(() => sentinel.close());
  await site.answers();
  const admin = await openAdmin(join(site.folder, "run"));
  cleanup.defer(() => admin.close());

  const jobRunner = await buildJobRunner(program.file);
  const begins = new Begins();
  for (const [index, member] of team.entries()) {
    const { name, mode, idempotent } = member;
    const key = await site.newAgent(name, { mode, idempotent });
    const folder = join(site.folder, name);
    const parts = { sentinelPort: site.port, program, jobRunner, begins, broken: fail };
    const runner = await openRunner({ folder, member, key, ...parts });
    cleanup.defer(() => runner.close());
    const random = seededRandom(seed + 100 + index);
    const victim = new Victim({
      name,
      journal: runner.journal,
      launch: (failpoints) => runner.launch(failpoints),
      points: runnerPoints[mode],
      every: mode === "job" ? pace.job : pace.runner,
      random,
      fallen: async () => {
        if (random() < rebootShare) await runner.reboot();
      },
      broken: fail,
      over: () => stop.signal.aborted,
    });
    victims.set(name, victim);
    cleanup.defer(() => victim.close());
  }

  const payload = payloads(seed);
  const signals = drawn(team, count, seed, payload);
  const caller = new Caller({
    ...{ admin, begins, stop: stop.signal, random: seededRandom(seed + 2), payload, broken: fail },
    answered: () => sentinel.passed(),
  });
  let sent = 0;
  const beat = setInterval(() => {
    const kills = [...victims.values()].reduce((sum, { deathsMs }) => sum + deathsMs.length, 0);
    tell(`${String(sent)} of ${String(count)} begun, ${String(kills)} kills`);
  }, tellEveryMs);
  cleanup.defer(() => clearInterval(beat));

  async function sender(line: Signal[], victim: Victim | undefined): Promise<void> {
    for (let signal = line.shift(); signal !== undefined && !stop.signal.aborted; signal = line.shift()) {
      await caller.send(signal);
      victim?.passed();
      sent += 1;
    }
  }
  let sending = true;
  const settled = Promise.all(Array.from({ length: askers }, () => caller.settle(() => !sending)));
  await Promise.all(
    team.flatMap(({ name }) => {
      const line = signals.filter(({ agent }) => agent === name);
      return Array.from({ length: width }, () => sender(line, victims.get(name)));
    }),
  );
  sending = false;
  for (const victim of victims.values()) victim.calm();
  if (!stop.signal.aborted) tell("all were begun; now their ends");
  await settled;
  // Every key is known for good: the one that is asked for again is told the same run and the same end.
  const again = seededRandom(seed + 3);
  const few = signals.filter(() => again() < askedAgain / count);
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      for (let signal = few.pop(); signal !== undefined; signal = few.pop()) await caller.ask(signal);
    }),
  );

  // Who is stopped on the way judges what has come to its end.
  const judged = stop.signal.aborted ? signals.filter((signal) => signal.end !== undefined) : signals;
  const verdict = verdictOf({ signals: judged, begins, members: team, tell });
  const kills = [...victims.values()].map((victim) => victim.kills);
  const sum = (of: (kill: (typeof kills)[number]) => number): number => kills.reduce((all, kill) => all + of(kill), 0);
  const figures = {
    signals: signals.filter(({ end: known }) => known !== undefined).length,
    kills: [...victims.values()].reduce((all, { deathsMs }) => all + deathsMs.length, 0),
    sentinelKills: sentinel.deathsMs.length,
    killsAtFailpoint: sum((kill) => kill.atFailpoint),
    tornJournals: sum((kill) => kill.torn),
    lost: verdict.lost,
    doubled: verdict.doubled,
    misreported: verdict.misreported,
    interrupted: verdict.interrupted,
    retried: verdict.retried,
    ...handOverFigures(
      signals,
      begins,
      victims,
      new Set(team.filter((one) => one.mode === "resident").map((one) => one.name)),
    ),
    seconds: Math.round((performance.now() - begun) / 1000),
  };
  const ok = broken.length === 0 && verdict.lost + verdict.doubled + verdict.misreported === 0;
  return { figures, ok };
}
