import { checkWhole } from "../../../components/shared/check.ts";
import type { Fault } from "../../../components/shared/faults.ts";
import { ttlSecOf } from "../../../components/shared/vps/serverPlan.ts";
import { formatUtc } from "../../../components/shared/vps/utc.ts";
import { formatDuration } from "../../agents/duration.ts";
import { readTtl } from "../../agents/order.ts";
import { changeAgent, hasSettings } from "../../agents/store.ts";
import { stackOfAgent } from "../../args/stacks.ts";
import type { Invocation } from "../../args/parse.ts";
import { CommandFailure } from "../../output/failure.ts";
import { print, printJson, progress } from "../../output/terminal.ts";
import { withSentinel } from "../../sentinel/reach.ts";

/** `hive agent renew`: the time to live counts anew from now, at the Sentinel and in the stack's settings. */
export async function renew(invocation: Invocation): Promise<number> {
  const [name = ""] = invocation.positionals;
  const { target, values } = invocation;
  const ttlSec = timeFromNow(values["ttl"]);
  return withSentinel(invocation, async (sentinel) => {
    // First: who was handed to the reaper is refused here.
    await sentinel.renew(name, ttlSec);
    const nowSec = Math.floor(Date.now() / 1000);
    if (hasSettings(target, name)) changeAgent(target, name, { renewed: formatUtc(nowSec), ttlSec });
    else progress(`${name} has no settings here: its stack, wherever it is, keeps the old time to live`);
    const expires = new Date((nowSec + ttlSec) * 1000).toISOString();
    if (invocation.json) await printJson({ agent: name, expires, ttlSec });
    else await print(`${name} lives until ${expires}, ${formatDuration(ttlSec)} from now`);
    progress(`hive up ${stackOfAgent(name)} writes it on the server's tags, too`);
    return 0;
  });
}

/** Seconds of `--ttl`, within what a stack's settings may say. @throws CommandFailure */
export function timeFromNow(ttl: string | undefined): number {
  const faults: Fault[] = [];
  const ttlSec = ttl === undefined ? undefined : readTtl(ttl, faults);
  if (ttl === undefined)
    faults.push({
      property: "--ttl",
      limit: "a time such as 90m, 24h or 7d",
      fix: "Say how long it shall live from now.",
    });
  if (ttlSec !== undefined) {
    const fix = "Write 10m to 366d: it can be renewed again, as often as need be.";
    faults.push(...checkWhole("--ttl", ttlSec, ttlSecOf.least, ttlSecOf.most, "s", fix));
  }
  if (ttlSec === undefined || faults.length > 0)
    throw new CommandFailure("nothing was renewed", { faults, exitCode: 2 });
  return ttlSec;
}
