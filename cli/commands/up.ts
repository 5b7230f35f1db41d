import type { Invocation } from "../args/parse.ts";
import { renderMachines } from "../output/machines.ts";
import { print, printJson } from "../output/terminal.ts";
import { bringUp } from "./bringUp.ts";
import { agentOfStack } from "../args/stacks.ts";
import { stackOf, withContext } from "./context.ts";
import { confirmLoss } from "./loss.ts";
import { readyForChange, readyToRegister } from "./ready.ts";

/** `hive up`: repair what a killed run left, check the host, ask before losses on a real one, bring the stack up. */
export async function up(invocation: Invocation): Promise<number> {
  const stack = stackOf(invocation);
  if (stack === "sentinel" && invocation.target === "lab") return upBesideLab(invocation);
  return withContext(invocation, async (context) => {
    const session = await readyForChange(context, invocation);
    const plan = await confirmLoss(invocation, session);
    const agent = agentOfStack(stack);
    if (agent !== undefined) await readyToRegister(context, session, agent, plan);
    const document = await bringUp(context, session);
    if (invocation.json) await printJson(document);
    else if (document.machines.length > 0) await print(renderMachines(document.machines));
    return 0;
  });
}

/** The lab's Sentinel is a process beside the lab: it stays as long as the lab does. */
async function upBesideLab(invocation: Invocation): Promise<number> {
  const [{ reachLab }, { useLab }, { labStateFolder }] = await Promise.all([
    import("../sentinel/reach.ts"),
    import("../targets/runningLab.ts"),
    import("../targets/stateFolder.ts"),
  ]);
  const lab = await useLab(labStateFolder(), "hive up sentinel starts the Sentinel beside it");
  try {
    const { sentinel, listen, close } = await reachLab(lab.info);
    try {
      const agents = (await sentinel.agents()).length;
      if (invocation.json) await printJson({ stack: "sentinel", result: "succeeded", listen, agents });
      else
        await print(`the lab's Sentinel runs; runners find it at ${listen?.host ?? ""}:${String(listen?.port ?? "")}`);
      return 0;
    } finally {
      close();
    }
  } finally {
    await lab.release();
  }
}
