import type { Invocation } from "../args/parse.ts";
import { type Check, checkOfFault, nodeCheck } from "../doctor/check.ts";
import { judgeMachine, readMachine } from "../doctor/machine.ts";
import { labSentinelCheck, realSentinelCheck } from "../doctor/sentinel.ts";
import { print, printJson } from "../output/terminal.ts";
import { FaultsError } from "../../components/shared/faults.ts";
import { adviceFor } from "../engine/advice.ts";
import { CommandFailure, plainMessage } from "../output/failure.ts";
import { cacheRoot } from "../setup/paths.ts";
import { judgeLock, observeHolder, readLocks } from "../repair/lock.ts";
import { labStateFolder } from "../targets/stateFolder.ts";
import type { Target } from "../targets/target.ts";
import { withContext } from "./context.ts";
import { hostOf } from "./host.ts";

/** `hive doctor`: everything that a run needs, each failure with its fix. Exit 1 when something is missing. */
export async function doctor(invocation: Invocation): Promise<number> {
  const [machine, labState] = await Promise.all([readMachine(cacheRoot()), labCheck()]);
  const checks: Check[] = [nodeCheck(process.version)];
  const rest: Check[] = [labState];
  let toolchainIsReady = false;
  try {
    await withContext(
      invocation,
      async (context) => {
        toolchainIsReady = true;
        const { engine, providers } = context.toolchain;
        rest.push({ name: "engine", ok: true, found: `${engine.version} (${engine.source}) at ${engine.path}` });
        for (const [name, tool] of Object.entries(providers))
          rest.push({
            name: `provider ${name}`,
            ok: true,
            found: `${tool.version} (${tool.source}) at ${tool.path}`,
          });
        rest.push(...lockChecks(context.target));
        rest.push(await (context.lab === undefined ? realSentinelCheck(context) : labSentinelCheck()));
        const session = await context.open();
        const host = await hostOf(context, session);
        if (host === undefined) {
          rest.push({
            name: "host",
            ok: false,
            found: "endpoint or apiToken is not set",
            fix: "pulumi config set --secret hive:apiToken",
          });
          return;
        }
        const { checkHost } = await import("../preflight/check.ts");
        const { splitFaults } = await import("../preflight/blocking.ts");
        const { blocking: faults, notes } = splitFaults(
          await checkHost(context.target, session, host),
          context.target.kind,
        );
        rest.push(...notes.map((note) => ({ ...checkOfFault(note), ok: true })));
        if (faults.length === 0) rest.push({ name: "host", ok: true, found: `${host.endpoint} has everything` });
        rest.push(...faults.map(checkOfFault));
      },
      { stack: "genesis" },
    );
  } catch (error) {
    if (error instanceof CommandFailure || error instanceof FaultsError) rest.push(...error.faults.map(checkOfFault));
    rest.push({
      name: "set-up",
      ok: false,
      found: plainMessage(error),
      fix:
        error instanceof CommandFailure && error.faults.length > 0
          ? "Do what the lines above say, then run hive doctor again."
          : adviceFor(plainMessage(error)),
    });
  }
  checks.push(...judgeMachine(machine, toolchainIsReady), ...rest);
  const ok = checks.every((check) => check.ok);
  if (invocation.json) await printJson({ ok, checks });
  else
    await print(
      checks
        .map(
          (check) =>
            `${check.ok ? "ok  " : "FAIL"} ${check.name}: ${check.found}${check.fix === undefined ? "" : `\n       fix: ${check.fix}`}`,
        )
        .join("\n"),
    );
  return ok ? 0 : 1;
}

async function labCheck(): Promise<Check> {
  const { findLab } = await import("../../lab/index.ts");
  const info = await findLab(labStateFolder().lab);
  return {
    name: "lab",
    ok: true,
    found: info === undefined ? "not running; commands start it when they need it" : `running at ${info.apiUrl}`,
  };
}

function lockChecks({ backendFolder, project, stack }: Target): Check[] {
  if (backendFolder === undefined)
    return [
      { name: "lock", ok: true, found: "not looked at: only up and repair ask this backend, by taking the lock" },
    ];
  const verdicts = readLocks(backendFolder, project, stack).map((lock) => judgeLock(lock, observeHolder(lock)));
  if (verdicts.length === 0) return [{ name: "lock", ok: true, found: "the stack is free" }];
  return verdicts.map(({ kind, why }) => ({
    name: "lock",
    ok: false,
    found: why,
    fix: kind === "dead" ? "hive repair" : "Wait for it to end, or stop it where it runs.",
  }));
}
