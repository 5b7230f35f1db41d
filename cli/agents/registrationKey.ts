/**
 * The key by which an agent's server registers, kept in step before its stack is brought up: a server that is made anew
 * needs one that no server has used. The Sentinel keeps the key in use until a server registers with the new one, so that
 * asking for it changes nothing by itself, and whatever is cut off here is done again by the same command.
 */
import { configNamespace } from "../../components/shared/genesisConfig.ts";
import { keyId } from "../../runtime-agent/src/shared/pskTls.ts";
import type { Step } from "../engine/progress.ts";
import type { Session } from "../engine/session.ts";
import { CommandFailure } from "../output/failure.ts";
import { progress } from "../output/terminal.ts";
import type { RegistrationSeen } from "../sentinel/answers.ts";
import type { Sentinel } from "../sentinel/client.ts";

/** An opened stack, as far as its settings go. */
type AgentStack = Pick<Session, "engine"> & { readonly target: Pick<Session["target"], "stack"> };

/** A key that is good for less is not begun with, ms: making a server and installing it takes its minutes. */
const enoughMs = 15 * 60_000;

/** Types of the servers that agents run on, as their providers name them. */
const serverTypes = /:(?:ContainerLegacy|VmLegacy|Instance)$/;

/** Whether a plan makes a server, the first one or another in its place. Pure. */
export function makesServer(steps: readonly Step[]): boolean {
  return steps.some(({ op, urn }) => {
    const type = (urn.split("::")[2] ?? "").split("$").at(-1) ?? "";
    return /^(?:create|replace|create-replacement)$/.test(op) && serverTypes.test(type);
  });
}

/** What to do about the key in a stack's settings; `look`: it depends on whether the plan makes a server. */
export type KeyStep = "keep" | "mint" | "look";

/**
 * Decides by what the Sentinel says. Pure.
 * @param own names the key in the settings; undefined where it was not looked at, see {@link isFirst}
 */
export function keyStep(seen: RegistrationSeen, own: string | undefined, nowMs: number): KeyStep {
  const isGood = (untilMs: number): boolean => untilMs - nowMs >= enoughMs;
  const { registered, pending, registerBeforeMs } = seen;
  if (registered === undefined)
    return isGood(registerBeforeMs) && (isFirst(seen) || own === seen.keyId) ? "keep" : "mint";
  if (own === seen.keyId) return "look";
  return pending?.keyId === own && isGood(pending?.registerBeforeMs ?? 0) ? "keep" : "mint";
}

/** Whether there was never another key than the one of `hive agent new`. */
function isFirst({ life, registered, pending }: RegistrationSeen): boolean {
  return life === 1 && registered === undefined && pending === undefined;
}

/** The registration, when a server may register on it. @throws CommandFailure */
export function usable(agent: string, seen: RegistrationSeen | undefined): RegistrationSeen {
  const anew = `hive agent destroy ${agent}, then hive agent new ${agent}`;
  if (seen === undefined)
    throw new CommandFailure(`the Sentinel knows no agent ${agent}, so its server could not register: ${anew}`);
  if (seen.handedOver !== undefined)
    throw new CommandFailure(`the server of ${agent} was handed to the reaper (${seen.handedOver.why}): ${anew}`);
  return seen;
}

/**
 * Mints a key and writes it into the stack's settings when the update needs one. After the plan and its checks, before the
 * update.
 * @param plan gives the steps of the update; asked where they count alone
 * @throws CommandFailure when no server of this agent could register
 */
export async function fitRegistrationKey(
  sentinel: Pick<Sentinel, "registration" | "mint">,
  agent: string,
  session: AgentStack,
  plan: () => Promise<readonly Step[]>,
): Promise<void> {
  const seen = usable(agent, await sentinel.registration(agent));
  const step = keyStep(seen, isFirst(seen) ? undefined : await ownKeyId(session), Date.now());
  if (step === "keep" || (step === "look" && !makesServer(await plan()))) return;
  const { key } = await sentinel.mint(agent);
  const { stack } = session.target;
  await session.engine(["config", "set", `${configNamespace}:registrationKey`, "--secret", "--stack", stack], key);
  progress(`${agent}: its next server registers with a key of its own`);
}

/** Names the key in the stack's settings; undefined when there is none. */
async function ownKeyId(session: AgentStack): Promise<string | undefined> {
  const { stack } = session.target;
  const { stdout } = await session.engine(["config", "--show-secrets", "--json", "--stack", stack]);
  const settings: unknown = JSON.parse(stdout);
  const entry: unknown = Object(settings)[`${configNamespace}:registrationKey`];
  const value: unknown = Object(entry)["value"];
  return typeof value === "string" ? keyId(Buffer.from(value, "hex")) : undefined;
}
