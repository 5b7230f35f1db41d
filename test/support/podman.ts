import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  rmdirSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** A Podman of a test's own: storage, socket, network and cgroups apart from any other's. */
export interface TestPodman {
  readonly socketPath: string;
  /** Makes a container, not started, that runs this script in a shell. */
  create(name: string, script: string): void;
  /** Removes every container, the service, the storage and the cgroups. */
  remove(): Promise<void>;
}

/** Its default namespaces and limits: none that this machine might refuse. */
const containersConf = `[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
netns = "none"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
`;

/**
 * A mount namespace of its own, in which a hybrid machine's cgroup v2 is out of sight: Podman wants v1 or v2 alone.
 * Network namespace of its own too, so that nothing of the machine's is changed.
 */
const enter = 'if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi; exec podman "$@"';

function isProgram(name: string): boolean {
  return (process.env["PATH"] ?? "").split(":").some((folder) => folder !== "" && existsSync(join(folder, name)));
}

/** Starts Podman's API service, or says why it cannot be run here. */
export async function openTestPodman(): Promise<TestPodman | { readonly missing: string }> {
  if (process.getuid?.() !== 0) return { missing: "a Podman of the test's own takes root" };
  for (const name of ["podman", "busybox", "unshare", "tar"])
    if (!isProgram(name)) return { missing: `no ${name} on PATH` };
  const folder = mkdtempSync(join(tmpdir(), "hive-podman-"));
  const parent = `hive-podman-${String(process.pid)}`;
  const conf = join(folder, "containers.conf");
  writeFileSync(conf, containersConf);
  const options = [
    "--root",
    join(folder, "root"),
    "--runroot",
    join(folder, "runroot"),
    "--tmpdir",
    join(folder, "tmp"),
  ];
  const argv = (args: readonly string[]): string[] => [
    ...["--mount", "--net", "sh", "-c", enter, "podman", ...options, "--storage-driver", "vfs"],
    ...args,
  ];
  const env = { PATH: process.env["PATH"], HOME: folder, CONTAINERS_CONF: conf };
  const podman = (...args: string[]): string => {
    const done = spawnSync("unshare", argv(args), { encoding: "utf8", env, timeout: 60_000 });
    if (done.status !== 0) throw new Error(`podman ${args.join(" ")}: ${done.stderr.trim()}`);
    return done.stdout;
  };
  const removeFolder = (): void => {
    rmSync(folder, { recursive: true, force: true });
    for (const root of ["/sys/fs/cgroup", ...foldersIn("/sys/fs/cgroup")]) removeGroups(join(root, parent));
  };
  try {
    importBusybox(folder, podman);
    // One run tells whether this machine starts containers at all.
    podman("run", "--rm", "--cgroup-parent", `/${parent}`, "hive-test:1", "/bin/sh", "-c", "exit 0");
  } catch (error) {
    removeFolder();
    return { missing: error instanceof Error ? error.message : String(error) };
  }
  const socketPath = join(folder, "podman.sock");
  const service = spawn("unshare", argv(["system", "service", "--time=0", `unix://${socketPath}`]), {
    stdio: "ignore",
    env,
  });
  const exited = once(service, "exit");
  for (let turn = 0; turn < 500 && !existsSync(socketPath); turn += 1) await sleep(20);
  return {
    socketPath,
    create: (name, script) => {
      podman("create", "--name", name, "--cgroup-parent", `/${parent}`, "hive-test:1", "/bin/sh", "-c", script);
    },
    remove: async () => {
      podman("rm", "--force", "--all", "--time", "0");
      service.kill("SIGKILL");
      await exited;
      removeFolder();
    },
  };
}

function importBusybox(folder: string, podman: (...args: string[]) => string): void {
  const image = join(folder, "image");
  mkdirSync(join(image, "bin"), { recursive: true });
  const busybox = (process.env["PATH"] ?? "")
    .split(":")
    .map((one) => join(one, "busybox"))
    .find((file) => existsSync(file));
  if (busybox === undefined) throw new Error("no busybox on PATH");
  copyFileSync(busybox, join(image, "bin", "busybox"));
  for (const name of ["sh", "sleep", "true"]) symlinkSync("busybox", join(image, "bin", name));
  const tar = spawnSync("tar", ["-C", image, "-cf", join(folder, "image.tar"), "."]);
  if (tar.status !== 0) throw new Error("the image could not be packed");
  podman("import", join(folder, "image.tar"), "hive-test:1");
}

function foldersIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => join(folder, entry.name));
  } catch {
    return [];
  }
}

function removeGroups(folder: string): void {
  for (const child of foldersIn(folder)) removeGroups(child);
  try {
    rmdirSync(folder);
  } catch {
    // Not there, or a monitor of Podman's is still leaving it.
  }
}
