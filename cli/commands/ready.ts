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
import { SentinelUnreachable } from "../sentinel/line.ts";
import { type Context } from "./context.ts";
import { hostOf } from "./host.ts";
import { type Plan, previewed } from "./loss.ts";

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
    const exported = agentOfStack(context.target.stack) === undefined ? undefined : await forgetLost(session, host);
    await repairStack(session, host, { exported });
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

/**
 * Sees to it that the runner of an agent's server can register, and that the server lets the Sentinel in. On the lab the Sentinel runs only when something needs it:
 * from here on it does.
 * @param plan steps of the update, where they are known already
 * @throws CommandFailure when a server would be made that cannot register
 */
export async function readyToRegister(context: Context, session: Session, agent: string, plan?: Plan): Promise<void> {
  const [{ reachSentinel }, { fitRegistrationKey, makesServer }, { fitSshKey }] = await Promise.all([
    import("../sentinel/reach.ts"),
    import("../agents/registrationKey.ts"),
    import("../agents/sentinelSshKey.ts"),
  ]);
  const steps = async (): Promise<Plan> => plan ?? previewed(session);
  try {
    const { sentinel, close } = await reachSentinel(context);
    try {
      await fitRegistrationKey(sentinel, agent, session, steps);
      await fitSshKey(sentinel, context.target.kind, agent);
    } finally {
      close();
    }
  } catch (error) {
    if (!(error instanceof SentinelUnreachable) || makesServer(await steps())) throw error;
    progress(`sentinel: not reached (${error.message}); ${agent} has its server, which knows it`);
  }
}
