// The folder that a machine of the lab sees as `/`: its own /etc, /var, /root, /run, /tmp, and mount points for the
// system's read-only folders. Safe to run again: it adds what is missing and leaves what was written.
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { privateFolder, writeFileAtomic } from "./files.ts";
import { guestTools, proxmoxTools, systemTools } from "./shims/tools.ts";

export interface PrivateRootOptions {
  folder: string;
  hostName: string;
  kind: "proxmox" | "guest";
  /** `key type, base64` lines for root's authorized_keys; shown to programs that look, not used for the lab's own check. */
  authorizedKeys: readonly string[];
  /** Accounts that the image or cloud-init made, beside root. @default none */
  accounts?: readonly string[];
}

const ownFolders = [
  ...[
    "etc/systemd/system",
    "etc/modprobe.d",
    "etc/modules-load.d",
    "etc/default",
    "etc/kernel",
    "etc/sysctl.d",
    "etc/cron.d",
  ],
  ...["etc/alternatives", "etc/ssl"],
  ...[
    "etc/network/interfaces.d",
    "etc/apt/sources.list.d",
    "etc/ssh",
    "root/.ssh",
    "var/log",
    "var/lib",
    "var/cache",
    "var/tmp",
  ],
  ...["run/lock", "tmp", "opt", "srv", "mnt", "media", "home", "boot", "proc", "sys", "dev/shm", "dev/pts"],
  ...["usr/bin", "usr/sbin", "usr/local/bin", "usr/local/sbin", "usr/local/lib"],
  ...[".lab/old", ".lab/system-bin", ".lab/system-sbin", ".lab/shims", ".lab/bin", ".lab/node_modules"],
];
const proxmoxFolders = [
  ...["snippets", "template/iso", "template/cache", "dump", "images", "import", "private"].map(
    (part) => `var/lib/vz/${part}`,
  ),
  ...["etc/pve/nodes", "etc/pve/qemu-server", "etc/pve/lxc", "var/lib/pve-manager"],
];
const topLevelSystem = ["bin", "sbin", "lib", "lib32", "lib64", "libx32", "nix", "gnu"];
const mountedFiles = [
  ".lab/node",
  ".lab/pve.sock",
  "dev/null",
  "dev/zero",
  "dev/full",
  "dev/random",
  "dev/urandom",
  "dev/tty",
  "etc/ld.so.cache",
];
const deviceLinks = [
  ["fd", "/proc/self/fd"],
  ["stdin", "/proc/self/fd/0"],
  ["stdout", "/proc/self/fd/1"],
  ["stderr", "/proc/self/fd/2"],
] as const;

/** Makes or completes the private root and returns its folder. */
export function ensurePrivateRoot(options: PrivateRootOptions): string {
  const root = privateFolder(options.folder);
  for (const folder of ownFolders) mkdirSync(join(root, folder), { recursive: true });
  if (options.kind === "proxmox")
    for (const folder of proxmoxFolders) mkdirSync(join(root, folder), { recursive: true });
  chmodSync(join(root, "tmp"), 0o1777);
  for (const file of mountedFiles) if (!existsSync(join(root, file))) writeFileSync(join(root, file), "");
  for (const [name, target] of deviceLinks) link(target, join(root, "dev", name));
  mirrorSystemLayout(root);
  writeTools(root, options.kind);
  writeIdentity(root, options);
  return root;
}

function mirrorSystemLayout(root: string): void {
  for (const name of topLevelSystem) {
    if (!existsSync(`/${name}`)) continue;
    if (lstatSync(`/${name}`).isSymbolicLink()) link(readlinkSync(`/${name}`), join(root, name));
    else mkdirSync(join(root, name), { recursive: true });
  }
  if (!existsSync("/usr")) return;
  for (const entry of readdirSync("/usr", { withFileTypes: true })) {
    if (entry.name === "bin" || entry.name === "sbin") continue;
    if (entry.isSymbolicLink()) link(readlinkSync(`/usr/${entry.name}`), join(root, "usr", entry.name));
    else if (entry.isDirectory() && entry.name !== "local")
      mkdirSync(join(root, "usr", entry.name), { recursive: true });
  }
}

/** /usr/bin and /usr/sbin: links to the system's programs, except those that the lab answers itself. */
function writeTools(root: string, kind: "proxmox" | "guest"): void {
  const own = new Map([...systemTools, ...(kind === "proxmox" ? proxmoxTools : guestTools)]);
  const hidden = new Set(["nvidia-smi", "poweroff", "reboot", "halt", "shutdown", "sudo", ...own.keys()]);
  for (const folder of ["bin", "sbin"]) {
    const system = `/usr/${folder}`;
    const programs = existsSync(system) && !lstatSync(system).isSymbolicLink() ? readdirSync(system) : [];
    const wanted = new Map(
      programs.filter((name) => !hidden.has(name)).map((name) => [name, `/.lab/system-${folder}/${name}`]),
    );
    for (const [tool, where] of own) {
      if (where !== `/usr/${folder}`) continue;
      wanted.set(tool, `/.lab/bin/${tool}`);
      const name = kind === "guest" && guestTools.has(tool) ? `guest-${tool}` : tool;
      const script = `#!/bin/sh\nexec /.lab/node --no-warnings /.lab/shims/main.ts ${name} "$@"\n`;
      writeFileSync(join(root, ".lab/bin", tool), script, { mode: 0o755 });
    }
    syncLinks(join(root, "usr", folder), wanted);
  }
  writeFileSync(join(root, ".lab/package.json"), '{"type":"module"}\n');
}

/** What a boot empties: /run, as the memory file system that it is on a real machine. */
export function emptyRuntime(root: string): void {
  rmSync(join(root, "run"), { recursive: true, force: true });
  for (const folder of ["run/lock", "run/systemd/system"]) mkdirSync(join(root, folder), { recursive: true });
}

function syncLinks(folder: string, wanted: ReadonlyMap<string, string>): void {
  const present = new Set(readdirSync(folder));
  for (const name of present) {
    const path = join(folder, name);
    if (!lstatSync(path).isSymbolicLink()) continue;
    const target = readlinkSync(path);
    if (wanted.get(name) !== target && target.startsWith("/.lab/")) {
      rmSync(path);
      present.delete(name);
    }
  }
  for (const [name, target] of wanted) if (!present.has(name)) symlinkSync(target, join(folder, name));
}

function link(target: string, path: string): void {
  if (!lstatSync(path, { throwIfNoEntry: false })) symlinkSync(target, path);
}

function writeIdentity(root: string, options: PrivateRootOptions): void {
  const initial: Record<string, string> = {
    "etc/hostname": `${options.hostName}\n`,
    "etc/hosts": `127.0.0.1 localhost\n127.0.1.1 ${options.hostName}\n`,
    "etc/passwd": "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    "etc/debian_version": "12.0\n",
    "etc/os-release":
      'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\nVERSION_ID="12"\nID=debian\n',
    "etc/fstab": "",
    "etc/modules": "",
    "etc/default/grub": 'GRUB_DEFAULT=0\nGRUB_TIMEOUT=5\nGRUB_CMDLINE_LINUX_DEFAULT="quiet"\nGRUB_CMDLINE_LINUX=""\n',
    "etc/kernel/cmdline": "root=ZFS=rpool/ROOT/pve-1 boot=zfs\n",
    "root/.profile": "",
  };
  for (const [path, text] of Object.entries(initial)) {
    if (!existsSync(join(root, path))) writeFileAtomic(join(root, path), text, 0o644);
  }
  addAccounts(join(root, "etc/passwd"), options.accounts ?? []);
  chmodSync(join(root, "root/.ssh"), 0o700);
  writeFileAtomic(join(root, "root/.ssh/authorized_keys"), options.authorizedKeys.map((key) => `${key}\n`).join(""));
}

/** A machine of the lab has one uid, so each account is another name of root's. */
function addAccounts(passwd: string, names: readonly string[]): void {
  const text = readFileSync(passwd, "utf8");
  const lines = text.split("\n");
  const fresh = names.filter(
    (name) => /^[a-z_][\w-]{0,31}$/.test(name) && !lines.some((line) => line.startsWith(`${name}:`)),
  );
  if (fresh.length > 0)
    writeFileAtomic(passwd, text + fresh.map((name) => `${name}:x:0:0::/root:/bin/bash\n`).join(""), 0o644);
}
