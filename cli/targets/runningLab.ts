import type { LabInfo } from "../../lab/index.ts";
import { progress } from "../output/terminal.ts";
import { type StateFolder, prepareStateFolder } from "./stateFolder.ts";

/** A lab to work on, and what to do with it afterwards. */
export interface UsedLab {
  readonly info: LabInfo;
  /** Stops the lab if it was started for this command alone. */
  readonly release: () => Promise<void>;
}

/** The lab that runs already, or one started now. */
export async function useLab(folder: StateFolder, why: string): Promise<UsedLab> {
  prepareStateFolder(folder);
  const { findLab, startLabProcess, stopLabProcess } = await import("../../lab/index.ts");
  const found = await findLab(folder.lab);
  if (found !== undefined) return { info: found, release: async () => undefined };
  progress(`lab: starting it, because ${why}; its state is in ${folder.lab}`);
  const info = await startLabProcess(folder.lab);
  progress(`lab: its Proxmox API answers at ${info.apiUrl}`);
  return {
    info,
    release: async () => {
      await stopLabProcess(info);
      progress("lab: stopped, its state is kept");
    },
  };
}
