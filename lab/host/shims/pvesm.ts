// pvesm(1): storage status, content listing and the path of a volume.
import { api, listOf, nodeName, objectOf, textOf } from "./api.ts";
import { ToolError } from "./errors.ts";
import { unknownCommand } from "./guest-tool.ts";
import { parseOptions, requireCount } from "./options.ts";

export async function pvesm(args: string[]): Promise<void> {
  const [command, ...rest] = args;
  const { positional, options } = parseOptions(rest, ["enabled"]);
  switch (command) {
    case "apiinfo":
      return void process.stdout.write("APIVER 11\nAPIAGE 2\n");
    case "status":
      return status(options);
    case "list":
      requireCount(positional, ["storage"], "pvesm list <storage> [OPTIONS]");
      return list(positional[0] ?? "", options);
    case "path":
      requireCount(positional, ["volume"], "pvesm path <volume>");
      return void process.stdout.write(`${await volumePath(positional[0] ?? "")}\n`);
    case "free":
      return void (await free(positional[0] ?? ""));
    default:
      return unknownCommand("pvesm", command);
  }
}

async function status(options: Record<string, string>): Promise<void> {
  const rows = listOf(await api("GET", `/nodes/${await nodeName()}/storage`, options)).map(objectOf);
  const width = Math.max(10, ...rows.map((row) => textOf(row["storage"]).length));
  const line = (cells: string[]): string =>
    `${(cells[0] ?? "").padEnd(width)} ${(cells[1] ?? "").padStart(10)} ${(cells[2] ?? "").padStart(10)} ${cells
      .slice(3)
      .map((cell) => cell.padStart(15))
      .join(" ")}\n`;
  process.stdout.write(line(["Name", "Type", "Status", "Total", "Used", "Available", "%"]));
  for (const row of rows) {
    const kib = (key: string): string => String(Math.floor(Number(row[key] ?? 0) / 1024));
    const total = Number(row["total"] ?? 0);
    const percent = total > 0 ? `${((Number(row["used"] ?? 0) / total) * 100).toFixed(2)}%` : "0.00%";
    const state = textOf(row["active"]) === "1" ? "active" : textOf(row["enabled"]) === "0" ? "disabled" : "inactive";
    process.stdout.write(
      line([textOf(row["storage"]), textOf(row["type"]), state, kib("total"), kib("used"), kib("avail"), percent]),
    );
  }
}

async function list(storage: string, options: Record<string, string>): Promise<void> {
  const rows = listOf(
    await api("GET", `/nodes/${await nodeName()}/storage/${encodeURIComponent(storage)}/content`, options),
  ).map(objectOf);
  const width = Math.max(5, ...rows.map((row) => textOf(row["volid"]).length));
  process.stdout.write(
    `${"Volid".padEnd(width)} ${"Format".padEnd(7)} ${"Type".padEnd(9)} ${"Size".padStart(13)} VMID\n`,
  );
  for (const row of rows) {
    const cells = [
      textOf(row["format"]).padEnd(7),
      textOf(row["content"]).padEnd(9),
      textOf(row["size"]).padStart(13),
      textOf(row["vmid"]),
    ];
    process.stdout.write(`${textOf(row["volid"]).padEnd(width)} ${cells.join(" ")}\n`);
  }
}

async function free(volume: string): Promise<void> {
  const storage = volume.split(":")[0] ?? "";
  await api(
    "DELETE",
    `/nodes/${await nodeName()}/storage/${encodeURIComponent(storage)}/content/${encodeURIComponent(volume)}`,
  );
}

const folders: Record<string, string> = {
  iso: "template/iso",
  vztmpl: "template/cache",
  snippets: "snippets",
  backup: "dump",
  import: "import",
};

/** File of a volume id such as `local:iso/debian.iso` (PVE::Storage::Plugin, path layout of a directory storage). */
export async function volumePath(volume: string): Promise<string> {
  const match = /^([A-Za-z][\w.-]*):(.+)$/.exec(volume);
  const storage = match?.[1];
  const name = match?.[2];
  if (storage === undefined || name === undefined || name.split("/").includes("..")) {
    throw new ToolError(`unable to parse volume ID '${volume}'`, 255);
  }
  const config = objectOf(await api("GET", `/storage/${encodeURIComponent(storage)}`));
  const type = textOf(config["type"]);
  if (type === "zfspool") return `/dev/zvol/${textOf(config["pool"])}/${name}`;
  if (type === "lvmthin" || type === "lvm") return `/dev/${textOf(config["vgname"])}/${name}`;
  const base = textOf(config["path"]);
  if (base === "") throw new ToolError(`storage '${storage}' has no path`, 255);
  const slash = name.indexOf("/");
  const folder = slash < 0 ? "images" : (folders[name.slice(0, slash)] ?? "images");
  return `${base}/${folder}/${slash >= 0 && folder !== "images" ? name.slice(slash + 1) : name}`;
}
