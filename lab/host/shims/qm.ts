// qm(1): QEMU guests. Options go to the API unchanged, as PVE::CLI::qm does.
import { api, finishTask, listOf, nodeName, objectOf, textOf } from "./api.ts";
import { ToolError } from "./errors.ts";
import {
  changeState,
  guestPath,
  printConfig,
  printPending,
  printStatus,
  setConfig,
  unknownCommand,
} from "./guest-tool.ts";
import { parseOptions, requireCount } from "./options.ts";
import { volumePath } from "./pvesm.ts";

const switches = [
  "skiplock",
  "force",
  "verbose",
  "full",
  "current",
  "purge",
  "destroy-unreferenced-disks",
  "keepActive",
  "forceStop",
  "todisk",
];

export async function qm(args: string[]): Promise<void> {
  const [command, ...rest] = args;
  if (command === "--help" || command === "help")
    return void process.stdout.write("USAGE: qm <COMMAND> [ARGS] [OPTIONS]\n");
  if (command === "disk") return diskCommand(rest);
  if (command === "importdisk") return importDisk(rest);
  const { positional, options } = parseOptions(rest, switches);
  const vmid = positional[0];
  const one = (): void => requireCount(positional, ["vmid"], `qm ${command} <vmid> [OPTIONS]`);
  switch (command) {
    case "list":
      return list();
    case "config":
      return (one(), printConfig("qemu", vmid, options));
    case "pending":
      return (one(), printPending("qemu", vmid));
    case "set":
      return (one(), setConfig("qemu", vmid, options));
    case "status":
      return (one(), printStatus("qemu", vmid, options["verbose"] === "1"));
    case "start":
    case "stop":
    case "shutdown":
    case "suspend":
    case "resume":
    case "reset":
    case "reboot":
      return (one(), changeState("qemu", vmid, command, options));
    case "unlock":
      one();
      return finishTask(await api("PUT", await guestPath("qemu", vmid, "/config"), { delete: "lock", skiplock: "1" }));
    case "create":
      one();
      return finishTask(await api("POST", `/nodes/${await nodeName()}/qemu`, { ...options, vmid: vmid ?? "" }));
    case "destroy":
      one();
      return finishTask(await api("DELETE", await guestPath("qemu", vmid), options));
    case "resize":
      requireCount(positional, ["vmid", "disk", "size"], "qm resize <vmid> <disk> <size> [OPTIONS]");
      return resize(positional);
    case "template":
      return (one(), finishTask(await api("POST", await guestPath("qemu", vmid, "/template"), options)));
    default:
      return unknownCommand("qm", command);
  }
}

async function list(): Promise<void> {
  const guests = listOf(await api("GET", `/nodes/${await nodeName()}/qemu`)).map(objectOf);
  if (guests.length === 0) return;
  process.stdout.write(`${row(["VMID", "NAME", "STATUS", "MEM(MB)", "BOOTDISK(GB)", "PID"])}\n`);
  for (const guest of guests.sort((a, b) => Number(a["vmid"]) - Number(b["vmid"]))) {
    const memory = Math.round(Number(guest["maxmem"] ?? 0) / 2 ** 20);
    const disk = (Number(guest["maxdisk"] ?? 0) / 2 ** 30).toFixed(2);
    const cells = [guest["vmid"], guest["name"], guest["status"], memory, disk, guest["pid"] ?? 0];
    process.stdout.write(`${row(cells.map(textOf))}\n`);
  }
}

// PVE::CLI::qm prints "%10s %-20s %-10s %-10s %12s %-10s"
function row(cells: string[]): string {
  const [vmid = "", name = "", status = "", memory = "", disk = "", pid = ""] = cells;
  return `${vmid.padStart(10)} ${name.padEnd(20)} ${status.padEnd(10)} ${memory.padEnd(10)} ${disk.padStart(12)} ${pid.padEnd(10)}`;
}

async function resize(positional: readonly string[]): Promise<void> {
  const [vmid, disk = "", size = ""] = positional;
  await finishTask(await api("PUT", await guestPath("qemu", vmid, "/resize"), { disk, size }));
}

async function diskCommand(args: string[]): Promise<void> {
  const [command, ...rest] = args;
  if (command === "import") return importDisk(rest);
  if (command === "resize") return resize(parseOptions(rest, switches).positional);
  return unknownCommand("qm disk", command);
}

/** Imports as the first free `unusedN`; the last line is the one that scripts cut the volume out of. */
async function importDisk(args: string[]): Promise<void> {
  const { positional, options } = parseOptions(args, switches);
  requireCount(positional, ["vmid", "source", "storage"], "qm disk import <vmid> <source> <storage> [OPTIONS]");
  const [vmid = "", source = "", storage = ""] = positional;
  const { existsSync, statSync } = await import("node:fs");
  const file = source.startsWith("/") ? source : await volumePath(source);
  if (!existsSync(file)) throw new ToolError(`open ${file} failed - No such file or directory`, 255);
  const config = objectOf(await api("GET", await guestPath("qemu", vmid, "/config")));
  const number = [...Array(256).keys()].find((index) => config[`unused${index}`] === undefined) ?? 0;
  const sizeKiB = Math.max(1, Math.ceil(statSync(file).size / 1024));
  const taken = new Set(Object.values(config).flatMap((value) => /vm-\d+-disk-(\d+)/.exec(textOf(value))?.[1] ?? []));
  const disk = [...Array(256).keys()].find((index) => !taken.has(String(index))) ?? 0;
  process.stdout.write(`importing disk '${file}' to VM ${vmid} ...\n`);
  const volume = textOf(
    await api("POST", `/nodes/${await nodeName()}/storage/${encodeURIComponent(storage)}/content`, {
      vmid,
      filename: `vm-${vmid}-disk-${disk}`,
      size: String(sizeKiB),
      ...(options["format"] === undefined ? {} : { format: options["format"] }),
    }),
  );
  await finishTask(await api("PUT", await guestPath("qemu", vmid, "/config"), { [`unused${number}`]: volume }));
  process.stdout.write(`Successfully imported disk as 'unused${number}:${volume}'\n`);
}
