/** Tasks. Source: pve-manager PVE/API2/Tasks.pm. */
import { allowed, need } from "../access/permissions.ts";
import { paramError } from "../core/errors.ts";
import { integer, type Context, type Route } from "../core/router.ts";
import type { Task } from "../core/state.ts";

const TASKS = "pve-manager@14a22df3 PVE/API2/Tasks.pm";

function find({ state, identity, path }: Context): Task {
  const upid = path["upid"] ?? "";
  if (!/^UPID:[^:]+:[0-9A-F]{8}:[0-9A-F]{8,9}:[0-9A-F]{8}:[^:]+:[^:]*:[^:]+:$/.test(upid)) {
    paramError({ upid: "unable to parse worker upid" });
  }
  const task = state.tasks.find((t) => t.upid === upid);
  if (!task) paramError({ upid: "no such task" });
  const isOwn = task.user === identity.authId || task.user.startsWith(`${identity.authId}!`);
  if (!isOwn) need(state, identity, `/nodes/${state.node.name}`, ["Sys.Audit"]);
  return task;
}

function row(task: Task): Record<string, string | number> {
  const [, node = "", pid = "0", pstart = "0"] = task.upid.split(":");
  const out: Record<string, string | number> = {
    upid: task.upid,
    node,
    pid: Number.parseInt(pid, 16),
    pstart: Number.parseInt(pstart, 16),
    starttime: task.startTime,
    type: task.type,
    id: task.id,
    user: task.user,
  };
  if (task.endTime !== undefined) out["endtime"] = task.endTime;
  return out;
}

export const taskRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/nodes/{node}/tasks",
    params: "errors limit since source start statusfilter typefilter until userfilter vmid",
    source: `${TASKS} (node_tasks)`,
    handle: ({ state, identity, params }) => {
      const audit = allowed(state, identity, `/nodes/${state.node.name}`, "Sys.Audit");
      const source = params["source"] ?? "archive";
      const list = state.tasks
        .filter((task) => audit || task.user === identity.authId)
        .filter((task) => source === "all" || (source === "active") === (task.work !== undefined))
        .filter((task) => params["vmid"] === undefined || task.id === params["vmid"])
        .filter((task) => params["typefilter"] === undefined || task.type === params["typefilter"])
        .filter((task) => params["errors"] !== "1" || (task.exitStatus ?? "OK") !== "OK")
        .toReversed();
      const start = integer(params, "start", 0);
      return list.slice(start, start + integer(params, "limit", 50)).map((task) => ({
        ...row(task),
        ...(task.exitStatus === undefined ? {} : { status: task.exitStatus }),
      }));
    },
  },
  {
    method: "GET",
    path: "/nodes/{node}/tasks/{upid}/status",
    params: "",
    source: `${TASKS} (read_task_status); bpg v0.111.1 proxmox/nodes/tasks/tasks.go (WaitForTask)`,
    handle: (context) => {
      const task = find(context);
      return {
        ...row(task),
        status: task.work === undefined ? "stopped" : "running",
        ...(task.exitStatus === undefined ? {} : { exitstatus: task.exitStatus }),
      };
    },
  },
  {
    method: "GET",
    path: "/nodes/{node}/tasks/{upid}/log",
    params: "start limit download",
    source: `${TASKS} (read_task_log); bpg v0.111.1 proxmox/nodes/tasks/tasks_types.go`,
    handle: (context) => {
      const lines = find(context).log;
      const start = integer(context.params, "start", 0);
      const limit = integer(context.params, "limit", 50);
      return lines
        .slice(start, limit === 0 ? undefined : start + limit)
        .map((text, i) => ({ n: start + i + 1, t: text }));
    },
  },
  {
    method: "DELETE",
    path: "/nodes/{node}/tasks/{upid}",
    params: "",
    source: `${TASKS} (stop_task); bpg v0.111.1 proxmox/nodes/tasks/tasks.go (DeleteTask)`,
    handle: (context) => {
      find(context);
      return null;
    },
  },
];
