import { configNamespace } from "../../../components/shared/genesisConfig.ts";
import type { Fault } from "../../../components/shared/faults.ts";
import { SecretText } from "../../../components/shared/secretText.ts";
import type { Budget } from "../../../components/shared/vps/budget.ts";
import { heavyAgentHostname } from "../../../components/shared/vps/heavyAgentPlan.ts";
import { parseAgentStackConfig } from "../../../components/shared/vps/stackSettings.ts";
import { budgetFor } from "../../agents/budget.ts";
import { gatherOnHost, gatherOnLab, type Gathered } from "../../agents/gather.ts";
import { offersIn, serverIdOf } from "../../agents/ground.ts";
import { type AgentOrder, type OrderGround, type OrderWords, readOrder } from "../../agents/order.ts";
import { type AgentSources, checkSources } from "../../agents/sources.ts";
import { agentStackConfig, registrationSetting } from "../../agents/stackConfig.ts";
import { hasSettings, writeAgentSettings } from "../../agents/store.ts";
import { usualZone, zoneFaults } from "../../agents/zone.ts";
import { stackOfAgent } from "../../args/stacks.ts";
import type { Invocation } from "../../args/parse.ts";
import { CommandFailure } from "../../output/failure.ts";
import { print, printJson, progress } from "../../output/terminal.ts";
import type { Sentinel } from "../../sentinel/client.ts";
import { type ReachedSentinel, reachSentinel } from "../../sentinel/reach.ts";
import { type Context, withContext } from "../context.ts";

const stands = "nothing was ordered, nothing was made";

/** `hive agent new`: checks an agent, shows its price, registers it, and writes its stack's settings. */
export async function newAgent(invocation: Invocation): Promise<number> {
  const { target, dryRun } = invocation;
  const words = wordsOf(invocation);
  const zone = invocation.values["zone"] ?? usualZone;
  const ground = { offers: offersIn(zone), nowMs: Date.now() };
  const first = await firstLook(words, invocation, ground);
  return withContext(
    invocation,
    async (context) => {
      const reached = await reachSentinel(context);
      try {
        const { order, gathered, budget } = await secondLook(
          context,
          reached,
          words,
          { ...ground, zone, dryRun },
          first.order,
        );
        progress(order.price);
        if (!dryRun) await makeKnown(context, reached.sentinel, order, first.sources, gathered, budget);
        await tell(invocation, order, first.sources);
        return 0;
      } finally {
        reached.close();
      }
    },
    { stack: target === "lab" ? "genesis" : "sentinel", withPolicies: false },
  );
}

function wordsOf({ positionals, values, flags }: Invocation): OrderWords {
  const [name = ""] = positionals;
  const { kind, size, ttl, mode, provider, transport } = values;
  return { name, kind, size, ttl, mode, provider, transport, idempotent: flags.includes("idempotent") };
}

/** What the command line says, understood; whatever it costs. */
interface FirstLook {
  readonly order: AgentOrder;
  readonly sources: AgentSources;
}

type Ground = Omit<OrderGround, "budget" | "estate">;

/** Stands for the Hive's name as long as the Sentinel was not asked for it. */
const standInEstate = "hive";

/** The Sentinel has no name for its servers' tags: its reaper would touch none of them. */
const nameless: Fault = {
  property: "hive:estate",
  limit: "the name of this Hive, which the Sentinel tells",
  fix: "Write it into Pulumi.sentinel.yaml (docs/antigravity.md), and run hive up sentinel.",
};

/** Everything that the words alone, the sources and the files here tell; nobody is asked. @throws CommandFailure */
async function firstLook(words: OrderWords, { target, values }: Invocation, ground: Ground): Promise<FirstLook> {
  const order = readOrder(words, {
    ...ground,
    estate: standInEstate,
    budget: { centsPerMonth: 10_000_000 },
  });
  const sources = await checkSources(values["sources"], words.name);
  const faults = [...(order.ok ? [] : order.faults), ...(sources.ok ? [] : sources.faults)];
  if (order.ok && hasSettings(target, words.name)) faults.push(taken(words.name, "its settings are here"));
  if (faults.length > 0 || !order.ok || !sources.ok) throw new CommandFailure(stands, { faults, exitCode: 2 });
  return { order: order.value, sources: sources.value };
}

function taken(name: string, why: string): Fault {
  const fix = `Choose another, or let that one go: hive agent destroy ${name}`;
  return { property: "NAME", value: `"${name}" (${why})`, limit: "a name that no agent has", fix };
}

/** What the Sentinel, the host and the budget say to it. @throws CommandFailure with every fault */
async function secondLook(
  context: Context,
  reached: ReachedSentinel,
  words: OrderWords,
  ground: Ground & { readonly zone: string; readonly dryRun: boolean },
  asked: AgentOrder,
): Promise<{ readonly order: AgentOrder; readonly gathered: Gathered; readonly budget: Budget }> {
  const faults: Fault[] = [];
  const [agents, reaper] = await Promise.all([reached.sentinel.agents(), reached.sentinel.reaper()]);
  const { estate, providers, region } = reaper;
  const known = agents.find(({ name }) => name === asked.name);
  if (known?.handedOver !== undefined) faults.push(taken(asked.name, "its server is to be deleted"));
  else if (known?.registered !== undefined) faults.push(taken(asked.name, "its server is registered"));
  const found =
    context.lab === undefined
      ? await gatherOnHost(context, asked, ground.zone)
      : await gatherOnLab(context, asked, reached, ground);
  const budget = budgetFor(context.lab === undefined ? "real" : "lab", asked.name, agents);
  const order = readOrder(words, { ...ground, budget, estate: estate ?? standInEstate });
  if (estate === undefined) faults.push(nameless);
  else if (!providers.includes(asked.provider))
    progress(
      `warning: the Sentinel's reaper has no credentials for ${asked.provider}: nobody but hive agent destroy deletes this server at its end (docs/watch.md)`,
    );
  if (asked.provider === "lightsail") faults.push(...zoneFaults("--zone", ground.zone, region));
  faults.push(...(found.ok ? [] : found.faults), ...(order.ok ? [] : order.faults));
  if (faults.length > 0 || !order.ok || !found.ok) throw new CommandFailure(stands, { faults });
  return { order: order.value, gathered: found.value, budget };
}

/**
 * Registers the agent and writes its stack's settings; the plain ones last, for they say that the rest is there. Cut
 * off in between, the same command goes on: the Sentinel gives the same key as long as no server used it.
 */
async function makeKnown(
  context: Context,
  sentinel: Sentinel,
  order: AgentOrder,
  { folder }: AgentSources,
  { ground, secrets }: Gathered,
  budget: Budget,
): Promise<void> {
  const { name, kind, size, mode, idempotent, ttlSec, provider } = order;
  const sshKey = order.transport === "ssh" ? await sentinel.sshKey() : undefined;
  const sentinelOfIt = { ...ground.sentinel, sshKey };
  const config = agentStackConfig(configNamespace, order, folder, { ...ground, sentinel: sentinelOfIt }, budget);
  const { default: ssh2 } = await import("ssh2");
  // Named for its stack: policy server-key-own refuses it in every other one.
  const { private: sshPrivateKey } = ssh2.utils.generateKeyPairSync("ed25519", { comment: stackOfAgent(name) });
  refuseFaults(config, { ...secrets, sshPrivateKey });
  const id = serverIdOf(order, ground.place, heavyAgentHostname(name));
  const minted = await sentinel.register({
    ...{ name, kind, size, mode, idempotent, ttlSec },
    provider: { kind: provider, id },
  });
  progress(
    `${name}: registered at the Sentinel; its server must be up by ${new Date(minted.registerBeforeMs).toISOString()}`,
  );
  if (context.lab === undefined) writeAgentSettings("real", name, {});
  const session = await context.openOther(stackOfAgent(name), true);
  const all = { ...secrets, sshPrivateKey, registrationKey: minted.key };
  for (const [key, value] of Object.entries(all))
    await session.engine(
      ["config", "set", `${configNamespace}:${key}`, "--secret", "--stack", session.target.stack],
      value,
    );
  writeAgentSettings(session.target.kind, name, {
    ...config,
    ...registrationSetting(configNamespace, minted.id),
  });
}

/** Everything that the stack's program would refuse, before the Sentinel is told. @throws CommandFailure */
function refuseFaults(config: Readonly<Record<string, unknown>>, secrets: Readonly<Record<string, string>>): void {
  const plain = Object.entries(config).map(([key, value]) => [key.slice(configNamespace.length + 1), value] as const);
  const known = { registrationKey: "0".repeat(64), apiToken: standInToken, ...secrets };
  const wrapped = Object.entries(known).map(([key, value]) => [key, new SecretText(value)] as const);
  const parsed = parseAgentStackConfig(Object.fromEntries<unknown>([...plain, ...wrapped]));
  if (!parsed.ok) throw new CommandFailure(stands, { faults: parsed.faults });
}

/** Of the right form, of no use to anybody: the lab's own is put in when the stack is opened. */
const standInToken = "user@pve!token=00000000-0000-0000-0000-000000000000";

async function tell({ json, dryRun }: Invocation, order: AgentOrder, sources: AgentSources): Promise<void> {
  const { name, kind, size, mode, idempotent, provider, ttlSec, created, offer, price } = order;
  const stack = stackOfAgent(name);
  const next = `hive up ${stack}`;
  if (json) {
    await printJson({
      ...{ agent: name, stack, result: dryRun ? "planned" : "succeeded", kind, size, mode, idempotent, provider },
      ...{ created, ttlSec, sources: sources.folder, files: sources.files },
      price: { centsPerMonth: offer.centsPerMonth, centsPerHour: offer.centsPerHour, text: price },
      ...(dryRun ? {} : { next }),
    });
    return;
  }
  await print(
    `${dryRun ? "would order" : "ordered"} ${name}: ${kind} on ${size}, ${String(sources.files)} files of ${sources.folder}`,
  );
  if (!dryRun) progress(`next: ${next}`);
}
