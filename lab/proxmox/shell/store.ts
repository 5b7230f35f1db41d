/** The state on disk: one file, replaced as a whole. What was answered is on disk. */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import type { LabState } from "../core/state.ts";
import { STATE_VERSION } from "../core/state.ts";

export function writeFileAtomic(path: string, text: string, mode = 0o600): void {
  const temporary = `${path}.${process.pid}.tmp`;
  const file = openSync(temporary, "w", mode);
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
  const directory = openSync(dirname(path), "r");
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

export interface Store {
  load(): LabState | undefined;
  save(state: LabState): void;
}

export function openStore(stateDir: string): Store {
  const path = join(stateDir, "state.json");
  return {
    load() {
      let text: string;
      try {
        text = readFileSync(path, "utf8");
      } catch (error) {
        if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
        throw error;
      }
      const state: LabState = JSON.parse(text);
      if (state.version !== STATE_VERSION) {
        throw new Error(
          `${path} has version ${state.version}, this lab reads ${STATE_VERSION}: delete the folder to start anew`,
        );
      }
      return state;
    },
    save: (state) => writeFileAtomic(path, JSON.stringify(state)),
  };
}
