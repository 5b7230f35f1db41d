import type { Fault } from "../../components/shared/faults.ts";
import { parseGenesisConfig } from "../../components/shared/genesisConfig.ts";
import { planGenesis } from "../../components/shared/genesisPlan.ts";
import type { GenesisSettings } from "../../components/shared/genesisSettings.ts";
import { SecretText } from "../../components/shared/secretText.ts";
import type { Session } from "../engine/session.ts";
import { decodeState } from "../repair/deployment.ts";
import { objectOf } from "../repair/objects.ts";
import { CommandFailure } from "../output/failure.ts";
import { progress } from "../output/terminal.ts";
import type { HostConnection, Target } from "../targets/target.ts";
import { declaredObjects } from "./declaredObjects.ts";
import { judgePreflight } from "./judge.ts";
import { observe } from "./observe.ts";

/** Every fault of the settings, or of the host measured against them. Changes nothing. */
export async function checkHost(target: Target, session: Session, host: HostConnection): Promise<readonly Fault[]> {
  if (target.stack !== "genesis") return [];
  const raw = await rawConfig(target, session);
  const parsed = parseGenesisConfig(raw);
  if (!parsed.ok) return parsed.faults;
  const plan = planGenesis(parsed.value);
  if (!plan.ok) return plan.faults;
  progress(`preflight: asking ${host.endpoint} and ${host.ssh.user}@${host.ssh.host} whether everything is there`);
  const { resources } = decodeState((await session.exportState()).deployment);
  const known = resources.flatMap(({ type, inputs }) => objectOf(type, inputs) ?? []);
  return judgePreflight(
    await observe(host, target, known),
    parsed.value,
    plan.value,
    declaredObjects(parsed.value, plan.value),
  );
}

/** The validated settings of stack genesis; `undefined` for other stacks. @throws CommandFailure with every fault */
export async function settingsOf(target: Target, session: Session): Promise<GenesisSettings | undefined> {
  if (target.stack !== "genesis") return undefined;
  const parsed = parseGenesisConfig(await rawConfig(target, session));
  if (!parsed.ok) throw new CommandFailure("the settings of stack genesis have faults", { faults: parsed.faults });
  return parsed.value;
}

/** The configuration by key without namespace; secrets are wrapped, so that no fault can show one. */
async function rawConfig(target: Target, session: Session): Promise<Record<string, unknown>> {
  const prefix = `${target.project}:`;
  const raw: Record<string, unknown> = {};
  const { stdout } = await session.engine(["config", "--json", "--show-secrets", "--stack", target.stack]);
  const config: unknown = JSON.parse(stdout);
  for (const [key, entry] of Object.entries(typeof config === "object" && config !== null ? config : {})) {
    if (!key.startsWith(prefix) || typeof entry !== "object" || entry === null) continue;
    const value: unknown = Reflect.get(entry, "value");
    raw[key.slice(prefix.length)] = Reflect.get(entry, "secret") === true ? new SecretText(String(value)) : value;
  }
  return raw;
}
