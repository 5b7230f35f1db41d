import { shellWord } from "../../components/shared/shell.ts";
import { undoFile, undoFolder, undoMark, type UndoOwner, undoOwner } from "../../components/shared/undo.ts";
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

const stepType = "command:remote:Command";
const stepOf = (urn: string): string => urn.split("::").at(-1) ?? "";

/**
 * Steps of the state that keep their undoing on the host, by URN, and whether their removal was cut off: the engine died
 * while it ran, or the undoing itself was left half done (the connection or the host was lost) and its mark says so.
 */
function keptSteps(
  fileNames: readonly string[],
  { project, stack, state }: Known,
): { urn: string; owner: UndoOwner; cutOff: boolean }[] {
  const there = new Set(fileNames.map((name) => `${undoFolder}/${name}`));
  const leaving = new Set(state.pending.flatMap(({ type, resource }) => (type === "deleting" ? [resource.urn] : [])));
  return state.resources.flatMap(({ type, urn, inputs }) => {
    const owner = { project, stack, step: stepOf(urn) };
    const keeps = type === stepType && String(inputs["delete"]).includes(undoFile(owner));
    const cutOff = leaving.has(urn) || there.has(undoMark(undoFile(owner)));
    return keeps ? [{ urn, owner, cutOff }] : [];
  });
}

/**
 * Steps whose undoing lies on the host and is to be run: those that the state does not hold (a run was cut off while it
 * made them) and those whose removal was cut off (nobody knows how far it got). Pure.
 */
export function stepsToUndo(fileNames: readonly string[], known: Known): UndoOwner[] {
  const steps = new Set(known.state.resources.filter(({ type }) => type === stepType).map(({ urn }) => stepOf(urn)));
  for (const { owner, cutOff } of keptSteps(fileNames, known)) if (cutOff) steps.delete(owner.step);
  return fileNames.flatMap((name) => {
    const owner = undoOwner(name);
    const ours = owner?.project === known.project && owner.stack === known.stack;
    return owner === undefined || !ours || steps.has(owner.step) ? [] : [owner];
  });
}

/**
 * URNs of steps that the state holds and the host no longer has: their removal was cut off, before or after their
 * undoing had ended (it removes its own file last). Pure.
 */
export function stepsTakenBack(fileNames: readonly string[], known: Known): string[] {
  const there = new Set(fileNames.map((name) => `${undoFolder}/${name}`));
  return keptSteps(fileNames, known).flatMap(({ urn, owner, cutOff }) =>
    cutOff || !there.has(undoFile(owner)) ? [urn] : [],
  );
}

/**
 * Names of ours that stand for nothing: undoings that were cut off while they were written (their steps had not begun),
 * and marks of undoings that have ended. Pure.
 */
export function halfWritten(fileNames: readonly string[], known: Known): string[] {
  return fileNames.filter((name) => {
    const [, base, ending] = /^(.+)\.(new|begun)$/.exec(name) ?? [];
    const owner = undoOwner(base ?? "");
    if (owner?.project !== known.project || owner.stack !== known.stack) return false;
    return ending === "new" || !fileNames.includes(base ?? "");
  });
}

export interface Undone {
  /** What was done, a line each. */
  readonly done: readonly string[];
  /** Steps that the state must forget, for the host no longer has them. */
  readonly forget: readonly string[];
}

/**
 * Takes back, over SSH, what steps did that the state does not know, and ends removals that were cut off.
 * @throws CommandFailure when one cannot be undone
 */
export async function undoSteps(host: HostConnection, known: Known, dryRun: boolean): Promise<Undone> {
  const listed = await sshRun(host.ssh, `ls -1 ${undoFolder} 2>/dev/null || true`).catch((error: unknown) => {
    // A host that SSH does not reach yet is for the preflight to explain.
    progress(`repair: steps over SSH were not looked at: ${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  });
  if (listed === undefined) return { done: [], forget: [] };
  const names = listed.stdout.split("\n").filter((name) => name !== "");
  const done: string[] = [];
  const tell = (line: string): void => {
    progress(`repair: ${dryRun ? "would " : ""}${line}`);
    done.push(line);
  };
  for (const owner of stepsToUndo(names, known)) {
    tell(`undo step ${owner.step}: a run was cut off while it was made or removed`);
    if (dryRun) continue;
    const file = shellWord(undoFile(owner));
    // What was cut off may still have run to its end on the host in the meantime.
    const result = await sshRun(host.ssh, `[ ! -e ${file} ] || sh ${file}`, 120);
    if (result.code !== 0)
      throw new CommandFailure(
        `step ${owner.step} could not be undone: ${result.stderr.trim() || result.stdout.trim()}`,
      );
  }
  const halves = halfWritten(names, known);
  if (halves.length > 0 && !dryRun)
    await sshRun(host.ssh, `rm -f ${halves.map((name) => shellWord(`${undoFolder}/${name}`)).join(" ")}`);
  const forget = stepsTakenBack(names, known);
  for (const urn of forget) tell(`forget step ${stepOf(urn)}: the host no longer has it, its removal was cut off`);
  return { done, forget };
}
