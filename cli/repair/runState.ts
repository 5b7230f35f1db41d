import { rmSync } from "node:fs";
import { join } from "node:path";
import { progress } from "../output/terminal.ts";
import { ProxmoxApi } from "../proxmox/api.ts";
import { labStateFolder, readIfThere, writeWhole } from "../targets/stateFolder.ts";
import type { HostConnection, Target } from "../targets/target.ts";
import type { HostObject } from "./objects.ts";
import { observeHost } from "./observe.ts";

/**
 * Run state belongs to nobody but the Keeper, so `up` starts no guest that exists. A destroy stops each guest before
 * it deletes it; cut off in between, it would leave guests stopped that nobody meant to stop. So a destroy first
 * writes down which guests run, and the next `up` starts those of them that are still there.
 */
const fileOf = (target: Target): string =>
  join(
    target.kind === "lab" ? labStateFolder().root : join(target.workDir, ".hive"),
    `destroy.${target.stack}.running.json`,
  );

function remembered(file: string): string[] {
  try {
    const content: unknown = JSON.parse(readIfThere(file) ?? "[]");
    return Array.isArray(content) ? content.filter((id): id is string => typeof id === "string") : [];
  } catch {
    return [];
  }
}

/** The guests of a stack that run, with those of an earlier destroy that was cut off. Pure. */
export function runningGuests(
  objects: readonly HostObject[],
  owner: { readonly project: string; readonly stack: string },
  earlier: readonly string[],
): string[] {
  const ids = objects
    .filter(({ kind, mark }) => kind === "guest" && mark?.project === owner.project && mark.stack === owner.stack)
    .filter(({ id, running }) => running === true || earlier.includes(id))
    .map(({ id }) => id);
  return [...new Set(ids)].sort();
}

/** Before a destroy: writes down which guests run. */
export async function rememberRunning(target: Target, host: HostConnection): Promise<void> {
  const file = fileOf(target);
  const ids = runningGuests(await observeHost(new ProxmoxApi(host)), target, remembered(file));
  writeWhole(file, `${JSON.stringify(ids)}\n`);
}

/** After a destroy that came to its end. */
export function forgetRunning(target: Target): void {
  rmSync(fileOf(target), { force: true });
}

/** After an `up`: starts what a destroy that was cut off had stopped. */
export async function resumeRunning(target: Target, host: HostConnection): Promise<void> {
  const file = fileOf(target);
  const ids = remembered(file);
  if (ids.length > 0) {
    const api = new ProxmoxApi(host);
    const objects = await observeHost(api);
    const ours = new Set(runningGuests(objects, target, ids));
    for (const { kind, id, guestType, running } of objects) {
      if (kind !== "guest" || running === true || !ids.includes(id) || !ours.has(id)) continue;
      progress(`repair: guest ${id} is started again: a destroy that was cut off had stopped it`);
      await api.change("POST", `/nodes/${api.node}/${guestType ?? "qemu"}/${id}/status/start`);
    }
  }
  rmSync(file, { force: true });
}
