import { shellWord } from "./shell.ts";

/**
 * How a step on the host can be taken back when no state knows of it: each step first writes its own undoing to a
 * file on the host, and the undoing removes the file last. Pure.
 */
export const undoFolder = "/var/lib/hive/undo";

/** Whose step a file undoes. */
export interface UndoOwner {
  readonly project: string;
  readonly stack: string;
  /** Name of the step's resource. */
  readonly step: string;
}

/** The file of a step's undoing. */
export function undoFile(owner: UndoOwner): string {
  return `${undoFolder}/${owner.project}~${owner.stack}~${owner.step}.sh`;
}

/** Lies beside the file from when an undoing begins to its end: one that was cut off is found by it. */
export function undoMark(file: string): string {
  return `${file}.begun`;
}

/** Whose undoing a file name in {@link undoFolder} is, `undefined` for any other name. */
export function undoOwner(fileName: string): UndoOwner | undefined {
  const [, project, stack, step] = /^([A-Za-z0-9_.-]+)~([A-Za-z0-9_.-]+)~([A-Za-z0-9_.-]+)\.sh$/.exec(fileName) ?? [];
  return project === undefined || stack === undefined || step === undefined ? undefined : { project, stack, step };
}

/** A script that keeps the undoing on the host, whole, before it does anything. */
export function keepsUndo(file: string, script: string, undo: string): string {
  return `set -e
(
umask 077
mkdir -p ${undoFolder}
cat >${shellWord(`${file}.new`)} <<'HIVE_UNDO'
${forgetsUndo(file, undo).trimEnd()}
HIVE_UNDO
mv ${shellWord(`${file}.new`)} ${shellWord(file)}
rm -f ${shellWord(undoMark(file))}
)
${script}`;
}

/** The undoing, which removes its own file once it is done. */
export function forgetsUndo(file: string, undo: string): string {
  // Not `( … ) || exit`: behind `||` the shell would go on after a failure, whatever the undoing has set.
  return `set -e
[ ! -e ${shellWord(file)} ] || : >${shellWord(undoMark(file))}
(
${undo.trimEnd()}
)
rm -f ${shellWord(file)} ${shellWord(`${file}.new`)} ${shellWord(undoMark(file))}
`;
}
