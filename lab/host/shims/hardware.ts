// lscpu(1) and lspci(8): what the lab's host is made of. The topology is /etc/lab-topology.json when a fixture gives one.
import { readFileSync } from "node:fs";
import { api, listOf, nodeName, objectOf, textOf } from "./api.ts";
import { ToolError } from "./errors.ts";
import { record } from "./stored.ts";

interface Cpu {
  cpu: number;
  core: number;
  socket: number;
  node: number;
}

/** What the API says of the host's processors, or a fixture's file. Linux numbers siblings n and n + cores. */
async function topology(): Promise<{ model: string; cpus: Cpu[] }> {
  let stored: Record<string, unknown> = {};
  try {
    stored = record(JSON.parse(readFileSync("/etc/lab-topology.json", "utf8")));
  } catch {
    stored = await fromApi().catch(() => ({}));
  }
  const number = (key: string, fallback: number): number => (typeof stored[key] === "number" ? stored[key] : fallback);
  const sockets = number("sockets", 1);
  const coresEach = number("coresPerSocket", 16);
  const threadsEach = number("threadsPerCore", 2);
  const cores = sockets * coresEach;
  const cpus = [...Array(cores * threadsEach).keys()].map((cpu) => {
    const core = cpu % cores;
    const socket = Math.floor(core / coresEach);
    return { cpu, core, socket, node: socket };
  });
  return { model: typeof stored["model"] === "string" ? stored["model"] : "AMD Ryzen 9 5950X 16-Core Processor", cpus };
}

async function fromApi(): Promise<Record<string, unknown>> {
  const cpu = objectOf(objectOf(await api("GET", `/nodes/${await nodeName()}/status`))["cpuinfo"] ?? null);
  const [sockets, cores, threads] = [Number(cpu["sockets"] ?? 1), Number(cpu["cores"]), Number(cpu["cpus"])];
  if (!(sockets > 0 && cores > 0 && threads > 0)) return {};
  return { sockets, coresPerSocket: cores / sockets, threadsPerCore: threads / cores, model: textOf(cpu["model"]) };
}

export async function lscpu(args: string[]): Promise<void> {
  const { model, cpus } = await topology();
  const json = args.some((arg) => arg === "-J" || arg === "--json" || /^-[a-z]*J/.test(arg));
  const extended = args.find((arg) => /^(-e|--extended|-p|--parse)/.test(arg));
  const known: Record<string, (cpu: Cpu) => string> = {
    cpu: (cpu) => String(cpu.cpu),
    core: (cpu) => String(cpu.core),
    socket: (cpu) => String(cpu.socket),
    node: (cpu) => String(cpu.node),
    online: () => "yes",
    maxmhz: () => "4900.0000",
    minmhz: () => "2200.0000",
  };
  if (extended !== undefined) {
    const parse = /^(-p|--parse)/.test(extended);
    const listed = /=(.+)$/.exec(extended)?.[1] ?? /^-[ep](.+)$/.exec(extended)?.[1];
    const columns = (listed ?? (parse ? "cpu,core,socket,node" : "cpu,node,socket,core,online"))
      .toLowerCase()
      .split(",");
    const cell = (cpu: Cpu, column: string): string => (known[column] ?? unknownColumn(column))(cpu);
    if (json) {
      const rows = cpus.map((cpu) =>
        Object.fromEntries(columns.map((column) => [column, jsonCell(column, cell(cpu, column))])),
      );
      return void process.stdout.write(`${JSON.stringify({ cpus: rows }, null, 3)}\n`);
    }
    const lines = cpus.map((cpu) => columns.map((column) => cell(cpu, column)).join(parse ? "," : " "));
    const head = parse
      ? `# The following is the parsable format\n# ${columns.map((c) => c.toUpperCase()).join(",")}`
      : columns.map((c) => c.toUpperCase()).join(" ");
    return void process.stdout.write(`${head}\n${lines.join("\n")}\n`);
  }
  const sockets = new Set(cpus.map((cpu) => cpu.socket)).size;
  const nodes = [...new Set(cpus.map((cpu) => cpu.node))];
  const cores = new Set(cpus.map((cpu) => cpu.core)).size;
  const fields: [string, string][] = [
    ["Architecture:", "x86_64"],
    ["CPU(s):", String(cpus.length)],
    ["On-line CPU(s) list:", `0-${cpus.length - 1}`],
    ["Vendor ID:", model.startsWith("AMD") ? "AuthenticAMD" : "GenuineIntel"],
    ["Model name:", model],
    ["Thread(s) per core:", String(cpus.length / cores)],
    ["Core(s) per socket:", String(cores / sockets)],
    ["Socket(s):", String(sockets)],
    ["Virtualization:", model.startsWith("AMD") ? "AMD-V" : "VT-x"],
    ["NUMA node(s):", String(nodes.length)],
    ...nodes.map((node): [string, string] => [
      `NUMA node${node} CPU(s):`,
      cpus
        .filter((cpu) => cpu.node === node)
        .map((cpu) => cpu.cpu)
        .join(","),
    ]),
  ];
  if (json)
    process.stdout.write(`${JSON.stringify({ lscpu: fields.map(([field, data]) => ({ field, data })) }, null, 3)}\n`);
  else process.stdout.write(fields.map(([field, data]) => `${field.padEnd(32)} ${data}\n`).join(""));
}

// util-linux 2.38 (Debian 12): ids are JSON numbers, ONLINE is a boolean.
function jsonCell(column: string, text: string): number | boolean | string {
  if (column === "online") return text === "yes";
  return /^[\d.]+$/.test(text) ? Number(text) : text;
}

function unknownColumn(column: string): never {
  throw new ToolError(`lscpu: unknown column: ${column}`, 1);
}

export async function lspci(args: string[]): Promise<void> {
  const numeric = args.some((arg) => /^-[a-z]*n/.test(arg));
  const devices = listOf(
    await api("GET", `/nodes/${await nodeName()}/hardware/pci`, { "pci-class-blacklist": "" }),
  ).map(objectOf);
  for (const device of devices) {
    const id = (key: string): string => textOf(device[key]).replace(/^0x/, "");
    const type = id("class").padStart(6, "0").slice(0, 4);
    const label = `${textOf(device["vendor_name"])} ${textOf(device["device_name"])}`.trim();
    const slot = args.some((arg) => /^-[a-z]*D/.test(arg))
      ? textOf(device["id"])
      : textOf(device["id"]).replace(/^0000:/, "");
    process.stdout.write(
      `${slot} ${className(type)}${numeric ? ` [${type}]` : ""}: ${label}${numeric ? ` [${id("vendor")}:${id("device")}]` : ""}\n`,
    );
  }
}

function className(type: string): string {
  const names: Record<string, string> = {
    ...{
      "0108": "Non-Volatile memory controller",
      "0200": "Ethernet controller",
      "0300": "VGA compatible controller",
      "0403": "Audio device",
    },
    ...{
      "0604": "PCI bridge",
      "0c03": "USB controller",
      "0880": "System peripheral",
      "1200": "Processing accelerators",
      "0106": "SATA controller",
    },
  };
  return names[type] ?? "Unclassified device";
}
