import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { fault, faultInWords } from "../../components/shared/check.ts";
import type { Checked, Fault } from "../../components/shared/faults.ts";
import { entryPointOf, packSources } from "../../components/shared/vps/pack.ts";
import { readSources } from "../../components/vps/readSources.ts";
import { projectRoot } from "../setup/paths.ts";

/** An agent's own folder, which can be packed as it is. */
export interface AgentSources {
  readonly folder: string;
  readonly files: number;
}

/** Where an agent's sources are looked for unless they are named: beside whoever asks, then among the samples. */
export function usualFolders(name: string, workDir: string = process.cwd()): readonly string[] {
  return [join(workDir, "agents", name), join(projectRoot, "samples", name)];
}

/** Finds an agent's folder and packs it to see whether that can be done; every fault with its fix. */
export async function checkSources(word: string | undefined, name: string): Promise<Checked<AgentSources>> {
  const candidates = word === undefined ? usualFolders(name) : [resolve(word)];
  const folder = candidates.find((each) => existsSync(each));
  if (folder === undefined) {
    const fix = "Name the agent's own folder; its file `run` starts the agent.";
    const limit = word === undefined ? `a folder; looked for ${candidates.join(" and ")}` : "a folder that exists";
    return { ok: false, faults: [fault("--sources", word, limit, fix)] };
  }
  try {
    const packed = packSources(await readSources(folder), entryPointOf(name, undefined));
    if (packed.ok) return { ok: true, value: { folder, files: packed.value.files } };
    return { ok: false, faults: shortened(packed.faults, folder) };
  } catch (error) {
    const why = error instanceof Error && "code" in error ? String(error.code) : "unreadable";
    const fix = "Correct the path, or who may read it.";
    return { ok: false, faults: [faultInWords("--sources", `${folder} (${why})`, "a folder that can be read", fix)] };
  }
}

/** A folder that is another one has thousands of faults: these tell as much. */
const mostFaults = 8;

function shortened(faults: readonly Fault[], folder: string): Fault[] {
  // What starts the agent comes last, and says most.
  const shown = faults.toReversed().slice(0, mostFaults);
  const named = shown.map((each) => ({ ...each, property: each.property.replace(/^sources/, "--sources") }));
  const more = faults.length - shown.length;
  if (more === 0) return named;
  const fix = `Is ${folder} the agent's own folder?`;
  return [...named, faultInWords("--sources", `${String(more)} more faults`, "no fault", fix)];
}
