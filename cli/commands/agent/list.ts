import { formatDuration } from "../../agents/duration.ts";
import type { Invocation } from "../../args/parse.ts";
import { renderTable } from "../../output/table.ts";
import { print, printJson, progress } from "../../output/terminal.ts";
import type { AgentSeen } from "../../sentinel/answers.ts";
import type { HeldServer } from "../../sentinel/client.ts";
import { withSentinel } from "../../sentinel/reach.ts";

/** `hive agent list`: the agents that the Sentinel knows. */
export async function list(invocation: Invocation): Promise<number> {
  return withSentinel(invocation, async (sentinel) => {
    const [agents, { stranded, held }] = await Promise.all([sentinel.agents(), sentinel.reaper()]);
    if (invocation.json)
      await printJson({ agents: agents.map((agent) => ({ ...agent, standing: standingOf(agent, stranded) })), held });
    else if (agents.length === 0) progress("no agents: hive agent new NAME --kind KIND orders one");
    else await print(renderAgents(agents, Date.now(), stranded));
    for (const server of held) progress(`warning: ${heldWords(server)}`);
    return 0;
  });
}

/** A server that the registry does not know, with what to do. Pure. */
export function heldWords({ provider, id, agent }: HeldServer): string {
  return (
    `server ${id} at ${provider} is this Hive's, of ${agent}, and the Sentinel does not know it: ` +
    "only the end in its tags deletes it. After a restore: docs/antigravity.md"
  );
}

/**
 * How an agent stands, in a word or a few. Pure.
 * @param stranded agents whose servers the reaper cannot delete
 */
export function standingOf(agent: AgentSeen, stranded: readonly string[] = []): string {
  if (stranded.includes(agent.name)) return "to be deleted, and the reaper cannot: hive agent destroy";
  if (agent.handedOver !== undefined) return `to be deleted: ${agent.handedOver.why}`;
  if (agent.registered === undefined) return "not registered yet";
  if (!agent.alive) return "not heard";
  const said = agent.heard?.heartbeat;
  if (said === undefined) return "registered";
  if (said.crashLoop) return "stopped: it crashed in a loop";
  if (said.running !== null) return said.queued > 0 ? `running, ${String(said.queued)} wait` : "running";
  return said.ready ? "ready" : "not ready";
}

/** The agents as a table. Pure. */
export function renderAgents(agents: readonly AgentSeen[], nowMs: number, stranded: readonly string[] = []): string {
  return renderTable(
    ["NAME", "KIND", "SIZE", "MODE", "STATE", "TIME LEFT", "PROPOSAL"],
    agents.map((agent) => [
      agent.name,
      agent.kind,
      agent.size,
      agent.idempotent ? `${agent.mode}, idempotent` : agent.mode,
      standingOf(agent, stranded),
      agent.expiresMs > nowMs ? formatDuration((agent.expiresMs - nowMs) / 1000) : "over",
      agent.proposal === undefined
        ? "-"
        : `${agent.proposal.from} to ${agent.proposal.to}: ${String(agent.proposal.kills)} OOM kills in 7 days`,
    ]),
  );
}
