import { shellWord } from "../../components/shared/shell.ts";
import { undoFile, undoFolder, type UndoOwner, undoOwner } from "../../components/shared/undo.ts";
import { CommandFailure } from "../output/failure.ts";
import { progress } from "../output/terminal.ts";
import { sshRun } from "../proxmox/ssh.ts";
import type { HostConnection } from "../targets/target.ts";
import type { State } from "./deployment.ts";

interface Known {
  readonly project: string;
  readonly stack: string;
  readonly state: State;
}

/** Steps whose undoing lies on the host, though the state does not hold them: a run was cut off while it made them. Pure. */
export function stepsToUndo(fileNames: readonly string[], known: Known): UndoOwner[] {
  const steps = new Set(
    known.state.resources
      .filter(({ type }) => type === "command:remote:Command")
      .map(({ urn }) => urn.split("::").at(-1)),
  );
  return fileNames.flatMap((name) => {
    const owner = undoOwner(name);
    const ours = owner?.project === known.project && owner.stack === known.stack;
    return owner === undefined || !ours || steps.has(owner.step) ? [] : [owner];
  });
}

/** Takes back, over SSH, what steps did that the state does not know. @throws CommandFailure when one cannot be undone */
export async function undoSteps(host: HostConnection, known: Known, dryRun: boolean): Promise<string[]> {
  const listed = await sshRun(host.ssh, `ls -1 ${undoFolder} 2>/dev/null || true`).catch((error: unknown) => {
    // A host that SSH does not reach yet is for the preflight to explain.
    progress(`repair: steps over SSH were not looked at: ${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  });
  const done: string[] = [];
  for (const owner of stepsToUndo(listed?.stdout.split("\n") ?? [], known)) {
    const line = `undo step ${owner.step}: a run was cut off while it was made, and the state does not know it`;
    progress(`repair: ${dryRun ? "would " : ""}${line}`);
    done.push(line);
    if (dryRun) continue;
    const result = await sshRun(host.ssh, `sh ${shellWord(undoFile(owner))}`, 120);
    if (result.code !== 0)
      throw new CommandFailure(
        `step ${owner.step} could not be undone: ${result.stderr.trim() || result.stdout.trim()}`,
      );
  }
  return done;
}
