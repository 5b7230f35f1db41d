// One machine of the lab beside the Proxmox host: a private root, its namespaces, SSH, a place in the lab's network, and
// a supervisor that runs its units.
import { existsSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { authorizedFile } from "./authorized-keys.ts";
import { isErrno, writeFileAtomic } from "./files.ts";
import { ensureKeyPair } from "./keys.ts";
import type { Ports } from "./ports.ts";
import { emptyRuntime, ensurePrivateRoot } from "./private-root.ts";
import { bootMark } from "./shims/init/protocol.ts";
import { startSandbox } from "./sandbox.ts";
import type { Sandbox } from "./sandbox.ts";
import { startSshServer } from "./ssh-server.ts";
import type { SshServer } from "./ssh-server.ts";
import type { Uplink } from "./uplink.ts";

export interface MachinesOptions {
  stateDir: string;
  ports: Ports;
  /** The lab's own client key opens every machine as root, as a console would. */
  labPublicKey: string;
  uplink: Uplink;
}

export interface MachineOptions {
  /** Names its folder, its key and its port: `guest-100`. */
  key: string;
  name: string;
  users: readonly { name: string; keys: readonly string[] }[];
  /** Address in the lab's network, if it has one. */
  address: string | undefined;
  /** Addresses that its own configuration gives it. */
  addresses: readonly string[];
  /** Ports that its provider's firewall lets in. @default no firewall */
  firewall?: readonly number[];
}

export interface Machine {
  name: string;
  /** Port of SSH on 127.0.0.1. */
  port: number;
  users: string[];
  hostPublicKey: string;
  root: string;
  sandbox: Sandbox;
  close: () => Promise<void>;
}

const supervisor = "exec /.lab/node --no-warnings /.lab/shims/init/main.ts";

export function machineFolder(stateDir: string, key: string): string {
  return join(stateDir, "roots", key);
}

/** Boots a machine: what was in /run is gone, what is enabled starts. */
export async function openMachine(common: MachinesOptions, options: MachineOptions): Promise<Machine> {
  const { stateDir, ports, labPublicKey, uplink } = common;
  const { key, name } = options;
  const keys = ensureKeyPair(join(stateDir, "keys"), key);
  const users = [...new Set(["root", ...options.users.map((user) => user.name)])];
  const root = ensurePrivateRoot({
    folder: machineFolder(stateDir, key),
    hostName: name,
    kind: "guest",
    authorizedKeys: [...options.users.flatMap((user) => user.keys), labPublicKey],
    accounts: users.slice(1),
  });
  emptyRuntime(root);
  // The key that its SSH server shows, where sshd keeps it.
  writeFileAtomic(join(root, "etc/ssh/ssh_host_ed25519_key.pub"), `${keys.publicKey} root@${name}\n`, 0o644);
  const enabled = hasEnabledUnits(root);
  // Whichever supervisor comes first, this one or one that a connection or a login wakes, does what a boot does.
  if (enabled) writeFileSync(join(root, bootMark), "");
  const sandbox = await startSandbox({ root, hostName: name, modules: npmPackages() });
  const authorizedKeys = (user: string): string[] => [
    ...options.users.filter((entry) => entry.name === user).flatMap((entry) => entry.keys),
    ...(users.includes(user) ? [labPublicKey] : authorizedFile(root, user)),
  ];
  const start = (port: number): Promise<SshServer> =>
    startSshServer({ root, sandbox, hostKey: keys.privateKey, authorizedKeys, port });
  const server = await start(await ports.choose(key)).catch((error: unknown) => {
    if (isErrno(error, "EADDRINUSE")) return start(0);
    sandbox.close();
    throw error;
  });
  ports.remember(key, server.port);
  const wake = (): void => void runInside(sandbox, supervisor);
  const { address, addresses, firewall } = options;
  const fence = firewall === undefined ? {} : { firewall };
  await uplink.attach(key, { name, address, addresses, root, sshPort: server.port, wake, ...fence });
  if (enabled) runInside(sandbox, supervisor);
  return {
    ...{ name, port: server.port, users, hostPublicKey: keys.publicKey, root, sandbox },
    close: async () => {
      await uplink.detach(key);
      sandbox.close();
      await server.close();
    },
  };
}

/** Removes what a machine that is gone left behind. */
export function forgetMachine({ stateDir, ports }: MachinesOptions, key: string): void {
  rmSync(machineFolder(stateDir, key), { recursive: true, force: true });
  for (const file of [key, `${key}.pub`]) rmSync(join(stateDir, "keys", file), { force: true });
  ports.forget(key);
}

/** Starts a command inside that nobody waits for; it ends with the machine. */
export function runInside(sandbox: Sandbox, command: string): void {
  if (sandbox.kind === "unavailable") return;
  const child = sandbox.spawn({ command, environment: {} });
  child.once("error", () => undefined);
  child.stdin?.end();
  child.stdout?.resume();
  child.stderr?.resume();
  child.unref();
}

function hasEnabledUnits(root: string): boolean {
  const folder = join(root, "etc/systemd/system");
  return readdirSync(folder)
    .filter((name) => /\.target\.(wants|requires)$/.test(name))
    .some((name) => readdirSync(join(folder, name)).length > 0);
}

/** The folder in which koffi is, with the part of it that is for this computer. */
function npmPackages(): string {
  const above = createRequire(import.meta.url).resolve.paths("koffi") ?? [];
  return above.find((folder) => existsSync(join(folder, "koffi"))) ?? "";
}
