import type { Invocation } from "../args/parse.ts";
import { print, printJson } from "../output/terminal.ts";
import { collectReview, renderReview, reviewPasses } from "../review/index.ts";
import { withContext } from "./context.ts";

/** `hive review`: the preview with policies as Markdown; exit 1 on a mandatory violation or a failed preview. */
export async function review(invocation: Invocation): Promise<number> {
  return withContext(invocation, async (context) => {
    const session = await context.open();
    const outcome = await session.run("preview");
    const input = collectReview(context.target.stack, outcome.events);
    if (invocation.json) await printJson(input);
    else await print(renderReview(input));
    return reviewPasses(input) && outcome.succeeded ? 0 : 1;
  });
}
