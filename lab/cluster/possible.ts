// Whether this machine can run a control plane: asked before anything of it is loaded.
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** Why no control plane can run on this machine; undefined when it can. */
export function clusterImpossible(): string | undefined {
  if (process.platform !== "linux") return "the control plane ends with its owner by a signal that only Linux sends";
  if (onPath("setpriv") === undefined) return "the program setpriv (package util-linux) is missing";
  return undefined;
}

function onPath(name: string): string | undefined {
  const files = (process.env["PATH"] ?? "").split(delimiter).map((folder) => join(folder, name));
  return files.find((file) => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
