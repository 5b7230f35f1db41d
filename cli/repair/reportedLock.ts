import type { Outcome, Session } from "../engine/session.ts";
import { CommandFailure } from "../output/failure.ts";
import { progress } from "../output/terminal.ts";
import { type HolderFacts, type LockInfo, judgeLock, locksInMessage, observeHolder } from "./lock.ts";

/**
 * What the engine said when it refused because of a lock; `undefined` when it did not. Two engines that reach for the
 * lock at once may also trip over each other's file while it is made or removed. Pure.
 */
export function refusal({ message = "", progress: { errors, steps } }: Outcome): string | undefined {
  if (steps.length > 0) return undefined;
  return [message, ...errors.map(({ limit }) => limit)].find((text) =>
    /currently locked|\/\.pulumi\/locks\/\S+: no such file/.test(text),
  );
}

/** Why locks may be broken, one reason each; or why not. All must be dead: `pulumi cancel` breaks every one. Pure. */
export function judgeReported(
  locks: readonly LockInfo[],
  factsOf: (lock: LockInfo) => HolderFacts,
): { readonly broken: readonly string[] } | { readonly stays: string } {
  const verdicts = locks.map((lock) => judgeLock(lock, factsOf(lock)));
  const alive = verdicts.find(({ kind }) => kind !== "dead");
  if (alive !== undefined) return { stays: alive.why };
  return verdicts.length === 0
    ? { stays: "by a lock that this version cannot read" }
    : { broken: verdicts.map(({ why }) => why) };
}

/**
 * Clears the locks of dead holders in a backend whose files cannot be read here (S3 and the like): the engine is asked for
 * an operation that takes the lock and touches nothing, and its refusal names the holders.
 * @throws CommandFailure naming a holder that may live
 */
export async function clearReportedLocks(session: Session): Promise<readonly string[]> {
  const { backendFolder, project, stack } = session.target;
  if (backendFolder !== undefined) return [];
  const nothing = `urn:pulumi:${stack}::${project}::hive:index:Nothing::lock`;
  const said = refusal(await session.run("refresh", { target: [nothing] }));
  return said === undefined ? [] : breakReported(session, said);
}

async function breakReported(session: Session, said: string): Promise<readonly string[]> {
  const verdict = judgeReported(locksInMessage(said), observeHolder);
  if ("stays" in verdict)
    throw new CommandFailure(
      `the stack is locked: ${verdict.stays}. Wait for it to end; if that run is dead, break its lock: pulumi cancel ${session.target.stack}`,
    );
  for (const why of verdict.broken) progress(`repair: the stack's lock is broken: ${why}`);
  await session.engine(["cancel", "--yes", "--stack", session.target.stack]);
  return verdict.broken;
}
