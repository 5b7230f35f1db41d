// Commands run in namespaces of their own: a user namespace (no root needed), the machine's private root folder
// as `/`, its own process table and no network. Made once for each machine; each command enters it.
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { join } from "node:path";

export interface SandboxOptions {
  root: string;
  /** Unix socket bound at /.lab/pve.sock, for the machine that is the Proxmox host. */
  rootSocket?: string;
  hostName: string;
  /** Folder of npm packages for the machine's supervisor, which needs koffi to hear sd_notify. @default none */
  modules?: string;
}

export type Sandbox =
  | { kind: "namespaces"; pid: number; spawn: (command: Spawn) => ChildProcess; close: () => void }
  | { kind: "unavailable"; reason: string; close: () => void };

export interface Spawn {
  /** Command line for the login shell; undefined starts an interactive shell. */
  command: string | undefined;
  environment: Record<string, string>;
}

const readOnlySystemFolders = ["bin", "sbin", "lib", "lib32", "lib64", "libx32", "nix", "gnu"];
const deviceNodes = ["null", "zero", "full", "random", "urandom", "tty"];
export const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** The commands that build the root inside the new namespaces; paths come as positional arguments, never as text. */
const mountScript = `set -e
read -r outer_pid _ < /proc/self/stat
root=$1; node=$2; shims=$3; socket=$4; name=$5; modules=$6
mount --bind "$root" "$root"
cd "$root"
for entry in /usr/*; do
  case "$entry" in /usr/bin|/usr/sbin|/usr/local) continue;; esac
  [ -d "$entry" ] && [ ! -L "$entry" ] && [ -d ".$entry" ] && mount --rbind -o ro "$entry" ".$entry"
done
mount --bind -o ro /usr/bin ./.lab/system-bin
[ -L /usr/sbin ] || mount --bind -o ro /usr/sbin ./.lab/system-sbin
for entry in ${readOnlySystemFolders.join(" ")}; do
  if [ -d "/$entry" ] && [ ! -L "/$entry" ]; then mount --rbind -o ro "/$entry" "./$entry"; fi
done
for entry in alternatives ssl; do
  if [ -d "/etc/$entry" ]; then mount --bind -o ro "/etc/$entry" "./etc/$entry"; fi
done
if [ -f /etc/ld.so.cache ]; then mount --bind -o ro /etc/ld.so.cache ./etc/ld.so.cache; fi
for device in ${deviceNodes.join(" ")}; do
  if [ -e "/dev/$device" ]; then mount --bind "/dev/$device" "./dev/$device"; fi
done
mount --bind -o ro "$node" ./.lab/node
if [ -n "$modules" ]; then mount --bind -o ro "$modules" ./.lab/node_modules; fi
mount --bind -o ro "$shims" ./.lab/shims
if [ -n "$socket" ]; then mount --bind "$socket" ./.lab/pve.sock; fi
mount -t proc proc ./proc 2>/dev/null || true
hostname "$name" 2>/dev/null || true
if command -v ip >/dev/null; then ip link set lo up 2>/dev/null || true; fi
pivot_root . ./.lab/old
cd /
umount -l /.lab/old
echo "ready $outer_pid"
while read -r line; do :; done
`;

/** Starts the namespaces of one machine, or says by name why this system cannot. */
export async function startSandbox(options: SandboxOptions): Promise<Sandbox> {
  if (process.platform !== "linux") {
    return unavailable(`commands need Linux namespaces; this is ${process.platform}. File transfer works.`);
  }
  for (const tool of ["unshare", "nsenter", "pivot_root", "mount"]) {
    if (findTool(tool) === undefined) return unavailable(`the program ${tool} (package util-linux) is missing`);
  }
  const shims = fileURLToPath(new URL("./shims", import.meta.url));
  const holder = spawn(
    findTool("unshare") ?? "unshare",
    [
      "--user",
      "--map-root-user",
      "--mount",
      "--pid",
      "--net",
      "--uts",
      "--ipc",
      "--fork",
      "--kill-child",
      "/bin/sh",
      "-c",
    ].concat([
      mountScript,
      "sh",
      options.root,
      process.execPath,
      shims,
      options.rootSocket ?? "",
      options.hostName,
      options.modules ?? "",
    ]),
    { stdio: ["pipe", "pipe", "pipe"], env: { PATH: `${searchPath}:${process.env["PATH"] ?? ""}` }, detached: true },
  );
  holder.stdin.on("error", () => undefined);
  const started = await new Promise<{ pid: number } | { reason: string }>((resolve) => {
    let out = "";
    let err = "";
    const guard = setTimeout(() => resolve({ reason: "building the private root took longer than 20 s" }), 20_000);
    const settle = (result: { pid: number } | { reason: string }): void => {
      clearTimeout(guard);
      resolve(result);
    };
    holder.stdout.on("data", (chunk: Buffer) => {
      out += chunk.toString();
      const match = /^ready (\d+)$/m.exec(out);
      if (match !== null) settle({ pid: Number(match[1]) });
    });
    holder.stderr.on("data", (chunk: Buffer) => {
      if (err.length < 2000) err += chunk.toString();
    });
    holder.once("error", (error) => settle({ reason: error.message }));
    holder.once("close", () =>
      settle({ reason: `unprivileged user namespaces do not work here: ${err.trim() || "unshare ended"}` }),
    );
  });
  const close = (): void => {
    holder.stdin.end(); // the first process of the namespace reads end-of-file and goes; the kernel kills the rest
    killGroup(holder, "SIGKILL");
  };
  if ("reason" in started) {
    close();
    return unavailable(started.reason);
  }
  holder.unref();
  return { kind: "namespaces", pid: started.pid, spawn: (command) => enter(started.pid, command), close };
}

function unavailable(reason: string): Sandbox {
  return { kind: "unavailable", reason, close: () => undefined };
}

function enter(pid: number, request: Spawn): ChildProcess {
  const shell = existsSync("/bin/bash") ? "/bin/bash" : "/bin/sh";
  const inner = request.command === undefined ? [shell, "-l"] : [shell, "-c", request.command];
  return spawn(
    findTool("nsenter") ?? "nsenter",
    [
      "--preserve-credentials",
      "-t",
      String(pid),
      "--user",
      "--mount",
      "--pid",
      "--net",
      "--uts",
      "--ipc",
      "--root",
      "--",
    ].concat(["/bin/sh", "-c", 'cd "$HOME" 2>/dev/null || cd /; exec "$@"', "sh"], inner),
    {
      stdio: ["pipe", "pipe", "pipe"],
      detached: true,
      env: { ...request.environment, PATH: searchPath, HOME: "/root", USER: "root", LOGNAME: "root", SHELL: shell },
    },
  );
}

/** Signals the whole process group of a child that was started detached. */
export function killGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // The group has already gone.
  }
}

const found = new Map<string, string | undefined>();
function findTool(name: string): string | undefined {
  if (!found.has(name)) {
    const folders = `${searchPath}:${process.env["PATH"] ?? ""}`.split(":");
    found.set(
      name,
      folders.map((folder) => join(folder, name)).find((path) => existsSync(path)),
    );
  }
  return found.get(name);
}
