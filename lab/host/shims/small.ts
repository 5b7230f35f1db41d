// Tools of which the lab needs little: each checks its arguments and records or reports, nothing more.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { api, finishTask, nodeName, objectOf, textOf } from "./api.ts";
import { ToolError } from "./errors.ts";

type Tool = (args: string[]) => Promise<void> | void;

export const small: Record<string, Tool> = {
  hostname: (args) => {
    const name = readFileSync("/etc/hostname", "utf8").trim();
    const fresh = args.find((arg) => !arg.startsWith("-"));
    if (fresh !== undefined) return writeFileSync("/etc/hostname", `${fresh}\n`);
    if (args.includes("-I")) return void process.stdout.write("127.0.0.1 \n");
    process.stdout.write(`${args.includes("-s") ? (name.split(".")[0] ?? name) : name}\n`);
  },
  modprobe: (args) => {
    const names = args.filter((arg) => !arg.startsWith("-"));
    if (names.length === 0) throw new ToolError("modprobe: ERROR: missing parameters. See -h.", 1);
    const path = "/run/lab-modules";
    const loaded = new Set(existsSync(path) ? readFileSync(path, "utf8").split("\n") : []);
    for (const name of args.includes("-r") ? names : names.slice(0, 1)) {
      if (args.includes("-r")) loaded.delete(name);
      else loaded.add(name);
    }
    mkdirSync("/run", { recursive: true });
    writeFileSync(path, [...loaded].join("\n"));
  },
  "update-grub": () => void process.stderr.write("Generating grub configuration file ...\ndone\n"),
  "update-initramfs": (args) => {
    if (!args.some((arg) => /^-[ucd]/.test(arg)))
      throw new ToolError("You must specify at least one of -c, -u, or -d.", 1);
    process.stdout.write("update-initramfs: Generating /boot/initrd.img-6.8.12-4-pve\n");
  },
  "proxmox-boot-tool": (args) => {
    if (args[0] === "refresh") return void process.stdout.write("Running hook script 'proxmox-auto-removal'..\n");
    if (args[0] === "status") return void process.stdout.write("System currently booted with uefi\n");
    throw new ToolError(`E: Unknown command '${args[0] ?? ""}'.`, 1);
  },
  ifreload: async (args) => {
    if (!args.includes("-a")) throw new ToolError("usage: ifreload [-h] (-a|-c)", 1);
    await finishTask(await api("PUT", `/nodes/${await nodeName()}/network`));
  },
  "pve-firewall": async (args) => {
    const command = args[0];
    if (command === "status") {
      const options = objectOf(await api("GET", "/cluster/firewall/options"));
      return void process.stdout.write(
        `Status: ${textOf(options["enable"]) === "1" ? "enabled" : "disabled"}/running\n`,
      );
    }
    if (command === "compile" || command === "restart" || command === "start" || command === "stop") return;
    throw new ToolError(
      `ERROR: unknown command 'pve-firewall ${command ?? ""}'\nUSAGE: pve-firewall <COMMAND> [ARGS] [OPTIONS]`,
      255,
    );
  },
  pveversion: async (args) => {
    const version = objectOf(await api("GET", "/version"));
    const full = textOf(version["version"]);
    process.stdout.write(`pve-manager/${full}/${textOf(version["repoid"])} (running kernel: 6.8.12-4-pve)\n`);
    if (args.includes("-v") || args.includes("--verbose")) process.stdout.write(`proxmox-ve: ${full}\n`);
  },
};
