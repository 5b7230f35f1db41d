import type { Cgroup } from "../../../runtime-agent/src/keeper/processes/cgroup/cgroup.ts";
import { startBurner } from "../../support/burner.ts";
import type { Burner } from "../../support/burner.ts";
import { openTestCgroups } from "../../support/cgroup.ts";

/** A busy process tree in a cgroup of its own, beside as much other work as is asked for. */
export interface Stage {
  /** The cgroup that holds the whole tree. */
  readonly group: Cgroup;
  /** The cgroup v2 mount. */
  readonly mount: string;
  readonly burner: Burner;
  close(): Promise<void>;
}

export interface StageOptions {
  /** Busy processes in the tree. */
  readonly processes: number;
  /** Busy processes outside it, which are never held: the machine's other load. @default 0 */
  readonly background?: number | undefined;
}

/** @throws Error when this machine has no cgroup v2 to make groups in */
export async function openStage({ processes, background = 0 }: StageOptions): Promise<Stage> {
  const groups = openTestCgroups();
  if ("missing" in groups) throw new Error(groups.missing);
  const started: Burner[] = [];
  const close = async (): Promise<void> => {
    for (const burner of started) await burner.end();
    await groups.remove();
  };
  try {
    const group = groups.group("batch");
    const burner = await startBurner(processes, { cgroup: group.folder });
    started.push(burner);
    if (background > 0) started.push(await startBurner(background));
    return { group, mount: groups.mount, burner, close };
  } catch (error) {
    await close();
    throw error;
  }
}
