/**
 * The key by which an agent's server registers, kept in step before its stack is brought up: a server that is made anew,
 * or elsewhere, needs one that no server has used. The Sentinel keeps the key in use until a server registers with the new one, so that
 * asking for it changes nothing by itself, and whatever is cut off here is done again by the same command.
 */
import { configNamespace } from "../../components/shared/genesisConfig.ts";
import { heavyAgentHostname } from "../../components/shared/vps/heavyAgentPlan.ts";
import { keyId } from "../../runtime-agent/src/shared/pskTls.ts";
import type { Step } from "../engine/progress.ts";
import type { Session } from "../engine/session.ts";
import { CommandFailure } from "../output/failure.ts";
import { progress } from "../output/terminal.ts";
import type { RegistrationSeen } from "../sentinel/answers.ts";
import type { NewAgent, Sentinel } from "../sentinel/client.ts";
import { zoneFaults } from "./zone.ts";

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

type Place = NewAgent["provider"];

/** What a stack's settings say of the agent's server; undefined is what they lack. */
export interface OwnSettings {
  /** Names the key that it registers with. */
  readonly keyId: string | undefined;
  readonly place: Place | undefined;
  /** At Lightsail. */
  readonly zone: string | undefined;
}

/** Decides by what the Sentinel says. Pure. */
export function keyStep(seen: RegistrationSeen, { keyId: own, place }: OwnSettings, nowMs: number): KeyStep {
  const isGood = (untilMs: number): boolean => untilMs - nowMs >= enoughMs;
  const fits = (known: Place | undefined): boolean =>
    known === undefined || place === undefined || (known.kind === place.kind && known.id === place.id);
  const { registered, pending, registerBeforeMs, provider, handedOver } = seen;
  if (registered === undefined) {
    const stands = handedOver === undefined && own === seen.keyId && isGood(registerBeforeMs);
    return stands && fits(provider) ? "keep" : "mint";
  }
  if (own === seen.keyId) return fits(provider) ? "look" : "mint";
  const stands = pending?.keyId === own && isGood(pending?.registerBeforeMs ?? 0);
  return stands && fits(pending?.provider ?? provider) ? "keep" : "mint";
}

/** The registration, when a server may register on it. @throws CommandFailure */
export function usable(agent: string, seen: RegistrationSeen | undefined): RegistrationSeen {
  const anew = `hive agent destroy ${agent}, then hive agent new ${agent}`;
  if (seen === undefined)
    throw new CommandFailure(`the Sentinel knows no agent ${agent}, so its server could not register: ${anew}`);
  // A move that failed half-way goes on with another key.
  if (seen.handedOver !== undefined && seen.handedOver.why !== "unregistered")
    throw new CommandFailure(`the server of ${agent} was handed to the reaper (${seen.handedOver.why}): ${anew}`);
  return seen;
}

/**
 * Mints a key and writes it into the stack's settings when the update needs one. After the plan and its checks, before the
 * update.
 * @param plan gives the steps of the update; asked where they count alone
 * @throws CommandFailure when no server of this agent could register, or nobody would delete it
 */
export async function fitRegistrationKey(
  sentinel: Pick<Sentinel, "registration" | "mint"> & {
    readonly reaper: () => Promise<Pick<Awaited<ReturnType<Sentinel["reaper"]>>, "region">>;
  },
  agent: string,
  session: AgentStack,
  plan: () => Promise<readonly Step[]>,
): Promise<void> {
  const seen = usable(agent, await sentinel.registration(agent));
  const own = await ownSettings(session, agent);
  const step = keyStep(seen, own, Date.now());
  if (step === "look" && !makesServer(await plan())) return;
  if (own.zone !== undefined) {
    const faults = zoneFaults(`${configNamespace}:lightsail.zone`, own.zone, (await sentinel.reaper()).region);
    if (faults.length > 0) throw new CommandFailure("nothing was changed", { faults });
  }
  if (step === "keep") return;
  const { key } = await sentinel.mint(agent, own.place);
  const { stack } = session.target;
  await session.engine(["config", "set", `${configNamespace}:registrationKey`, "--secret", "--stack", stack], key);
  progress(`${agent}: its next server registers with a key of its own`);
}

async function ownSettings(session: AgentStack, agent: string): Promise<OwnSettings> {
  const { stack } = session.target;
  const { stdout } = await session.engine(["config", "--show-secrets", "--json", "--stack", stack]);
  const settings: unknown = JSON.parse(stdout);
  const entry = (name: string): unknown => Object(settings)[`${configNamespace}:${name}`];
  const key: unknown = Object(entry("registrationKey"))["value"];
  const id: unknown = Object(Object(entry("proxmox"))["objectValue"])["vmId"];
  const zone: unknown = Object(Object(entry("lightsail"))["objectValue"])["zone"];
  return {
    keyId: typeof key === "string" ? keyId(Buffer.from(key, "hex")) : undefined,
    place: placeOf(agent, id, zone),
    zone: typeof zone === "string" ? zone : undefined,
  };
}

function placeOf(agent: string, vmId: unknown, zone: unknown): Place | undefined {
  if (typeof vmId === "number" || typeof vmId === "string") return { kind: "proxmox", id: String(vmId) };
  return typeof zone === "string" ? { kind: "lightsail", id: heavyAgentHostname(agent) } : undefined;
}
