import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { fault } from "../../../components/shared/check.ts";
import { parsePayload, payloadText } from "../../agents/payload.ts";
import type { Invocation } from "../../args/parse.ts";
import { CommandFailure } from "../../output/failure.ts";
import { print, printJson, progress } from "../../output/terminal.ts";
import { runIsOver, type RunSeen } from "../../sentinel/answers.ts";
import type { Sentinel } from "../../sentinel/client.ts";
import { withSentinel } from "../../sentinel/reach.ts";

/** How often a run is asked for, ms. */
const lookEveryMs = 500;

/** Until it is time to look again, or the signal. */
export async function pauseUntil(cancel: AbortSignal): Promise<void> {
  await sleep(lookEveryMs, undefined, { signal: cancel }).catch(() => undefined);
}

/** `hive agent signal`: asks for one run. With --wait its end is the exit status. */
export async function signal(invocation: Invocation): Promise<number> {
  const [name = ""] = invocation.positionals;
  const key = invocation.values["key"] ?? `cli:${randomUUID()}`;
  const keyFaults = /^[\w:-]{1,200}$/.test(key)
    ? []
    : [fault("--key", key, "1 to 200 letters, digits, _, : and -", "Choose another key.")];
  if (keyFaults.length > 0) throw new CommandFailure("nothing was sent", { faults: keyFaults, exitCode: 2 });
  const payload = parsePayload(await payloadText(invocation.values["payload"]));
  return withSentinel(invocation, async (sentinel, { cancel }) => {
    const { runId, state } = await sentinel.signal(name, key, payload);
    progress(`${name}: ${runId} is ${state}; key ${key} is this run for good`);
    if (!invocation.flags.includes("wait")) {
      if (invocation.json) await printJson({ agent: name, key, runId, state });
      else await print(runId);
      return 0;
    }
    const run = await endOf(sentinel, runId, { cancel, pause: () => pauseUntil(cancel) });
    // Its report may be forgotten by now; its end is known as long as its key.
    const told = run ?? { runId, state, reason: null, report: undefined };
    if (!runIsOver(told.state) && cancel.aborted)
      throw new CommandFailure(`${runId} goes on: hive agent logs ${name} --run ${runId}`, { exitCode: 130 });
    if (invocation.json) await printJson({ agent: name, key, ...told });
    else await print(JSON.stringify(told.report?.result ?? null, null, 2));
    if (told.state === "completed") return 0;
    progress(`${runId} ${told.state}${told.reason === null ? "" : `: ${told.reason}`}`);
    return 1;
  });
}

/** Waits for a run to end; gives how it stands when it is told to stop waiting. */
export async function endOf(
  sentinel: Pick<Sentinel, "run">,
  runId: string,
  { cancel, pause }: { readonly cancel: AbortSignal; readonly pause: () => Promise<void> },
): Promise<RunSeen | undefined> {
  let last: string | undefined;
  for (;;) {
    const run = await sentinel.run(runId);
    if (run === undefined || runIsOver(run.state) || cancel.aborted) return run;
    if (run.state !== last) progress(`${runId}: ${run.state}`);
    last = run.state;
    await pause();
  }
}
