/** Tasks: identifiers, start, end. Source: pve-common src/PVE/Tools.pm (upid_encode), pve-manager PVE/API2/Tasks.pm. */
import type { Environment } from "./router.ts";
import type { LabState, Task } from "./state.ts";
import type { TaskWork } from "./work.ts";

/** Finished tasks that are remembered. */
export const TASKS_KEPT = 500;

const hex8 = (value: number): string => (value >>> 0).toString(16).toUpperCase().padStart(8, "0");

export function startTask(
  state: LabState,
  env: Environment,
  user: string,
  spec: { type: string; id?: string; work: TaskWork; log?: string[]; delayFactor?: number },
): Task {
  const pid = state.nextPid;
  state.nextPid += 1;
  const startTime = Math.floor(env.nowMs / 1000);
  const pstart = Math.max(1, Math.floor((env.nowMs - state.node.bootedAtMs) / 10));
  const id = spec.id ?? "";
  const task: Task = {
    upid: `UPID:${state.node.name}:${hex8(pid)}:${hex8(pstart)}:${hex8(startTime)}:${spec.type}:${encodeId(id)}:${user}:`,
    node: state.node.name,
    type: spec.type,
    id,
    user,
    pid,
    startTime,
    log: spec.log ?? [],
    work: spec.work,
    dueAtMs: env.nowMs + env.taskDelayMs * (spec.delayFactor ?? 1),
  };
  state.tasks.push(task);
  return task;
}

/** A worker's id cannot hold a colon or a blank. */
function encodeId(id: string): string {
  return id.replace(/[:\s]/g, (c) => `\\x${c.charCodeAt(0).toString(16)}`);
}

export function endTask(state: LabState, task: Task, nowMs: number, exitStatus: string): void {
  task.endTime = Math.max(task.startTime, Math.floor(nowMs / 1000));
  task.exitStatus = exitStatus;
  task.log.push(exitStatus === "OK" ? "TASK OK" : `TASK ERROR: ${exitStatus}`);
  delete task.work;
  const ended = state.tasks.filter((t) => t.work === undefined);
  if (ended.length > TASKS_KEPT) {
    const drop = new Set(ended.slice(0, ended.length - TASKS_KEPT));
    state.tasks = state.tasks.filter((t) => !drop.has(t));
  }
}

export function runningTasks(state: LabState): Task[] {
  return state.tasks.filter((task) => task.work !== undefined);
}
