import { rmSync } from "node:fs";
import { join } from "node:path";
import { rememberGone } from "../../agents/gone.ts";
import {
  knownAgents,
  memoryFolder,
  noSettings,
  registrationOf,
  removePackedSources,
  removeSettings,
} from "../../agents/store.ts";
import { stackOfAgent } from "../../args/stacks.ts";
import type { Invocation } from "../../args/parse.ts";
import type { Session } from "../../engine/session.ts";
import { describeUrn } from "../../engine/urn.ts";
import { CommandFailure } from "../../output/failure.ts";
import { ask, print, printJson, progress } from "../../output/terminal.ts";
import { decodeState } from "../../repair/deployment.ts";
import type { AgentSeen } from "../../sentinel/answers.ts";
import type { Sentinel } from "../../sentinel/client.ts";
import { type ReachedSentinel, reachSentinel, withSentinel } from "../../sentinel/reach.ts";
import { failureOf } from "../bringUp.ts";
import { type Context, withContext } from "../context.ts";
import { readyForChange } from "../ready.ts";

/**
 * `hive agent destroy`: the server with everything on it, the registration, the stack and its settings. It needs neither
 * the Sentinel nor the server: who cannot be told now is told by the next command that reaches the Sentinel.
 */
export async function destroyAgent(invocation: Invocation): Promise<number> {
  const [name = ""] = invocation.positionals;
  const { target, dryRun, json } = invocation;
  const stack = stackOfAgent(name);
  if (target === "real" && !knownAgents(target).includes(name))
    return withSentinel(invocation, (sentinel) => destroyElsewhere(invocation, sentinel));
  return withContext(
    invocation,
    async (context) => {
      const session = await openIfThere(context);
      const found = session === undefined ? [] : await resourcesOf(session);
      const reached = await reachSentinel(context).catch((error: unknown) => failureIn(error));
      try {
        const registered = "why" in reached ? undefined : await isRegistered(reached.sentinel, target, name);
        if (session === undefined && registered !== true && !knownAgents(target).includes(name))
          throw noSettings(target, name);
        if (dryRun) {
          await tellPlan(invocation, name, found, registered);
          return 0;
        }
        if (!invocation.yes && found.length > 0)
          await confirm(`${String(found.length)} objects of ${name} will be deleted`, name);
        if (session !== undefined) await destroyStack(context, invocation, session);
        const told = await deregister(target, name, reached, registered);
        await forget(session, invocation, name);
        if (json)
          await printJson({ agent: name, stack, result: "succeeded", deleted: found.length, registration: told });
        else await print(`${name} is gone`);
        return 0;
      } finally {
        if (!("why" in reached)) reached.close();
      }
    },
    { stack, withPolicies: false },
  );
}

/** Whether the Sentinel knows this very agent: another may have its name by now. */
async function isRegistered(
  sentinel: ReachedSentinel["sentinel"],
  target: "lab" | "real",
  name: string,
): Promise<boolean> {
  const [seen, own] = [await sentinel.registration(name), registrationOf(target, name)];
  return seen !== undefined && (own === undefined || own === seen.id);
}

/** What becomes of the server of an agent that is taken off the registry without its stack. */
function fateOf({ name, provider }: AgentSeen, providers: readonly string[]): string {
  if (provider === undefined) return `the server of ${name}, if there is one, is deleted by the reaper within the hour`;
  const server = `the server of ${name}, ${provider.id} at ${provider.kind}`;
  return providers.includes(provider.kind)
    ? `${server}, goes with everything on it: the reaper deletes it within the hour`
    : `${server}, stays and is billed, for the reaper has no credentials for ${provider.kind}: delete it there yourself`;
}

/**
 * An agent whose settings are not on this machine: its registration goes, and a server that no agent answers for is the
 * reaper's after `leases.registerWithinMin`.
 */
export async function destroyElsewhere(
  invocation: Invocation,
  sentinel: Pick<Sentinel, "agent" | "remove"> & {
    readonly reaper: () => Promise<Pick<Awaited<ReturnType<Sentinel["reaper"]>>, "providers">>;
  },
  answer: typeof ask = ask,
): Promise<number> {
  const [name = ""] = invocation.positionals;
  const { target, dryRun, json, yes } = invocation;
  const agent = await sentinel.agent(name);
  if (agent === undefined) throw noSettings(target, name);
  const fate = fateOf(agent, (await sentinel.reaper()).providers);
  if (dryRun) {
    await tellPlan(invocation, name, [], true);
    progress(`${name} has no settings here; ${fate}`);
    return 0;
  }
  if (!yes) await confirm(`${name} has no settings here and is taken off the registry; ${fate}`, name, answer);
  await sentinel.remove(name);
  progress(fate);
  const document = {
    agent: name,
    stack: stackOfAgent(name),
    result: "succeeded",
    deleted: 0,
    registration: "removed",
  };
  if (json) await printJson(document);
  else await print(`${name} is off the registry`);
  return 0;
}

function failureIn(error: unknown): { readonly why: string } {
  // Whatever stands between us and the Sentinel, the server must be deletable.
  const why = error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error);
  progress(`sentinel: not reached (${why}); the server is deleted all the same`);
  return { why };
}

/** The stack, when its backend has it. */
async function openIfThere(context: Context): Promise<Session | undefined> {
  try {
    return await context.open();
  } catch (error) {
    if (error instanceof CommandFailure && /does not exist in this backend/.test(error.message)) return undefined;
    throw error;
  }
}

async function resourcesOf(session: Session): Promise<readonly string[]> {
  const { resources } = decodeState((await session.exportState()).deployment);
  return resources.filter(({ type }) => !type.startsWith("pulumi:") && !type.startsWith("hive:")).map(({ urn }) => urn);
}

/** @throws CommandFailure unless a person types the agent's name */
async function confirm(what: string, name: string, answer: typeof ask = ask): Promise<void> {
  const given = await answer(`${what}. Type the agent's name to go on: `);
  if (given === undefined) throw new CommandFailure("there is no terminal to confirm on: add --yes", { exitCode: 2 });
  if (given !== name) throw new CommandFailure("not confirmed; nothing was destroyed");
}

async function destroyStack(context: Context, invocation: Invocation, session: Session): Promise<void> {
  await readyForChange(context, { ...invocation, skipPreflight: true }, session);
  const outcome = await session.run("destroy");
  if (!outcome.succeeded)
    throw failureOf(outcome, `destroy of ${session.target.stack}`, { stack: session.target.stack });
}

/** `unknown`: its settings name no registration, so that nobody can be told which one it was. */
type Told = "removed" | "not registered" | "remembered" | "unknown";

/** Takes the registration of these settings back; one that came later under the same name is another agent's. */
async function deregister(
  target: "lab" | "real",
  name: string,
  reached: ReachedSentinel | { readonly why: string },
  registered: boolean | undefined,
): Promise<Told> {
  const id = registrationOf(target, name);
  try {
    // Its server's farewell may have been first.
    if (!("why" in reached))
      return (await reached.sentinel.remove(name, id)) || registered === true ? "removed" : "not registered";
  } catch (error) {
    failureIn(error);
  }
  if (id === undefined) {
    progress(
      `sentinel: ${name} may be on its registry still; hive agent list shows it, hive agent destroy takes it off`,
    );
    return "unknown";
  }
  rememberGone(target, { name, id });
  progress(`sentinel: it is told of ${name} by the next hive agent command that reaches it`);
  return "remembered";
}

/** The stack itself with its backups, its settings, which hold the keys of a server that is no more, and its sources. */
async function forget(session: Session | undefined, { target }: Invocation, name: string): Promise<void> {
  const stack = stackOfAgent(name);
  if (session !== undefined) await session.engine(["stack", "rm", stack, "--yes", "--remove-backups"]);
  removeSettings(target, name);
  removePackedSources(name);
  rmSync(join(memoryFolder(target), `${stack}.digest.json`), { force: true });
}

async function tellPlan(
  { json }: Invocation,
  name: string,
  found: readonly string[],
  registered: boolean | undefined,
): Promise<void> {
  const registration = registered === undefined ? "unknown" : registered ? "registered" : "not registered";
  if (json) {
    await printJson({ agent: name, stack: stackOfAgent(name), result: "planned", delete: found, registration });
    return;
  }
  const lines = found.map((urn) => `delete ${describeUrn(urn)}`);
  await print([...lines, `registration: ${registration}`].join("\n"));
}
