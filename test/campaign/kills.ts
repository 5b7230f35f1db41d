// Seeded kills of real processes at random moments of `up` and `destroy`; the next run must converge.
import { setTimeout as sleep } from "node:timers/promises";
import { isRecord } from "../support/records.ts";
import { seededRandom } from "../support/seeded.ts";
import type { HostSnapshot } from "../support/hostSnapshot.ts";
import type { CampaignOptions, CampaignResult } from "./campaign.ts";
import { type AdminAccess, closedStates, judge, type Findings, type Seen } from "./judge.ts";
import { type Ended, Stage, type StoredState } from "./stage.ts";
import { killAll, leftovers, processesOn, targetsOf, type Victim, victims } from "./victims.ts";

type Operation = "up" | "destroy";

/** An uninterrupted run, by which moments are chosen and results judged. */
interface Reference {
  readonly before: HostSnapshot;
  readonly admin: AdminAccess;
  readonly seen: Readonly<Record<Operation, Seen>>;
  /** Seconds from the start to the first change, and from there to the end. */
  readonly quietSec: Readonly<Record<Operation, number>>;
  readonly busySec: Readonly<Record<Operation, number>>;
}

interface Cycle {
  readonly operation: Operation;
  readonly victim: Victim;
  /** Whether the moment lies before the first change. */
  readonly early: boolean;
  readonly delaySec: number;
  readonly recovery: Operation;
}

/** After how many cycles a further preview must report no change. */
const previewEvery = 5;

export interface KillFigures extends Record<string, number> {
  kills: number;
  converged: number;
  duplicates: number;
  orphans: number;
  strangersTouched: number;
  stateMismatches: number;
  adminClosedMoments: number;
  firewallStates: number;
  previews: number;
  seconds: number;
}

export async function runKills(options: CampaignOptions): Promise<CampaignResult> {
  const { count, seed, tell, stop } = options;
  const begun = Date.now();
  const random = seededRandom(seed);
  const figures: KillFigures = {
    ...{ kills: 0, converged: 0, duplicates: 0, orphans: 0, strangersTouched: 0, stateMismatches: 0 },
    ...{ adminClosedMoments: 0, firewallStates: 0, previews: 0, seconds: 0 },
  };
  let { stage, reference } = await prepare(tell);
  let at: Operation = "destroy";
  // Each victim has its turn before one comes again.
  let deck: Victim[] = [];
  for (let cycle = 1; cycle <= count && stop?.aborted !== true; cycle += 1) {
    if (deck.length === 0) deck = shuffled(victims, random);
    const planned = draw(random, deck[0] ?? "engine", at === "up" ? "destroy" : "up", reference);
    const name = `cycle ${String(cycle)} of ${String(count)} (seed ${String(seed)}): ${planned.victim} in ${planned.operation}, ${planned.early ? "early " : ""}${planned.delaySec.toFixed(2)} s, then ${planned.recovery}`;
    const killed = await interrupt(stage, planned);
    if (!killed.dead) {
      if (killed.ended.code !== 0) {
        await stage.close(true);
        throw new Error(`${name}: the run failed though nothing was killed (${stage.stateDir}): ${tail(killed.ended)}`);
      }
      // Too late, or nothing of that kind ran at all: drawn again from where the stack stands now, by the duration that
      // was measured now.
      const busySec = { ...reference.busySec, [planned.operation]: busyOf(killed.ended) };
      reference = { ...reference, busySec };
      at = planned.operation;
      cycle -= 1;
      tell(`${name}: the run ended first; drawn again`);
      continue;
    }
    figures.kills += 1;
    deck.shift();
    const problems: string[] = [];
    const recovered = await stage.start(
      planned.recovery === "up" ? ["up", "--yes", "--json"] : ["destroy", "--yes", "--unprotect", "all", "--json"],
    ).ended;
    if (recovered.code !== 0)
      problems.push(`${planned.recovery} ended with ${String(recovered.code)}: ${tail(recovered)}`);
    const findings = judge({
      before: reference.before,
      ours: reference.seen.up.host,
      expected: reference.seen[planned.recovery],
      now: await look(stage),
    });
    problems.push(...tally(figures, findings));
    if (planned.recovery === "up" && problems.length === 0 && figures.kills % previewEvery === 0) {
      figures.previews += 1;
      const drift = driftOf(await stage.preview().ended);
      if (drift !== undefined) {
        figures.stateMismatches += 1;
        problems.push(drift);
      }
    }
    const states = stage.firewallStates();
    const closed = closedStates(states, reference.admin);
    figures.firewallStates += states.length;
    figures.adminClosedMoments += closed.length;
    problems.push(...closed.map((state) => `admin shut out: ${JSON.stringify(state)}`));
    const stray = leftovers(stage.stateDir).map(({ pid, args }) => `${args.slice(0, 3).join(" ")} (${String(pid)})`);
    if (stray.length > 0) tell(`${name}: still running: ${stray.join(", ")}`);
    killAll(leftovers(stage.stateDir).map(({ pid }) => pid));
    if (problems.length === 0) {
      figures.converged += 1;
      tell(`${name}: converged after ${recovered.seconds.toFixed(0)} s`);
      at = planned.recovery;
      continue;
    }
    for (const problem of problems.slice(0, 8)) tell(`  ${problem.slice(0, 1500)}`);
    stage.note("problems.txt", `${name}\n${problems.join("\n")}\n`);
    tell(`${name}: FAILED; its folder is kept: ${stage.stateDir}`);
    await stage.close(true);
    if (cycle === count) break;
    ({ stage, reference } = await prepare(tell));
    at = "destroy";
  }
  await stage.close(figures.converged < figures.kills);
  figures.seconds = Math.round((Date.now() - begun) / 1000);
  const ok =
    figures.kills === count &&
    figures.converged === count &&
    figures.adminClosedMoments === 0 &&
    figures.duplicates + figures.orphans + figures.strangersTouched + figures.stateMismatches === 0;
  return { figures, ok };
}

/** Counts the findings and names them. */
function tally(figures: KillFigures, findings: Findings): string[] {
  figures.duplicates += findings.duplicates.length;
  figures.orphans += findings.orphans.length;
  figures.strangersTouched += findings.strangers.length;
  figures.stateMismatches += findings.mismatches.length;
  return [
    ...findings.duplicates.map((line) => `duplicate ${line}`),
    ...findings.orphans.map((line) => `orphan ${line}`),
    ...findings.strangers.map((line) => `stranger ${line}`),
    ...findings.mismatches.map((line) => `mismatch ${line}`),
  ];
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  return items
    .map((item) => ({ item, place: random() }))
    .toSorted((a, b) => a.place - b.place)
    .map(({ item }) => item);
}

function draw(random: () => number, victim: Victim, operation: Operation, reference: Reference): Cycle {
  const early = random() < 0.1;
  const spanSec = early ? reference.quietSec[operation] : reference.busySec[operation];
  const delaySec = random() * spanSec;
  const other: Operation = operation === "up" ? "destroy" : "up";
  return { operation, victim, early, delaySec, recovery: random() < 0.7 ? operation : other };
}

/** Runs the operation and kills the victim at its moment; not `dead` when the run was over before. */
async function interrupt(stage: Stage, cycle: Cycle): Promise<{ readonly ended: Ended; readonly dead: boolean }> {
  await stage.lab();
  const running = cycle.operation === "up" ? stage.up() : stage.destroy();
  if (!cycle.early) await running.changing;
  await sleep(cycle.delaySec * 1000);
  let killed: number[] = [];
  while (killed.length === 0 && !running.over()) {
    const known = { cli: running.pid, lab: await stage.labPid() };
    killed = killAll(targetsOf(cycle.victim, processesOn(stage.stateDir), known));
    if (killed.length === 0) await sleep(20);
  }
  const ended = await running.ended;
  return { ended, dead: killed.length > 0 && ended.code !== 0 };
}

async function look(stage: Stage): Promise<Seen> {
  return { host: await stage.snapshot(), state: stage.storedState() };
}

/** Seconds from the start to the first change. */
function quietOf(ended: Ended): number {
  return ended.changingAfterSec ?? ended.seconds / 2;
}

/** Seconds from the first change to the end. */
function busyOf(ended: Ended): number {
  return Math.max(0.5, ended.seconds - quietOf(ended));
}

async function prepare(tell: (line: string) => void): Promise<{ stage: Stage; reference: Reference }> {
  const stage = new Stage();
  try {
    return { stage, reference: await makeReference(stage, tell) };
  } catch (error) {
    await stage.close(true);
    throw error;
  }
}

async function makeReference(stage: Stage, tell: (line: string) => void): Promise<Reference> {
  const lab = await stage.lab();
  const before = await stage.snapshot();
  const up = await stage.up().ended;
  if (up.code !== 0) throw new Error(`the uninterrupted up failed: ${tail(up)}`);
  const whole = await look(stage);
  const destroy = await stage.destroy().ended;
  if (destroy.code !== 0) throw new Error(`the uninterrupted destroy failed: ${tail(destroy)}`);
  const empty = { host: before, state: { resources: [], pending: 0 } satisfies StoredState };
  const left = await look(stage);
  const wrong = judge({ before, ours: whole.host, expected: { ...empty, state: left.state }, now: left });
  const lines = [...wrong.orphans, ...wrong.strangers, ...wrong.mismatches];
  if (lines.length > 0) throw new Error(`an uninterrupted destroy leaves the host changed:\n${lines.join("\n")}`);
  stage.firewallStates();
  tell(
    `reference: up ${up.seconds.toFixed(1)} s, ${String(whole.state.resources.length)} resources; destroy ${destroy.seconds.toFixed(1)} s; ${stage.stateDir}`,
  );
  return {
    before,
    admin: { address: lab.adminAddress, ports: [Number(new URL(lab.apiUrl).port), lab.ssh.port] },
    seen: { up: whole, destroy: { host: before, state: left.state } },
    quietSec: { up: quietOf(up), destroy: quietOf(destroy) },
    busySec: { up: busyOf(up), destroy: busyOf(destroy) },
  };
}

/** What a preview would change, `undefined` when nothing. */
function driftOf(preview: Ended): string | undefined {
  if (preview.code !== 0) return `preview ended with ${String(preview.code)}: ${tail(preview)}`;
  const document: unknown = JSON.parse(preview.stdout);
  const changes = isRecord(document) ? document["changes"] : undefined;
  const moved = isRecord(changes)
    ? Object.entries(changes).filter(([kind, number]) => kind !== "same" && Number(number) > 0)
    : [["?", 1]];
  return moved.length === 0 ? undefined : `preview after it: ${JSON.stringify(Object.fromEntries(moved))}`;
}

function tail(ended: Ended): string {
  return `${ended.hung ? "(hung) " : ""}${ended.log.trim().split("\n").slice(-25).join(" | ")}`;
}
