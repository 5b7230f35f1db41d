import type { MachineOutput } from "../../components/shared/outputs.ts";
import type { Changes } from "../engine/changes.ts";
import { describeChanges } from "../engine/changes.ts";
import { type Outcome, type Session } from "../engine/session.ts";
import { describeEngineFault } from "../engine/progress.ts";
import { machinesOf } from "../output/machines.ts";
import { CommandFailure } from "../output/failure.ts";
import { progress, say, styled } from "../output/terminal.ts";
import { resumeRunning } from "../repair/runState.ts";
import { clearLocks } from "../repair/execute.ts";
import { clearReportedLocks, refusal } from "../repair/reportedLock.ts";
import type { Context } from "./context.ts";
import { hostOf } from "./host.ts";

/** The document of `start --once --json` and `up --json`. */
export interface UpDocument {
  readonly stack: string;
  readonly result: "succeeded" | "failed";
  readonly changes: Changes;
  readonly engine: { readonly version: string; readonly source: string; readonly path: string };
  readonly providers: Readonly<
    Record<string, { readonly version: string; readonly source: string; readonly path: string }>
  >;
  readonly machines: readonly MachineOutput[];
  readonly seconds: number;
}

/** A failed run as an error for people: every cause, where, and what to do. */
export function failureOf(
  outcome: Outcome,
  what: string,
  details: Readonly<Record<string, unknown>> = {},
): CommandFailure {
  const { errors, policies } = outcome.progress;
  for (const fault of errors) say(`${styled("red", "  - ")}${describeEngineFault(fault)}`);
  const mandatory = policies.filter((finding) => finding.level === "mandatory");
  const why =
    errors.length > 0
      ? `${String(errors.length)} failure(s), each with its fix above`
      : mandatory.length > 0
        ? `${String(mandatory.length)} mandatory policy violation(s), listed above`
        : (outcome.message ?? "the engine gave no reason").split("\n").slice(-12).join("\n");
  return new CommandFailure(`${what} failed: ${why}`, {
    details: { ...details, failures: errors, policies, changes: outcome.progress.changes },
  });
}

/** Plain outputs of a stack: secrets are masked. */
export function plainOutputs(
  outputs: Readonly<Record<string, { readonly value: unknown; readonly secret: boolean }>>,
): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(outputs).map(([name, { value, secret }]) => [name, secret ? "[secret]" : value]),
  );
}

/** Brings an opened stack up and tells what came of it. @throws CommandFailure with every cause */
export async function bringUp(context: Context, session: Session): Promise<UpDocument> {
  const { target, toolchain } = context;
  progress(`${target.stack}: bringing it up with engine ${toolchain.engine.version} (${toolchain.engine.source})`);
  let outcome = await session.run("up");
  // Another command took the stack's lock between our look at it and the engine's: it is waited for once.
  if (!outcome.succeeded && refusal(outcome) !== undefined) {
    await clearLocks(target);
    await clearReportedLocks(session);
    outcome = await session.run("up");
  }
  const { engine, providers } = toolchain;
  const seconds = (): number => Math.round(process.uptime() * 10) / 10;
  if (!outcome.succeeded)
    throw failureOf(outcome, `up of ${target.stack}`, { stack: target.stack, engine, providers, seconds: seconds() });
  const host = await hostOf(context, session);
  if (host !== undefined) await resumeRunning(target, host);
  const { changes } = outcome.progress;
  progress(`${target.stack}: ${styled("green", "up")}: ${describeChanges(changes, false)}`);
  const machines = machinesOf(plainOutputs(outcome.outputs ?? (await session.outputs())));
  return { stack: target.stack, result: "succeeded", changes, engine, providers, machines, seconds: seconds() };
}
