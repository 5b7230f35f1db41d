// pct(1): containers.
import { api, finishTask, listOf, nodeName, objectOf, textOf } from "./api.ts";
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

const switches = ["skiplock", "force", "verbose", "purge", "forceStop"];

export async function pct(args: string[]): Promise<void> {
  const [command, ...rest] = args;
  const { positional, options } = parseOptions(rest, switches);
  const vmid = positional[0];
  const one = (): void => requireCount(positional, ["vmid"], `pct ${command} <vmid> [OPTIONS]`);
  switch (command) {
    case "list":
      return list();
    case "config":
      return (one(), printConfig("lxc", vmid, options));
    case "pending":
      return (one(), printPending("lxc", vmid));
    case "set":
      return (one(), setConfig("lxc", vmid, options));
    case "status":
      return (one(), printStatus("lxc", vmid, options["verbose"] === "1"));
    case "start":
    case "stop":
    case "shutdown":
    case "suspend":
    case "resume":
    case "reboot":
      return (one(), changeState("lxc", vmid, command, options));
    case "unlock":
      return (
        one(),
        finishTask(await api("PUT", await guestPath("lxc", vmid, "/config"), { delete: "lock", skiplock: "1" }))
      );
    case "destroy":
      return (one(), finishTask(await api("DELETE", await guestPath("lxc", vmid), options)));
    default:
      return unknownCommand("pct", command);
  }
}

async function list(): Promise<void> {
  const guests = listOf(await api("GET", `/nodes/${await nodeName()}/lxc`)).map(objectOf);
  if (guests.length === 0) return;
  // PVE::CLI::pct prints "%-10s %-10s %-12s %-20s"
  const row = (cells: string[]): string =>
    `${(cells[0] ?? "").padEnd(10)} ${(cells[1] ?? "").padEnd(10)} ${(cells[2] ?? "").padEnd(12)} ${(cells[3] ?? "").padEnd(20)}\n`;
  process.stdout.write(row(["VMID", "Status", "Lock", "Name"]));
  for (const guest of guests.sort((a, b) => Number(a["vmid"]) - Number(b["vmid"]))) {
    process.stdout.write(row([guest["vmid"], guest["status"], guest["lock"], guest["name"]].map(textOf)));
  }
}
