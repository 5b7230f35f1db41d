import type { Invocation } from "../args/parse.ts";
import type { Fault } from "../../components/shared/faults.ts";
import { print, printJson } from "../output/terminal.ts";
import { plainMessage } from "../output/failure.ts";
import { judgeLock, observeHolder, readLocks } from "../repair/lock.ts";
import { labStateFolder } from "../targets/stateFolder.ts";
import { withContext } from "./context.ts";
import { hostOf } from "./host.ts";

/** One thing that was looked at. */
export interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly found: string;
  /** What to do, when it is not as it should be. */
  readonly fix?: string | undefined;
}

const fromFault = (fault: Fault): Check => ({
  name: `host: ${fault.property}`,
  ok: false,
  found: `${fault.value ?? "missing"}; needed: ${fault.limit}`,
  fix: fault.fix,
});

/** `hive doctor`: everything that a run needs, each failure with its fix. Exit 1 when something is missing. */
export async function doctor(invocation: Invocation): Promise<number> {
  const checks: Check[] = [nodeCheck(process.version), await labCheck()];
  try {
    await withContext(
      invocation,
      async (context) => {
        const { engine, providers } = context.toolchain;
        checks.push({ name: "engine", ok: true, found: `${engine.version} (${engine.source}) at ${engine.path}` });
        for (const [name, tool] of Object.entries(providers))
          checks.push({
            name: `provider ${name}`,
            ok: true,
            found: `${tool.version} (${tool.source}) at ${tool.path}`,
          });
        checks.push(...lockChecks(context.target));
        const session = await context.open();
        const host = await hostOf(context, session);
        if (host === undefined) {
          checks.push({
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
        checks.push(...notes.map((note) => ({ ...fromFault(note), ok: true })));
        if (faults.length === 0) checks.push({ name: "host", ok: true, found: `${host.endpoint} has everything` });
        checks.push(...faults.map(fromFault));
      },
      { stack: "genesis" },
    );
  } catch (error) {
    checks.push({
      name: "set-up",
      ok: false,
      found: plainMessage(error),
      fix: "Repair the cause and run hive doctor again.",
    });
  }
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

/** Whether this Node can run the command line and Pulumi's SDK. */
export function nodeCheck(version: string): Check {
  const [major = 0, minor = 0] = version.replace(/^v/, "").split(".").map(Number);
  const ok = major > 22 || (major === 22 && minor >= 18);
  return {
    name: "node",
    ok,
    found: version,
    fix: ok ? undefined : "npm ci (it brings a current Node), then npm run hive -- doctor",
  };
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

function lockChecks(target: Parameters<typeof readTargetLocks>[0]): Check[] {
  const verdicts = readTargetLocks(target).map((lock) => judgeLock(lock, observeHolder(lock)));
  if (verdicts.length === 0) return [{ name: "lock", ok: true, found: "the stack is free" }];
  return verdicts.map(({ kind, why }) => ({
    name: "lock",
    ok: false,
    found: why,
    fix: kind === "dead" ? "hive repair" : "Wait for it to end, or stop it where it runs.",
  }));
}

function readTargetLocks(target: {
  readonly backendFolder?: string | undefined;
  readonly project: string;
  readonly stack: string;
}): ReturnType<typeof readLocks> {
  return target.backendFolder === undefined ? [] : readLocks(target.backendFolder, target.project, target.stack);
}
