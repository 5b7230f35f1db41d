import type { Invocation } from "../args/parse.ts";
import type { Session } from "../engine/session.ts";
import type { Step } from "../engine/progress.ts";
import { describeUrn } from "../engine/urn.ts";
import { CommandFailure } from "../output/failure.ts";
import { ask, say } from "../output/terminal.ts";
import { failureOf } from "./bringUp.ts";

/** The objects that a planned update deletes or replaces, by URN; components have none. Pure. */
export function losses(steps: readonly Step[]): string[] {
  const taken = steps.filter(({ op }) => /^(delete|replace|delete-replaced|create-replacement)$/.test(op));
  const urns = taken
    .map(({ urn }) => urn)
    .filter((urn) => !/(^|\$)(pulumi|hive):[^$]*$/.test(urn.split("::")[2] ?? ""));
  return [...new Set(urns)];
}

/** Steps of a planned update. */
export type Plan = readonly Step[];

/** The plan of an update. @throws CommandFailure when the preview fails or breaks a mandatory rule */
export async function previewed(session: Pick<Session, "target" | "run">): Promise<Plan> {
  const { stack } = session.target;
  const outcome = await session.run("preview");
  if (!outcome.succeeded) throw failureOf(outcome, `preview of ${stack}`, { stack });
  return outcome.progress.steps;
}

/**
 * Previews the update of a real host, so that a rule about the whole stack stops it before anything is changed (in an
 * update the engine asks such rules last), and asks when it deletes or replaces. The lab is there to be changed.
 * @returns the plan, where it was asked for
 * @throws CommandFailure when the preview fails or breaks a mandatory rule, and when it is not confirmed, or there is no terminal to confirm on
 */
export async function confirmLoss(
  invocation: Pick<Invocation, "yes">,
  session: Pick<Session, "target" | "run">,
): Promise<Plan | undefined> {
  const { kind, stack } = session.target;
  if (kind === "lab") return undefined;
  const plan = await previewed(session);
  if (invocation.yes) return plan;
  const lost = losses(plan);
  if (lost.length === 0) return plan;
  for (const urn of lost) say(`  - ${describeUrn(urn)}`);
  const answer = await ask(
    `${String(lost.length)} object(s) will be deleted or replaced. Type the stack's name to go on: `,
  );
  if (answer === undefined)
    throw new CommandFailure(
      `${String(lost.length)} object(s) would be deleted or replaced, and there is no terminal to confirm on: add --yes`,
      { exitCode: 2 },
    );
  if (answer !== stack) throw new CommandFailure("not confirmed; the stack was not updated");
  return plan;
}
