import * as z from "zod";
import { openJournal } from "../../runtime-agent/src/shared/journal/index.ts";

const decision = z.object({
  number: z.number(),
  time: z.string(),
  what: z.string(),
  service: z.string().exactOptional(),
  lease: z.string().exactOptional(),
  token: z.number().exactOptional(),
  reason: z.string(),
});
const entrySchema = z.object({ decisions: z.array(decision) });

/** Every decision that the journal in this folder holds, in the order in which they were written. */
export async function readDecisions(folder: string): Promise<z.infer<typeof decision>[]> {
  const journal = await openJournal(folder);
  try {
    const found: z.infer<typeof decision>[] = [];
    for await (const entry of journal.entries()) {
      if (entry.kind === "corrupt")
        throw new Error(`${entry.at.segment} line ${String(entry.at.line)}: ${entry.at.reason}`);
      found.push(...entrySchema.parse(entry.value).decisions);
    }
    return found;
  } finally {
    await journal.close();
  }
}
