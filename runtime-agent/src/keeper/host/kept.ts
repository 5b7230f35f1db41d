/** What the journal keeps of the host side, read back with the same suspicion as anything from outside. */
import { z } from "zod";
import type { Journal } from "../../shared/journal/index.ts";
import type { HostState } from "./core/decide.ts";
import { emptyHostState } from "./core/decide.ts";

const vmid = z.number().int().min(100);
const plan = z.object({
  id: z.string(),
  fromVmid: vmid,
  toVmid: vmid,
  slot: z.string().regex(/^hostpci\d+$/),
  device: z.string().min(1),
  fromWasRunning: z.boolean(),
  toWasRunning: z.boolean(),
  step: z.enum([
    "ask",
    "stop-from",
    "stop-to",
    "detach",
    "attach",
    "start-to",
    "verify",
    "undo-stop",
    "undo-detach",
    "undo-attach",
    "undo-start",
    "done",
    "undone",
  ]),
  enteredMs: z.number(),
  attempt: z.number().int(),
  token: z.number().int().exactOptional(),
  untouched: z.literal(true).exactOptional(),
  why: z.string().exactOptional(),
});
const kept = z.object({
  sequence: z.number().int().positive(),
  wishes: z.record(z.string().regex(/^\d+$/), z.enum(["running", "stopped", "paused"])),
  stoppedByUs: z.array(vmid),
  pausedByUs: z.array(vmid),
  handoff: plan.exactOptional(),
  // Journals of versions before it do not have it.
  abandoned: z.array(z.object({ id: z.string(), sinceMs: z.number() })).default([]),
});

export interface Recovered {
  readonly kept: HostState["kept"];
  /** Lines of the journal that could not be believed. */
  readonly corrupt: number;
}

/** The newest state in the journal; the empty one when there is none. */
export async function readKept(journal: Pick<Journal, "entries">): Promise<Recovered> {
  let found: HostState["kept"] = emptyHostState.kept;
  let corrupt = 0;
  for await (const entry of journal.entries()) {
    if (entry.kind === "corrupt") corrupt += 1;
    else if (entry.value.kind === "kept") {
      const parsed = kept.safeParse(entry.value.kept);
      if (parsed.success) found = parsed.data;
      else corrupt += 1;
    }
  }
  return { kept: found, corrupt };
}
