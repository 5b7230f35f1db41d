/**
 * The pure heart: `apply` answers a request, `finishDue` ends tasks whose time has come, `recover` makes a state that was
 * cut short consistent. Each takes a state and returns another; the argument is never changed.
 */
import type { Identity } from "../access/identity.ts";
import { performGuestWork, guestsOf, release } from "../guests/perform.ts";
import { performHostWork } from "../host/perform.ts";
import { PveError } from "./errors.ts";
import { checkParams, type Environment, notImplemented, type Params, type Router, type Upload } from "./router.ts";
import type { LabState, Task } from "./state.ts";
import { endTask, runningTasks, startTask } from "./tasks.ts";

export interface LabRequest {
  method: string;
  /** Below `/api2/json`. */
  path: string;
  params: Params;
  upload?: Upload;
  rootSocket: boolean;
}

export interface LabResponse {
  status: number;
  /** The reason phrase; for errors, the message. */
  message: string;
  data: unknown;
  errors?: Readonly<Record<string, string>>;
}

export interface LabEvent {
  at: string;
  kind: string;
  user?: string;
  detail: Record<string, string | number>;
}

export interface Applied {
  state: LabState;
  response: LabResponse;
  events: LabEvent[];
  changed: boolean;
  routePath: string | undefined;
}

const at = (nowMs: number): string => new Date(nowMs).toISOString();

export function apply(
  router: Router,
  state: LabState,
  request: LabRequest,
  identify: (open: boolean) => Identity | undefined,
  env: Environment,
  fullStorages: readonly string[] = [],
): Applied {
  const events: LabEvent[] = [];
  const isWrite = request.method !== "GET";
  const draft = isWrite ? structuredClone(state) : state;
  let routePath: string | undefined;
  try {
    const found = router.find(request.method, request.path);
    if (!found || found.route.source === "") throw notImplemented(request.method, request.path);
    const { route, path } = found;
    routePath = route.path;
    if (route.rootSocketOnly && !request.rootSocket) throw notImplemented(request.method, request.path);
    const identity = identify(route.open === true) ?? ANONYMOUS;
    checkNode(draft, path);
    checkParams(route.params, request.params);
    const data = route.handle({
      state: draft,
      identity,
      params: request.params,
      path,
      env,
      ...(request.upload ? { upload: request.upload } : {}),
      fullStorages,
      task: (spec) => {
        const task = startTask(draft, env, identity.authId, spec);
        queueBehind(draft, task, env);
        events.push({
          at: at(env.nowMs),
          kind: "task-start",
          user: task.user,
          detail: { type: task.type, id: task.id, upid: task.upid },
        });
        return task.upid;
      },
      event: (kind, detail) => events.push({ at: at(env.nowMs), kind, user: identity.authId, detail }),
    });
    return {
      state: draft,
      response: { status: 200, message: "OK", data: data ?? null },
      events,
      changed: isWrite,
      routePath,
    };
  } catch (error) {
    if (!(error instanceof PveError)) throw error;
    const response: LabResponse = { status: error.status, message: error.message, data: null };
    if (error.errors) response.errors = error.errors;
    return { state, response, events: [], changed: false, routePath };
  }
}

const ANONYMOUS: Identity = { authId: "", userid: "", token: undefined, via: "ticket" };

/** There is one node; any other name cannot be reached. Source: pve-manager PVE/HTTPServer.pm (proxy to another node). */
function checkNode(state: LabState, path: Params): void {
  const node = path["node"];
  if (node !== undefined && node !== state.node.name && node !== "localhost") {
    throw new PveError(
      500,
      `hostname lookup '${node}' failed - failed to get address info for: ${node}: Name or service not known`,
    );
  }
}

/** Tasks of one guest run one after another. */
function queueBehind(state: LabState, task: Task, env: Environment): void {
  if (!task.work) return;
  const mine = guestsOf(task.work);
  for (const other of runningTasks(state)) {
    if (other === task || !other.work) continue;
    if (
      guestsOf(other.work).some((vmid) => mine.includes(vmid)) ||
      (mine.length === 0 && other.work.kind === task.work.kind)
    ) {
      task.dueAtMs = Math.max(task.dueAtMs, other.dueAtMs + Math.max(1, env.taskDelayMs));
    }
  }
}

/** Ends every task that is due, oldest first. */
export function finishDue(
  state: LabState,
  env: Environment,
  snippetExists: (volid: string) => boolean,
  fullStorages: readonly string[] = [],
): { state: LabState; events: LabEvent[] } {
  let current = state;
  const events: LabEvent[] = [];
  for (;;) {
    const due = runningTasks(current)
      .filter((task) => task.dueAtMs <= env.nowMs)
      .sort((a, b) => a.dueAtMs - b.dueAtMs)[0];
    if (!due) return { state: current, events };
    const done = finishTask(current, due.upid, env, snippetExists, fullStorages);
    current = done.state;
    events.push(done.event);
  }
}

function finishTask(
  state: LabState,
  upid: string,
  env: Environment,
  snippetExists: (volid: string) => boolean,
  fullStorages: readonly string[],
): { state: LabState; event: LabEvent } {
  let draft = structuredClone(state);
  let exit = "OK";
  const log: string[] = [];
  try {
    const work = draft.tasks.find((t) => t.upid === upid)?.work;
    if (work && !performGuestWork(draft, work, { env, fullStorages, snippetExists }, log)) {
      performHostWork(draft, work, { env, fullStorages });
    }
  } catch (error) {
    if (!(error instanceof PveError)) throw error;
    const reason = error.errors
      ? Object.entries(error.errors)
          .map(([key, text]) => `${key}: ${text}`)
          .join("; ")
      : error.message;
    exit = reason;
    draft = structuredClone(state);
    const work = draft.tasks.find((t) => t.upid === upid)?.work;
    if (work) {
      if (work.kind === "qemu-create") exit = `unable to create VM ${work.vmid} - ${reason}`;
      if (work.kind === "lxc-create") exit = `unable to create CT ${work.vmid} - ${reason}`;
      release(draft, work);
    }
  }
  const task = draft.tasks.find((t) => t.upid === upid);
  if (!task) return { state: draft, event: { at: at(env.nowMs), kind: "task-end", detail: { upid } } };
  task.log.push(...log);
  endTask(draft, task, env.nowMs, exit);
  const event = {
    at: at(env.nowMs),
    kind: "task-end",
    user: task.user,
    detail: { type: task.type, id: task.id, exitstatus: exit, upid },
  };
  return { state: draft, event };
}

/**
 * A server that was killed: workers died with it. Their tasks end as Proxmox reports a worker that left no status
 * ("unexpected status"), reserved ids and locks are given back, staged network changes stay staged.
 */
export function recover(state: LabState, nowMs: number): { state: LabState; events: LabEvent[] } {
  const draft = structuredClone(state);
  const events: LabEvent[] = [];
  for (const task of runningTasks(draft)) {
    if (task.work) release(draft, task.work);
    endTask(draft, task, nowMs, "unexpected status");
    events.push({
      at: at(nowMs),
      kind: "task-interrupted",
      user: task.user,
      detail: { type: task.type, id: task.id, upid: task.upid },
    });
  }
  return { state: draft, events };
}
