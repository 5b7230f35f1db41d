import { fault } from "../../../components/shared/check.ts";
import { runId as runIdForm } from "../../../components/shared/signals/protocol.ts";
import type { Invocation } from "../../args/parse.ts";
import { CommandFailure } from "../../output/failure.ts";
import { printJson, progress } from "../../output/terminal.ts";
import { runIsOver } from "../../sentinel/answers.ts";
import type { Sentinel } from "../../sentinel/client.ts";
import { withSentinel } from "../../sentinel/reach.ts";
import { pauseUntil } from "./signal.ts";

/** `hive agent logs`: what an agent wrote in a run; with --follow until the run ends. */
export async function logs(invocation: Invocation): Promise<number> {
  const [name = ""] = invocation.positionals;
  const asked = invocation.values["run"];
  if (asked !== undefined && !runIdForm.safeParse(asked).success)
    throw new CommandFailure("which run?", {
      faults: [fault("--run", asked, "run_ and 32 hexadecimal digits", "Copy it from hive agent signal.")],
      exitCode: 2,
    });
  return withSentinel(invocation, async (sentinel, { cancel }) => {
    const runId = asked ?? (await newestRun(sentinel, name));
    const run = await sentinel.run(runId);
    if (run === undefined) throw new CommandFailure(`the Sentinel does not know ${runId}, or not any more`);
    if (run.agent !== name) throw new CommandFailure(`${runId} is a run of ${run.agent}`, { exitCode: 2 });
    progress(`${name}: ${runId} is ${run.state}`);
    let log = "";
    const write = (text: string): void => {
      log = invocation.json ? log + text : text;
      if (!invocation.json) process.stdout.write(text);
    };
    await copyLog(sentinel, runId, {
      ...{ write, follow: invocation.flags.includes("follow"), cancel },
      pause: () => pauseUntil(cancel),
    });
    if (invocation.json) await printJson({ agent: name, runId, state: run.state, log });
    else if (log !== "" && !log.endsWith("\n")) process.stdout.write("\n");
    return 0;
  });
}

async function newestRun(sentinel: Sentinel, name: string): Promise<string> {
  if ((await sentinel.agent(name)) === undefined)
    throw new CommandFailure(`the Sentinel knows no agent ${name}: hive agent list`);
  const [newest] = await sentinel.runs(name);
  if (newest === undefined) throw new CommandFailure(`${name} has had no run yet: hive agent signal ${name}`);
  return newest.runId;
}

/** Copies a run's log from its beginning; the tail that came with its result where its server is gone. */
export async function copyLog(
  sentinel: Pick<Sentinel, "run" | "log">,
  runId: string,
  how: {
    readonly write: (text: string) => void;
    readonly follow: boolean;
    readonly cancel: AbortSignal;
    readonly pause: () => Promise<void>;
  },
): Promise<void> {
  for (let from = 0; ;) {
    // Asked first: what was written before the end is in the piece that is read after it.
    const run = await sentinel.run(runId);
    const piece = await sentinel.log(runId, from);
    if (piece === undefined) return;
    how.write(piece.text);
    if (piece.end || how.cancel.aborted) return;
    const isMore = piece.next > from;
    from = piece.next;
    if (isMore) continue;
    if (!how.follow || run === undefined || runIsOver(run.state)) return;
    await how.pause();
  }
}
