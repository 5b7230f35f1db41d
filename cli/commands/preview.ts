import type { Invocation } from "../args/parse.ts";
import { describeChanges } from "../engine/changes.ts";
import { describeUrn } from "../engine/urn.ts";
import { print, printJson } from "../output/terminal.ts";
import { settingsOf } from "../preflight/check.ts";
import { clearLocks } from "../repair/execute.ts";
import { failureOf } from "./bringUp.ts";
import { withContext } from "./context.ts";

/** `hive preview`: what `up` would change. Changes nothing. */
export async function preview(invocation: Invocation): Promise<number> {
  return withContext(invocation, async (context) => {
    await clearLocks(context.target);
    const session = await context.open();
    const { stack } = context.target;
    // Faults of the settings are told one by one; from the program the engine would make one text of them.
    await settingsOf(context.target, session);
    const outcome = await session.run("preview");
    if (!outcome.succeeded) throw failureOf(outcome, `preview of ${stack}`, { stack });
    const { changes, steps, policies } = outcome.progress;
    if (invocation.json) await printJson({ stack, result: "succeeded", changes, steps, policies });
    else
      await print(
        [...steps.map(({ op, urn }) => `${op} ${describeUrn(urn)}`), describeChanges(changes, true)].join("\n"),
      );
    return 0;
  });
}
