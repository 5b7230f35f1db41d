import { describeFault } from "../../components/shared/faults.ts";
import type { Invocation } from "../args/parse.ts";
import { agentOfStack } from "../args/stacks.ts";
import { forgetLost } from "../destroy/lost.ts";
import type { Session } from "../engine/session.ts";
import { CommandFailure } from "../output/failure.ts";
import { progress } from "../output/terminal.ts";
import { assertAccess } from "../preflight/access.ts";
import { clearLocks, repairStack } from "../repair/execute.ts";
import { clearReportedLocks } from "../repair/reportedLock.ts";
import { type Context } from "./context.ts";
import { hostOf } from "./host.ts";

/**
 * Opens the stack for a change: the host must answer, then what a killed run left is repaired, for it would be in the way
 * of the rest of the preflight.
 */
export async function readyForChange(context: Context, invocation: Invocation, opened?: Session): Promise<Session> {
  await clearLocks(context.target);
  const session = opened ?? (await context.open());
  await clearReportedLocks(session);
  const host = await hostOf(context, session);
  if (host !== undefined) {
    await assertAccess(host);
    if (agentOfStack(context.target.stack) !== undefined) await forgetLost(session, host);
    await repairStack(session, host);
  }
  if (!invocation.skipPreflight && host !== undefined) {
    const { checkHost } = await import("../preflight/check.ts");
    const { splitFaults } = await import("../preflight/blocking.ts");
    const { blocking: faults, notes } = splitFaults(
      await checkHost(context.target, session, host),
      context.target.kind,
    );
    for (const note of notes) progress(`preflight: the lab's hardware differs: ${describeFault(note)}`);
    if (faults.length > 0)
      throw new CommandFailure("the host is not ready; nothing was changed (--skip-preflight goes on regardless)", {
        faults,
      });
  }
  return session;
}
