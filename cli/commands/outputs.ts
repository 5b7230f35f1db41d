import type { Invocation } from "../args/parse.ts";
import { machinesOf, renderMachines } from "../output/machines.ts";
import { print, printJson, progress } from "../output/terminal.ts";
import { plainOutputs } from "./bringUp.ts";
import { withContext } from "./context.ts";

/** `hive outputs`: what a stack exports; secrets are masked. */
export async function outputs(invocation: Invocation): Promise<number> {
  return withContext(
    invocation,
    async (context) => {
      const session = await context.open();
      const found = plainOutputs(await session.outputs());
      const machines = machinesOf(found);
      if (!invocation.json && Object.keys(found).length === 0)
        progress(`${context.target.stack} exports nothing yet: hive up brings it up first`);
      else if (invocation.json || machines.length === 0) await printJson(found);
      else await print(renderMachines(machines));
      return 0;
    },
    { withPolicies: false },
  );
}
