/** A guest with a real systemd and a real SSH server: a container of systemd-nspawn that shares this machine's network. */
import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { randomInt } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import ssh2 from "ssh2";

/** A command's end on the guest. */
export interface Ran {
  readonly status: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Guest {
  /** The guest's root folder on this machine. */
  readonly root: string;
  readonly port: number;
  readonly privateKey: string;
  /** As in known_hosts: type and base64. */
  readonly hostKey: string;
  /** Runs a command by SSH, as a login shell of `user` would. @default user "root" */
  ssh(command: string, options?: { readonly stdin?: string; readonly user?: string }): Promise<Ran>;
  close(): Promise<void>;
}

/** A login besides root, who may sudo without a password. */
export const adminUser = "admin";

const sshdConfig = (port: number): string => `Port ${String(port)}
ListenAddress 127.0.0.1
PermitRootLogin prohibit-password
PasswordAuthentication no
UsePAM no
Subsystem sftp internal-sftp
`;

function must(file: string, args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(file, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${file} ${args.join(" ")}: ${error?.message ?? stderr}`);
}

/** A port below the range that the kernel takes for outgoing connections: nobody else gets it before the guest does. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + randomInt(12_000);
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!free) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}

/** Puts an account, keys and the server's settings into the tree. @returns the client's key and the host's public key */
function furnish(root: string, port: number): { privateKey: string; hostKey: string } {
  const { private: privateKey, public: publicKey } = ssh2.utils.generateKeyPairSync("ed25519");
  const host = ssh2.utils.generateKeyPairSync("ed25519");
  const write = (path: string, text: string, mode = 0o644): void => writeFileSync(join(root, path), text, { mode });
  for (const kind of ["ecdsa", "rsa"]) rmSync(join(root, `etc/ssh/ssh_host_${kind}_key`), { force: true });
  write("etc/ssh/ssh_host_ed25519_key", host.private, 0o600);
  write("etc/ssh/ssh_host_ed25519_key.pub", `${host.public}\n`);
  chmodSync(join(root, "etc/ssh/ssh_host_ed25519_key"), 0o600);
  write("etc/ssh/sshd_config", `${sshdConfig(port)}HostKey /etc/ssh/ssh_host_ed25519_key\n`);
  // A server that could not start yet tries again.
  mkdirSync(join(root, "etc/systemd/system/ssh.service.d"), { recursive: true });
  write(
    "etc/systemd/system/ssh.service.d/again.conf",
    "[Service]\nRestart=always\nRestartSec=1\nRestartPreventExitStatus=\n",
  );
  // No unit of a guest is generated, and every reload would run them all.
  rmSync(join(root, "usr/lib/systemd/system-generators"), { recursive: true, force: true });
  must("chroot", [root, "useradd", "--create-home", "--password", "*", "--shell", "/bin/sh", adminUser]);
  write(`etc/sudoers.d/${adminUser}`, `${adminUser} ALL=(ALL) NOPASSWD: ALL\n`, 0o440);
  for (const home of ["root", `home/${adminUser}`]) {
    mkdirSync(join(root, home, ".ssh"), { mode: 0o700, recursive: true });
    write(join(home, ".ssh/authorized_keys"), `${publicKey}\n`, 0o600);
  }
  must("chroot", [root, "chown", "-R", `${adminUser}:`, `/home/${adminUser}`]);
  return { privateKey, hostKey: host.public };
}

/** @param answerMs How long a server may take to let the client in. */
export function connect(port: number, privateKey: string, username: string, answerMs = 10_000): Promise<ssh2.Client> {
  return new Promise((resolve, reject) => {
    const client = new ssh2.Client();
    client.on("ready", () => resolve(client));
    client.on("error", reject);
    client.connect({ host: "127.0.0.1", port, username, privateKey, readyTimeout: answerMs });
  });
}

export function execute(client: ssh2.Client, command: string, stdin: string): Promise<Ran> {
  return new Promise((resolve, reject) => {
    client.exec(command, (error, channel) => {
      if (error !== undefined) return reject(error);
      const parts = { stdout: "", stderr: "" };
      let status: number | undefined;
      channel.on("data", (chunk: Buffer) => (parts.stdout += chunk.toString()));
      channel.stderr.on("data", (chunk: Buffer) => (parts.stderr += chunk.toString()));
      channel.on("exit", (code: number | null) => (status = code ?? undefined));
      channel.on("close", () => resolve({ status, ...parts }));
      channel.end(stdin);
    });
  });
}

/**
 * A cgroup for the guest in each hierarchy that nspawn hands on; else every guest would take the same one, `payload` of
 * the caller's, and their systemds each other's processes.
 */
function ownCgroups(folder: string): string[] {
  const mounts = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"];
  return mounts.flatMap((mount) => {
    if (!existsSync(join(mount, "cgroup.procs"))) return [];
    const cgroup = join(mount, `hive-${basename(folder)}`);
    mkdirSync(cgroup);
    return [cgroup];
  });
}

function removeCgroup(folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) removeCgroup(join(folder, entry.name));
  }
  try {
    rmdirSync(folder);
  } catch {
    // A process that is still ending holds it: an empty folder of the kernel's, and harmless.
  }
}

function childrenOf(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${String(pid)}/task/${String(pid)}/children`, "utf8");
    return text.split(" ").filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** Boots a guest from the tree's tarball. @throws Error with its console when SSH does not answer within 30 s */
export async function startGuest(tree: string): Promise<Guest> {
  const folder = mkdtempSync(join(tmpdir(), "guest-"));
  const root = join(folder, "root");
  let machine: ChildProcess | undefined;
  const clients = new Map<string, ssh2.Client>();
  const cgroups = ownCgroups(folder);
  const close = async (): Promise<void> => {
    for (const client of clients.values()) client.end();
    if (machine?.pid !== undefined && machine.exitCode === null && machine.signalCode === null) {
      const ended = new Promise((resolve) => machine?.once("exit", resolve));
      // The container's own init first: it takes its PID namespace with it, and nspawn tidies up after it. A killed
      // nspawn would leave the container running.
      const inits = childrenOf(machine.pid);
      for (const pid of inits) process.kill(pid, "SIGKILL");
      if (inits.length === 0) process.kill(machine.pid, "SIGTERM");
      await Promise.race([ended, sleep(10_000)]);
    }
    for (const cgroup of cgroups) removeCgroup(cgroup);
    rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  };
  try {
    mkdirSync(root);
    must("tar", ["-C", root, "--zstd", "-xpf", tree]);
    const port = await freePort();
    const { privateKey, hostKey } = furnish(root, port);
    const console_ = join(folder, "console");
    writeFileSync(console_, "");
    machine = spawn(
      "/bin/sh",
      [
        "-c",
        // On SIGTERM nspawn shuts its container down: the end of a guest whose test was killed.
        `${cgroups.map((cgroup) => `echo 0 >${cgroup}/cgroup.procs;`).join(" ")}
        exec setpriv --pdeathsig TERM systemd-nspawn "$@" >${console_} 2>&1 </dev/null`,
        "sh",
        "--quiet",
        "--boot",
        "--register=no",
      ].concat([
        "--keep-unit",
        "--suppress-sync=yes",
        "--console=pipe",
        "--resolv-conf=off",
        "--timezone=off",
        "-D",
        root,
      ]),
      {
        detached: true,
        stdio: "ignore",
        env: { ...process.env, PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin` },
      },
    );
    const until = Date.now() + 30_000;
    for (;;) {
      try {
        clients.set("root", await connect(port, privateKey, "root"));
        break;
      } catch (error) {
        if (Date.now() > until || machine.exitCode !== null) {
          throw new Error(`the guest does not answer:\n${readFileSync(console_, "utf8").slice(-3000)}`, {
            cause: error,
          });
        }
        await sleep(100);
      }
    }
    return {
      root,
      port,
      privateKey,
      hostKey,
      ssh: async (command, { stdin = "", user = "root" } = {}) => {
        const client = clients.get(user) ?? (await connect(port, privateKey, user));
        clients.set(user, client);
        return execute(client, command, stdin);
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
