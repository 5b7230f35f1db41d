import { fault } from "../../../components/shared/check.ts";
import { checkSize, describeSize, type VpsSize } from "../../../components/shared/vps/sizing.ts";
import { renewBudget } from "../../agents/budget.ts";
import { usable } from "../../agents/registrationKey.ts";
import { changeAgent, hasSettings, noSettings, sizeIn } from "../../agents/store.ts";
import { stackOfAgent } from "../../args/stacks.ts";
import type { Invocation } from "../../args/parse.ts";
import { CommandFailure } from "../../output/failure.ts";
import { ask, print, printJson, progress } from "../../output/terminal.ts";
import type { AgentSeen } from "../../sentinel/answers.ts";
import { reachSentinel } from "../../sentinel/reach.ts";
import { bringUp } from "../bringUp.ts";
import { withContext } from "../context.ts";
import { previewed } from "../loss.ts";
import { readyForChange, readyToRegister } from "../ready.ts";

/**
 * `hive agent resize`: the server gets another size, a guest in place, an instance at Lightsail anew and with a key of its
 * own. What was begun on a server that is made anew is interrupted, or begins again where the agent is idempotent. Refused,
 * nothing is changed; cut off, the same command goes on.
 */
export async function resize(invocation: Invocation): Promise<number> {
  const [name = ""] = invocation.positionals;
  const { target, dryRun, json } = invocation;
  if (!hasSettings(target, name)) throw noSettings(target, name);
  return withContext(
    invocation,
    async (context) => {
      const { sentinel, close } = await reachSentinel(context);
      try {
        const agent = await sentinel.agent(name);
        if (agent === undefined) throw new CommandFailure(`the Sentinel knows no agent ${name}: hive agent list`);
        usable(name, await sentinel.registration(name));
        const size = sizeToBe(agent, invocation.values["size"]);
        const what = `${name}: ${agent.size} to ${size} (${describeSize(size)})`;
        if (dryRun) {
          if (json) await printJson({ agent: name, result: "planned", from: agent.size, to: size });
          else await print(what);
          return 0;
        }
        await confirm(invocation, name, what);
        const session = await withSize(target, name, size, async () => {
          const opened = await readyForChange(context, invocation, await context.open());
          await readyToRegister(context, opened, name, await previewed(opened));
          return opened;
        });
        const document = await bringUp(context, session);
        await sentinel.resize(name, size);
        if (json) await printJson({ ...document, agent: name, from: agent.size, to: size });
        else progress(`${what}: done`);
        return 0;
      } finally {
        close();
      }
    },
    { stack: stackOfAgent(name) },
  );
}

/**
 * Writes the size into the settings, and asks everything that may refuse the move before it is begun; what refuses it takes
 * the size back.
 */
export async function withSize<T>(
  target: Invocation["target"],
  name: string,
  size: VpsSize,
  asked: () => Promise<T>,
): Promise<T> {
  const before = sizeIn(target, name);
  renewBudget(target, name);
  changeAgent(target, name, { size });
  try {
    return await asked();
  } catch (error) {
    changeAgent(target, name, { size: before });
    throw error;
  }
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
