// A batch of real busy processes in a cgroup, a human's service beside it, and an arbiter between them.
import { skip } from "../run/skip.ts";
import { burnerMissing, startBurner } from "./burner.ts";
import type { Burner } from "./burner.ts";
import { buildAgent } from "./arbiterDaemon.ts";
import type { AgentProgram, ArbiterSite } from "./arbiterDaemon.ts";
import { openTestCgroups } from "./cgroup.ts";
import type { TestCgroups } from "./cgroup.ts";

/** A Saturday night in Paris: the market is closed and The Muse may run. */
export const night = "2026-11-21T23:30:00+01:00,1";

export interface Scene {
  readonly groups: TestCgroups;
  readonly burner: Burner;
  /** Whether the kernel says that the batch is frozen, now. */
  frozen(): boolean;
  close(): Promise<void>;
}

/** The agent's program for tests with a scene; skips them where this machine can have none. */
export async function programOrSkip(context: Mocha.Context): Promise<AgentProgram> {
  const missing = burnerMissing();
  if (missing !== undefined) skip(context, missing);
  const groups = openTestCgroups();
  if ("missing" in groups) skip(context, groups.missing);
  await groups.remove();
  return buildAgent();
}

/** Starts the batch's processes. Throws the reason where no cgroup v2 can be used. */
export async function openScene(processes = 3, rounds?: number): Promise<Scene> {
  const groups = openTestCgroups();
  if ("missing" in groups) throw new Error(groups.missing);
  try {
    groups.group("eva");
    const muse = groups.group("muse");
    const burner = await startBurner(processes, { cgroup: muse.folder, ...(rounds === undefined ? {} : { rounds }) });
    return {
      groups,
      burner,
      frozen: () => muse.readEvents()?.frozen === true,
      close: async () => {
        await burner.end();
        await groups.remove();
      },
    };
  } catch (error) {
    await groups.remove();
    throw error;
  }
}

export interface SceneSettings {
  readonly library?: string;
  readonly evaLeaseSec?: number;
  readonly evaTokenFile?: string;
  readonly arbiter?: object;
  readonly root?: object;
}

/** The configuration of the scene: EVA of rank 2 asks for leases, The Muse of rank 4 runs at night whatever the load. */
export async function configureScene(site: ArbiterSite, scene: Scene, settings: SceneSettings = {}): Promise<void> {
  const { library = "libnone.so.1", evaLeaseSec = 30, evaTokenFile, arbiter = {}, root = {} } = settings;
  const eva = {
    ...{ name: "eva", rank: 2, kind: "interactive", vram: "8 GB", leaseSec: evaLeaseSec },
    ...{ cgroup: `/${scene.groups.path}/eva`, rungs: ["freeze", "term"] },
    ...(evaTokenFile === undefined ? {} : { tokenFile: evaTokenFile }),
  };
  const muse = {
    ...{ name: "muse", rank: 4, kind: "batch", vram: "8 GB" },
    ...{ cgroup: `/${scene.groups.path}/muse`, rungs: ["freeze", "term"] },
  };
  await site.configure(
    {
      services: [eva, muse],
      gpu: { library, sampleSec: 0.1, deadlineMs: 500 },
      muse: { loadBelow: 1000, loadAbove: 1024, holdSec: 0 },
      ...arbiter,
    },
    root,
  );
}
