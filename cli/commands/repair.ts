import type { Invocation } from "../args/parse.ts";
import { print, printJson } from "../output/terminal.ts";
import { assertAccess } from "../preflight/access.ts";
import { clearLocks, repairStack } from "../repair/execute.ts";
import { clearReportedLocks } from "../repair/reportedLock.ts";
import { withContext } from "./context.ts";
import { hostOf } from "./host.ts";

/** `hive repair`: what every `hive up` does first, by itself; for people who run `pulumi up`. */
export async function repair(invocation: Invocation): Promise<number> {
  return withContext(
    invocation,
    async (context) => {
      const locks = await clearLocks(context.target, { dryRun: invocation.dryRun });
      const session = await context.open();
      if (!invocation.dryRun) locks.push(...(await clearReportedLocks(session)));
      const host = await hostOf(context, session);
      if (host !== undefined) await assertAccess(host);
      const { done } = await repairStack(session, host, { dryRun: invocation.dryRun });
      const document = {
        stack: context.target.stack,
        result: invocation.dryRun ? "planned" : "succeeded",
        locksBroken: locks,
        steps: done,
      };
      if (invocation.json) await printJson(document);
      else await print(locks.length + done.length === 0 ? "nothing to repair" : [...locks, ...done].join("\n"));
      return 0;
    },
    { withPolicies: false },
  );
}
