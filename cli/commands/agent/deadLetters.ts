import { fault } from "../../../components/shared/check.ts";
import { runId as runIdForm } from "../../../components/shared/signals/protocol.ts";
import type { Invocation } from "../../args/parse.ts";
import { CommandFailure } from "../../output/failure.ts";
import { renderTable } from "../../output/table.ts";
import { print, printJson, progress } from "../../output/terminal.ts";
import type { RunSeen } from "../../sentinel/answers.ts";
import type { Sentinel } from "../../sentinel/client.ts";
import { withSentinel } from "../../sentinel/reach.ts";

/** `hive agent dead-letters`: the runs that were given up; with --again one of them is asked for again, as the same run. */
export async function deadLetters(invocation: Invocation): Promise<number> {
  const [name] = invocation.positionals;
  const again = invocation.values["again"];
  if (again !== undefined && !runIdForm.safeParse(again).success)
    throw new CommandFailure("which run?", {
      faults: [fault("--again", again, "run_ and 32 hexadecimal digits", "Copy it from hive agent dead-letters.")],
      exitCode: 2,
    });
  return withSentinel(invocation, async (sentinel) => {
    if (again !== undefined) {
      const asked = await askAgain(sentinel, again, name);
      if (invocation.json) await printJson(asked);
      else await print(`${asked.runId} is ${asked.state}`);
      return 0;
    }
    const all = await sentinel.deadLetters();
    const letters = name === undefined ? all : all.filter(({ agent }) => agent === name);
    if (invocation.json) await printJson({ deadLetters: letters });
    else if (letters.length === 0) progress(`no dead letters${name === undefined ? "" : ` of ${name}`}`);
    else await print(renderLetters(letters));
    return 0;
  });
}

/** Sends a dead run again. @throws CommandFailure when there is none, or it is another agent's than the named one's */
export async function askAgain(
  sentinel: Pick<Sentinel, "run" | "askAgain">,
  runId: string,
  name: string | undefined,
): Promise<{ readonly agent: string; readonly key: string; readonly runId: string; readonly state: RunSeen["state"] }> {
  const run = await sentinel.run(runId);
  if (run === undefined) throw new CommandFailure(`the Sentinel does not know ${runId}, or not any more`);
  const { agent, key } = run;
  if (name !== undefined && agent !== name) throw new CommandFailure(`${runId} is a run of ${agent}`, { exitCode: 2 });
  const { state } = await sentinel.askAgain(runId);
  return { agent, key, runId, state };
}

/** Dead runs as a table. Pure. */
export function renderLetters(letters: readonly RunSeen[]): string {
  return renderTable(
    ["RUN", "AGENT", "KEY", "ACCEPTED", "TRIES", "WHY"],
    letters.map(({ runId, agent, key, acceptedMs, attempts, reason }) => [
      ...[runId, agent, key, new Date(acceptedMs).toISOString(), String(attempts), reason ?? "-"],
    ]),
  );
}
