import type { Invocation } from "../args/parse.ts";
import { renderMachines } from "../output/machines.ts";
import { print, printJson } from "../output/terminal.ts";
import { bringUp } from "./bringUp.ts";
import { withContext } from "./context.ts";
import { confirmLoss } from "./loss.ts";
import { readyForChange } from "./ready.ts";

/** `hive up`: repair what a killed run left, check the host, ask before losses on a real one, bring the stack up. */
export async function up(invocation: Invocation): Promise<number> {
  return withContext(invocation, async (context) => {
    const session = await readyForChange(context, invocation);
    await confirmLoss(invocation, session);
    const document = await bringUp(context, session);
    if (invocation.json) await printJson(document);
    else if (document.machines.length > 0) await print(renderMachines(document.machines));
    return 0;
  });
}
