import { configNamespace } from "../../../components/shared/genesisConfig.ts";
import { fault } from "../../../components/shared/check.ts";
import { checkSize, describeSize, type VpsSize } from "../../../components/shared/vps/sizing.ts";
import { changeAgent, hasSettings, noSettings } from "../../agents/store.ts";
import { stackOfAgent } from "../../args/stacks.ts";
import type { Invocation } from "../../args/parse.ts";
import { CommandFailure } from "../../output/failure.ts";
import { ask, print, printJson, progress } from "../../output/terminal.ts";
import type { AgentSeen } from "../../sentinel/answers.ts";
import { reachSentinel } from "../../sentinel/reach.ts";
import { bringUp } from "../bringUp.ts";
import { withContext } from "../context.ts";
import { readyForChange } from "../ready.ts";

/**
 * `hive agent resize`: the server gets another size (a guest in place, an instance at Lightsail anew) and a key of its own;
 * what it may have begun is interrupted, or begins again where the agent is idempotent. Cut off, the same command goes on.
 */
export async function resize(invocation: Invocation): Promise<number> {
  const [name = ""] = invocation.positionals;
  const { target, dryRun, json } = invocation;
  const stack = stackOfAgent(name);
  if (!hasSettings(target, name)) throw noSettings(target, name);
  return withContext(
    invocation,
    async (context) => {
      const { sentinel, close } = await reachSentinel(context);
      try {
        const agent = await sentinel.agent(name);
        if (agent === undefined) throw new CommandFailure(`the Sentinel knows no agent ${name}: hive agent list`);
        const size = sizeToBe(agent, invocation.values["size"]);
        const what = `${name}: ${agent.size} to ${size} (${describeSize(size)})`;
        if (dryRun) {
          if (json) await printJson({ agent: name, result: "planned", from: agent.size, to: size });
          else await print(what);
          return 0;
        }
        await confirm(invocation, name, what);
        const { key } = await sentinel.mint(name);
        changeAgent(target, name, { size });
        const session = await context.open();
        await session.engine(
          ["config", "set", `${configNamespace}:registrationKey`, "--secret", "--stack", stack],
          key,
        );
        const document = await bringUp(context, await readyForChange(context, invocation, session));
        await sentinel.resize(name, size);
        if (json) await printJson({ ...document, agent: name, from: agent.size, to: size });
        else progress(`${what}: done`);
        return 0;
      } finally {
        close();
      }
    },
    { stack },
  );
}

/** The size that was named, else the Sentinel's proposal. Pure. @throws CommandFailure */
export function sizeToBe(
  agent: Pick<AgentSeen, "name" | "kind" | "size" | "proposal">,
  named: string | undefined,
): VpsSize {
  const { kind, proposal, size } = agent;
  if (named === undefined && proposal === undefined)
    throw new CommandFailure(
      `the Sentinel proposes no other size for ${agent.name}, which has ${size}: name one with --size`,
      { exitCode: 2 },
    );
  const checked = checkSize("--size", kind, named ?? proposal?.to ?? size);
  const faults = checked.ok ? [] : [...checked.faults];
  if (checked.ok && checked.value === size && proposal === undefined)
    faults.push(fault("--size", named, `another size than ${size}, which it has`, "Leave it as it is."));
  if (!checked.ok || faults.length > 0) throw new CommandFailure("nothing was changed", { faults, exitCode: 2 });
  return checked.value;
}

async function confirm({ yes }: Invocation, name: string, what: string): Promise<void> {
  if (yes) return;
  const answer = await ask(
    `${what}. Its server is changed, or made anew, and a run may be interrupted. Type the agent's name: `,
  );
  if (answer === undefined) throw new CommandFailure("there is no terminal to confirm on: add --yes", { exitCode: 2 });
  if (answer !== name) throw new CommandFailure("not confirmed; nothing was changed");
}
