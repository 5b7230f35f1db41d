/**
 * A guest's supervisor: what systemd is to a real machine, as far as a lab without root can have it. It runs inside the
 * guest's namespaces, started at boot where units are enabled, else by the first `systemctl` or connection, and dies with them.
 *
 * Units mean what systemd.service(5), systemd.exec(5) and systemd.unit(5) of version 252 say: Type=simple, exec, notify,
 * idle and oneshot; Exec…= with their prefixes, quoting, variables and specifiers; conditions and assertions about paths;
 * Environment=, EnvironmentFile=, WorkingDirectory=, UMask= and the five …Directory=; drop-ins and templates; Restart=
 * with its table, RestartSec= and the start limit; the watchdog; the time limits; KillMode=, KillSignal= and SIGKILL
 * behind it; invocation ids, results and states as `systemctl show` names them.
 *
 * | not here | why, and what happens instead |
 * |---|---|
 * | User=, Group=, DynamicUser=, other accounts | a namespace without root has one uid: all is root, every account is uid 0 |
 * | MemoryMax=, CPUQuota=, TasksMax=, slices, OOM | cgroups are root's: limits are read over; ControlGroup is empty |
 * | ProtectSystem=, PrivateTmp=, SystemCallFilter= and their like, capabilities | read over: the guest itself is the fence |
 * | IPAddressDeny=, sockets of other machines | no packet filter; a guest reaches only what the lab's uplink forwards |
 * | a cgroup as the bound of a service | its processes are those with its INVOCATION_ID, and their descendants |
 * | Type=forking, Type=dbus, MAINPID= | refused, or read over: nothing of ours uses them |
 * | dependencies and their order (After=, Requires=, BindsTo=) | read over: enabled units start together |
 * | timers, sockets, paths, mounts | remembered as started, never triggered |
 * | Nice=, OOMScoreAdjust=, Limit…=, LoadCredential= | read over |
 * | Type=simple whose program is missing | the start job fails, as with Type=exec |
 * | the D-Bus interface, busctl, systemd-run | absent: `systemctl` and `journalctl` are the way |
 */
import { connect, createServer } from "node:net";
import type { Socket } from "node:net";
import { chmodSync, existsSync, mkdirSync, rmSync } from "node:fs";
import { Manager } from "./manager.ts";
import { bootMark, socketPath } from "./protocol.ts";
import { readRequest } from "./requests.ts";
import { startUplink } from "./uplink.ts";

const mostRequestBytes = 64 * 1024;

function serve(socket: Socket, manager: Manager): void {
  let text = "";
  socket.on("error", () => undefined); // whoever asked has gone
  socket.setEncoding("utf8");
  socket.on("data", (chunk: string) => {
    text += chunk;
    if (text.length > mostRequestBytes) return void socket.destroy();
    if (!text.includes("\n")) return;
    socket.removeAllListeners("data");
    const request = readRequest(text.slice(0, text.indexOf("\n")));
    if (request === undefined) return void socket.destroy();
    void manager.answer(request).then((answer) => socket.end(`${JSON.stringify(answer)}\n`));
  });
}

/** Whether another supervisor answers already. The socket of one that was killed is removed. */
function isTaken(): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(socketPath);
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", (error) => {
      if ("code" in error && error.code === "ECONNREFUSED") rmSync(socketPath, { force: true });
      resolve(false);
    });
  });
}

mkdirSync("/run/systemd/system", { recursive: true }); // sd_booted(3)
if (await isTaken()) process.exit(0);
const manager = new Manager();
const server = createServer((socket) => serve(socket, manager));
// Two that start at once: the one that binds is the one.
server.once("error", () => process.exit(0));
server.listen(socketPath, () => {
  chmodSync(socketPath, 0o600);
  startUplink();
  if (!existsSync(bootMark)) return;
  rmSync(bootMark);
  manager.boot();
});
process.on("SIGTERM", () => undefined); // as the first process of a machine, it goes with the machine
process.on("SIGHUP", () => undefined);
