/**
 * A guest with a kernel and a clock of its own, for what no container shows: the limits of cgroup v2 as systemd sets
 * them, and the OOM killer. QEMU without hardware help.
 *
 * The guest's clock counts its instructions (`-icount`), and follows this machine's only while the guest is idle: to the
 * guest, a busy machine is not a slow one, so shares of CPU time measured in it mean something wherever the test runs.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type ssh2 from "ssh2";
import { connect, execute, freePort, type Ran } from "./guest.ts";

export const qemu = "qemu-system-x86_64";

/** How long the guest may take to let a client in, and to boot, ms: it is emulated, and this machine may be busy. */
const patienceMs = 240_000;

/** CPUs of the guest: instructions are counted for one alone. */
export const microvmCpus = 1;
/** Memory of the guest, MiB: the smallest server of the sizing grid. */
export const microvmRamMiB = 1024;

/** Everything that the sleeping guest's state depends on. One instruction takes 8 ns of its time. */
export const machineArgs: readonly string[] = [
  ...["-M", "microvm,rtc=on,pit=on,pic=on,isa-serial=on,acpi=on"],
  ...["-accel", "tcg,thread=single,tb-size=256", "-icount", "shift=3,sleep=on"],
  ...["-cpu", "qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt"],
  ...["-smp", String(microvmCpus), "-m", String(microvmRamMiB)],
  ...["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"],
  ...["-append", "console=ttyS0 root=/dev/vda rw quiet mitigations=off tsc=nowatchdog"],
  ...["-device", "virtio-blk-device,drive=root", "-device", "virtio-net-device,netdev=net"],
  ...["-object", "rng-random,id=rng,filename=/dev/urandom", "-device", "virtio-rng-device,rng=rng"],
];

export interface Microvm {
  /** Runs a command as root, over one connection that stays. */
  ssh(command: string, stdin?: string): Promise<Ran>;
  /** The same over a connection of its own: the server must answer anew. */
  sshAnew(command: string): Promise<Ran>;
  /** The end of what the guest's console shows. */
  console(): string;
  /** Writes the guest's memory beside its disk, and ends it. */
  fallAsleep(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Starts the guest in `image`.
 * @param options.asleep Whether its memory is there to wake from, and its disk to be left as it is; else it boots.
 * @throws Error with its console when SSH does not answer
 */
export async function bootMicrovm(image: string, { asleep }: { readonly asleep: boolean }): Promise<Microvm> {
  const folder = mkdtempSync(join(tmpdir(), "microvm-"));
  const consoleFile = join(folder, "console");
  writeFileSync(consoleFile, "");
  const port = await freePort();
  const privateKey = readFileSync(join(image, "key"), "utf8");
  const path = (name: string): string => join(image, name);
  const args = [
    ...["--pdeathsig", "KILL", qemu, ...machineArgs],
    ...["-kernel", path("kernel"), "-initrd", path("initrd.gz")],
    ...["-drive", `id=root,file=${path("disk")},format=raw,if=none,snapshot=${asleep ? "on" : "off"}`],
    ...["-netdev", `user,id=net,hostfwd=tcp:127.0.0.1:${String(port)}-:22`],
    ...["-serial", `file:${consoleFile}`, "-monitor", "stdio"],
    ...(asleep ? ["-incoming", `exec:cat '${path("state")}'`] : []),
  ];
  // What the guest writes to its disk goes to a file that QEMU makes in TMPDIR and unlinks at once.
  const machine = spawn("setpriv", args, { stdio: ["pipe", "pipe", "pipe"], env: { ...process.env, TMPDIR: folder } });
  let said = "";
  for (const stream of [machine.stdout, machine.stderr]) stream.on("data", (data: Buffer) => (said += data.toString()));
  machine.stdin.on("error", () => undefined);
  const ended = new Promise<void>((resolve) => {
    machine.once("close", () => resolve());
    machine.once("error", (error) => {
      said += error.message;
      resolve();
    });
  });
  const running = (): boolean => machine.pid !== undefined && machine.exitCode === null && machine.signalCode === null;
  const shown = (): string => `${readFileSync(consoleFile, "utf8").slice(-3000)}\n${said.slice(-1000)}`;
  let client: ssh2.Client | undefined;
  const close = async (): Promise<void> => {
    client?.end();
    if (running()) machine.kill("SIGKILL");
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const until = Date.now() + patienceMs;
    // Whoever connects to a guest that is still being read in is not heard.
    while (running() && Date.now() < until && !said.includes("VM status: running")) {
      machine.stdin.write("info status\n");
      await sleep(100);
    }
    // A try that began before the guest had a network may never end: the first are short, and each is longer.
    for (let answerMs = 5000; client === undefined; answerMs *= 1.5) {
      try {
        client = await connect(port, privateKey, "root", answerMs);
      } catch (cause) {
        if (Date.now() > until || !running()) throw new Error(`the guest does not answer:\n${shown()}`, { cause });
        await sleep(200);
      }
    }
    const login = client;
    // It slept since it was made.
    if (asleep) await execute(login, `date -s @${String(Math.floor(Date.now() / 1000))}`, "");
    return {
      ssh: (command, stdin = "") => execute(login, command, stdin),
      sshAnew: async (command) => {
        const own = await connect(port, privateKey, "root", patienceMs);
        try {
          return await execute(own, command, "");
        } finally {
          own.end();
        }
      },
      console: shown,
      fallAsleep: async () => {
        login.end();
        // Without a limit of speed; and `migrate` ends when all is written.
        machine.stdin.write(`migrate_set_parameter max-bandwidth 100G\nmigrate "exec:cat >'${path("state")}'"\nquit\n`);
        await ended;
        if (/error/i.test(said)) throw new Error(said);
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
