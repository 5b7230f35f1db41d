/** The key by which the Sentinel logs in on an agent's server: it has another one when it lost its state, or was given one. */
import { progress } from "../output/terminal.ts";
import type { Sentinel } from "../sentinel/client.ts";
import { agentSettings, writeAgentSettings } from "./store.ts";

/** Writes the Sentinel's key into the settings of an agent with transport ssh, where it is not the one in there. */
export async function fitSshKey(
  sentinel: Pick<Sentinel, "sshKey">,
  kind: "lab" | "real",
  agent: string,
): Promise<void> {
  const { project, config } = agentSettings(kind, agent);
  if (Object(config[`${project}:agent`]).transport !== "ssh") return;
  const key = `${project}:sentinel`;
  const before: object = Object(config[key]);
  const sshKey = await sentinel.sshKey();
  if (Reflect.get(before, "sshKey") === sshKey) return;
  writeAgentSettings(kind, agent, { [key]: { ...before, sshKey } });
  progress(`${agent}: the Sentinel has another SSH key by now; its server is told`);
}
