import { type Fault, FaultsError, describeFault } from "../../components/shared/faults.ts";
import { printJson, say, styled } from "./terminal.ts";

/** A failure whose message is meant for people: what is wrong and what to do. */
export class CommandFailure extends Error {
  override readonly name = "CommandFailure";
  readonly exitCode: number;
  readonly faults: readonly Fault[];
  /** More for the JSON document. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    message: string,
    more: {
      readonly exitCode?: number;
      readonly faults?: readonly Fault[];
      readonly details?: Readonly<Record<string, unknown>>;
    } = {},
  ) {
    super(message);
    this.exitCode = more.exitCode ?? 1;
    this.faults = more.faults ?? [];
    this.details = more.details ?? {};
  }
}

/** The message without stack frames, colour codes and engine noise. */
export function plainMessage(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text
    .split("\n")
    .filter((line) => !/^\s+at\s.+[:(]/.test(line) && !/^\s*at (async )?(file|node):/.test(line))
    .join("\n")
    .trim();
}

/** Says a failure in plain words (and as JSON when asked for); gives the exit status. */
export async function reportFailure(
  asked: { readonly command: string; readonly json: boolean },
  error: unknown,
): Promise<number> {
  const faults = error instanceof CommandFailure || error instanceof FaultsError ? error.faults : [];
  const exitCode = error instanceof CommandFailure ? error.exitCode : 1;
  const message = plainMessage(error);
  say(`${styled("red", `hive ${asked.command}:`)} ${message}`);
  if (error instanceof CommandFailure) for (const fault of faults) say(`  - ${describeFault(fault)}`);
  if (!(error instanceof CommandFailure) && !(error instanceof FaultsError) && process.env["HIVE_DEBUG"])
    say(String(error instanceof Error ? error.stack : error));
  if (asked.json) {
    const details = error instanceof CommandFailure ? error.details : {};
    await printJson({ command: asked.command, result: "failed", message, faults, ...details });
  }
  return exitCode;
}
