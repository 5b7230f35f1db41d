// What qm and pct have in common: addressing a guest on the node and printing its configuration.
import { api, finishTask, listOf, nodeName, objectOf, textOf } from "./api.ts";
import type { Params } from "./api.ts";
import { ToolError } from "./errors.ts";

export type GuestKind = "qemu" | "lxc";

export async function guestPath(kind: GuestKind, vmid: string | undefined, rest = ""): Promise<string> {
  if (vmid === undefined || !/^[1-9]\d{2,8}$/.test(vmid)) {
    throw new ToolError(
      `400 Parameter verification failed.\nvmid: type check ('integer') failed - got '${vmid ?? ""}'`,
      255,
    );
  }
  return `/nodes/${await nodeName()}/${kind}/${vmid}${rest}`;
}

export async function printConfig(kind: GuestKind, vmid: string | undefined, options: Params): Promise<void> {
  const config = objectOf(await api("GET", await guestPath(kind, vmid, "/config"), options));
  for (const key of Object.keys(config).sort()) {
    if (key !== "digest") process.stdout.write(`${key}: ${textOf(config[key]).replace(/\n/g, "%0A")}\n`);
  }
}

export async function printPending(kind: GuestKind, vmid: string | undefined): Promise<void> {
  for (const entry of listOf(await api("GET", await guestPath(kind, vmid, "/pending")))) {
    const item = objectOf(entry);
    const key = textOf(item["key"]);
    if (key === "digest") continue;
    if (item["value"] !== undefined) process.stdout.write(`cur ${key}: ${textOf(item["value"])}\n`);
    if (item["pending"] !== undefined) process.stdout.write(`new ${key}: ${textOf(item["pending"])}\n`);
    if (item["delete"] !== undefined) process.stdout.write(`del ${key}\n`);
  }
}

/** qm's and pct's `set`: prints each changed drive or key as the real tool does, and waits. */
export async function setConfig(kind: GuestKind, vmid: string | undefined, options: Params): Promise<void> {
  if (Object.keys(options).length === 0) throw new ToolError("no options specified", 255);
  await finishTask(await api("PUT", await guestPath(kind, vmid, "/config"), options));
  if (kind === "qemu") {
    for (const key of Object.keys(options)) {
      if (!["delete", "digest", "skiplock", "force", "revert"].includes(key))
        process.stdout.write(`update VM ${vmid}: -${key} ${shown(key, options[key] ?? "")}\n`);
    }
  }
}

function shown(key: string, value: string): string {
  return key === "cipassword" ? "<hidden>" : value;
}

export async function changeState(
  kind: GuestKind,
  vmid: string | undefined,
  verb: string,
  options: Params,
): Promise<void> {
  await finishTask(await api("POST", await guestPath(kind, vmid, `/status/${verb}`), options));
}

export async function printStatus(kind: GuestKind, vmid: string | undefined, verbose: boolean): Promise<void> {
  const status = objectOf(await api("GET", await guestPath(kind, vmid, "/status/current")));
  if (!verbose) return void process.stdout.write(`status: ${textOf(status["qmpstatus"] ?? status["status"])}\n`);
  for (const key of Object.keys(status).sort()) process.stdout.write(`${key}: ${textOf(status[key])}\n`);
}

/** The real tools name the whole call, list nothing and leave with 255. */
export function unknownCommand(tool: string, command: string | undefined): never {
  throw new ToolError(
    command === undefined
      ? `ERROR: no command specified\nUSAGE: ${tool} <COMMAND> [ARGS] [OPTIONS]`
      : `ERROR: unknown command '${tool} ${command}'\nUSAGE: ${tool} <COMMAND> [ARGS] [OPTIONS]`,
    255,
  );
}
