/**
 * Where a job is to run now: on spot in some zone, on demand, or nowhere for a while. Pure and total. Two parts that
 * know nothing of each other: the rule that keeps the deadline (`slack.ts`) says what is allowed, and the plan
 * (`plan.ts`) says which of that is expected to cost least.
 */
import { ageClass, regionState, regionStates, upClasses } from "./ages.ts";
import { type Plan, costAt } from "./plan.ts";
import { type Slack, mayHop, slackOf } from "./slack.ts";
import type { Decision, JobState, Reason, SpotJob, SpotPolicy, ZoneNow } from "./types.ts";

const hourMs = 3_600_000;
/** For how long the price of the zone to start in is counted, ms. */
const priceCountsMs = 2 * hourMs;
/** Costs that differ by less are the same, USD: then spot is taken, and on demand before waiting. */
const tie = 1e-6;

/**
 * @param zones all zones of the job's region as they are now; it may only start where one is available
 * @param plan of the same region, from rows not later than now
 */
export function decide(
  job: SpotJob,
  state: JobState,
  zones: readonly ZoneNow[],
  plan: Plan,
  policy: SpotPolicy,
  nowMs: number,
): Decision {
  const slack = slackOf(job, state, policy, nowMs);
  const { place } = state;
  const spareMs = slack.safeSlackMs - slack.worstStartMs;
  const say = (to: Decision["to"], reason: Reason, more: Partial<Decision> = {}): Decision => ({
    to,
    reason,
    spareMs,
    heldByLimit: false,
    ...more,
  });
  if (state.reportedShare !== undefined && state.reportedShare >= 1) return say({ kind: "wait" }, "done");

  // Nothing may be lost after which on demand could not start any more.
  const running = place.kind === "spot" && zones.some((each) => each.zone === place.zone && each.available);
  const hopIsSafe = spareMs - slack.worstStartMs - job.atRiskMs >= policy.lookMs;
  const hopIsAllowed = mayHop(state, policy, nowMs);
  if (place.kind === "spot" && running) {
    const here = { kind: "spot", zone: place.zone } as const;
    if (spareMs < slack.worstRestMs) return say(here, "too-late");
    if (spareMs < slack.worstRestMs + job.atRiskMs) return say({ kind: "on-demand" }, "last-safe-moment");
    const cheaper = hopIsSafe && hopIsAllowed ? cheaperZone(place.zone, zones, slack, plan, policy) : undefined;
    return cheaper === undefined ? say(here, "keep") : say({ kind: "spot", zone: cheaper }, "cheaper-zone");
  }

  const best = hopIsSafe ? bestZone(zones, slack, plan) : undefined;
  const waitIsSafe = spareMs - policy.lookMs >= 0;
  const spot = hopIsAllowed ? best : undefined;
  const heldByLimit = best !== undefined && !hopIsAllowed;
  if (spot === undefined && !waitIsSafe) return say({ kind: "on-demand" }, "last-safe-moment", { heldByLimit });

  const { leftMs, slackMs, startMs } = slack;
  const region = stateNow(zones);
  const cost = (table: Float32Array, workMs: number, left: number): number =>
    costAt(plan, table, regionStates, region, workMs, left);
  // On demand already: it goes on for a step. Else it has its start before it.
  const [startsFor, worksFor] =
    place.kind === "on-demand" ? [slack.restMs, Math.min(plan.stepMs, leftMs)] : [startMs, 0];
  const onDemandUsd =
    (plan.onDemandUsdPerHour * (startsFor + worksFor)) / hourMs +
    cost(plan.onDemand, leftMs - worksFor, slackMs - startsFor);
  const waitUsd = waitIsSafe ? cost(plan.idle, leftMs, slackMs - plan.stepMs) : Number.POSITIVE_INFINITY;
  const spotUsd = spot?.usd ?? Number.POSITIVE_INFINITY;
  const expectedUsd = {
    onDemand: onDemandUsd,
    ...(waitIsSafe ? { wait: waitUsd } : {}),
    ...(spot === undefined ? {} : { spot: spotUsd }),
  };
  const more = { expectedUsd, heldByLimit };
  if (spot !== undefined && spotUsd <= Math.min(onDemandUsd, waitUsd) + tie)
    return say({ kind: "spot", zone: spot.zone }, "cheapest", more);
  return say({ kind: waitUsd < onDemandUsd - tie ? "wait" : "on-demand" }, "cheapest", more);
}

/** State of the region, by the zones' ages. */
function stateNow(zones: readonly ZoneNow[]): number {
  let [oldest, down] = [-1, Number.POSITIVE_INFINITY];
  for (const { available, sinceMs } of zones) {
    if (available) oldest = Math.max(oldest, sinceMs);
    else down = Math.min(down, sinceMs);
  }
  return regionState(oldest, down);
}

/**
 * The zone to start in: the one from which the job is expected to end cheapest, its price counted for some hours. Age
 * weighs more than a price that may move. The cost that is told is by the plan's price, as are the choices beside it:
 * an hour's price against the mean of a day is no reason to wait.
 */
function bestZone(
  zones: readonly ZoneNow[],
  slack: Slack,
  plan: Plan,
): { readonly zone: string; readonly usd: number } | undefined {
  let found: { zone: string; usd: number } | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const { zone, available, sinceMs, usdPerHour } of zones) {
    if (!available || usdPerHour >= plan.onDemandUsdPerHour) continue;
    const age = ageClass(sinceMs, upClasses);
    const usd =
      (plan.spotUsdPerHour * slack.startMs) / hourMs +
      costAt(plan, plan.spot, upClasses, age, slack.leftMs, slack.slackMs - slack.startMs);
    const dearer = usdPerHour - plan.spotUsdPerHour;
    const weighed = usd + (dearer * Math.min(slack.leftMs, priceCountsMs)) / hourMs;
    if (weighed < least) [found, least] = [{ zone, usd }, weighed];
  }
  return found;
}

/** A zone so much cheaper than the one it runs in that the start and the lost slack are paid back twice. */
function cheaperZone(
  runsIn: string,
  zones: readonly ZoneNow[],
  slack: Slack,
  plan: Plan,
  policy: SpotPolicy,
): string | undefined {
  const here = zones.find(({ zone }) => zone === runsIn);
  if (here === undefined) return undefined;
  const most = here.usdPerHour * (1 - policy.moveBelow);
  let found: string | undefined;
  let gain = 0;
  const spot = (sinceMs: number, slackMs: number): number =>
    costAt(plan, plan.spot, upClasses, ageClass(sinceMs, upClasses), slack.leftMs, slackMs);
  for (const { zone, available, sinceMs, usdPerHour } of zones) {
    if (!available || zone === runsIn || usdPerHour > most) continue;
    const saved = ((here.usdPerHour - usdPerHour) * stayMs(ageClass(sinceMs, upClasses), slack.leftMs)) / hourMs;
    const price =
      (usdPerHour * slack.startMs) / hourMs +
      spot(sinceMs, slack.slackMs - slack.startMs) -
      spot(here.sinceMs, slack.slackMs - slack.restMs);
    if (saved - 2 * price > gain) [found, gain] = [zone, saved - 2 * price];
  }
  return found;
}

/** How long a zone of an age class is expected to stay: about as long as it has been there. */
function stayMs(age: number, leftMs: number): number {
  return Math.min(leftMs, 30 * 60_000 * 2 ** Math.max(0, age - 2));
}
