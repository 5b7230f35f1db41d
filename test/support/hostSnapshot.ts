import { request } from "node:http";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join, relative } from "node:path";

/** Everything on the host that a stack could have made or touched, as text by name; two hosts are alike when these are. */
export type HostSnapshot = Readonly<Record<string, string>>;

/** What differs from one creation to the next without meaning anything. */
const volatile = new Set(["digest", "vmgenid", "smbios1", "meta", "uptime", "ctime", "pid"]);

/** Reads the Proxmox API as root through the lab's socket. */
export async function readRoot(rootSocket: string, path: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath: rootSocket, path: `/api2/json${path}`, timeout: 10_000 }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (body += chunk));
      response.on("end", () => {
        if (response.statusCode !== 200) {
          reject(new Error(`${path}: ${String(response.statusCode)} ${body.slice(0, 200)}`));
          return;
        }
        const parsed: unknown = JSON.parse(body);
        resolve(typeof parsed === "object" && parsed !== null ? Reflect.get(parsed, "data") : undefined);
      });
    });
    call.on("timeout", () => call.destroy(new Error(`${path}: no answer in 10 s`)));
    call.on("error", reject);
    call.end();
  });
}

function rows(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter((row): row is Record<string, unknown> => row instanceof Object) : [];
}

function stable(value: unknown): string {
  return JSON.stringify(value, (key: string, inner: unknown) => {
    if (volatile.has(key)) return undefined;
    if (inner instanceof Object && !Array.isArray(inner)) {
      return Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => a.localeCompare(b)));
    }
    return inner;
  });
}

/** Files below the host's private root that steps write: units, programs, kept state. */
function hostFiles(hostRoot: string): Record<string, string> {
  const found: Record<string, string> = {};
  const walk = (folder: string): void => {
    if (!existsSync(folder)) return;
    for (const name of readdirSync(folder)) {
      const path = join(folder, name);
      const info = statSync(path, { throwIfNoEntry: false });
      if (info?.isDirectory() === true) walk(path);
      else if (info?.isFile() === true) found[`file ${relative(hostRoot, path)}`] = readFileSync(path, "utf8");
    }
  };
  for (const folder of ["etc/systemd/system", "usr/local/sbin", "var/lib/hive", "var/lib/vz/snippets"]) {
    walk(join(hostRoot, folder));
  }
  return found;
}

/** The data sets of a fresh installation: what the host's `zfs` starts from when it is first used. */
const installed = ["rpool", "rpool/ROOT", "rpool/ROOT/pve-1", "rpool/data", "rpool/var-lib-vz"];

function stored(hostRoot: string, name: string): unknown {
  const file = join(hostRoot, "var/lib/lab", `${name}.json`);
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : undefined;
}

/** Data sets and running units, which the host's own tools keep. */
function hostTools(hostRoot: string): Record<string, string> {
  const named = (value: unknown, field: string): [string, unknown][] => {
    const inner: unknown = value instanceof Object ? Reflect.get(value, field) : undefined;
    return inner instanceof Object ? Object.entries(inner) : [];
  };
  const zfs = named(stored(hostRoot, "zfs"), "datasets").map(([name]) => name);
  return Object.fromEntries([
    ...(zfs.length === 0 ? installed : zfs).map((name) => [`zfs ${name}`, "there"]),
    ...named(stored(hostRoot, "units"), "active").map(([name]) => [`unit ${name}`, "active"]),
  ]);
}

/** Takes the snapshot. Run states are part of it, metrics and identifiers that change with each creation are not. */
export async function takeHostSnapshot(lab: { readonly rootSocket: string }, hostRoot: string): Promise<HostSnapshot> {
  const node = "/nodes/pve";
  const snapshot: Record<string, string> = { ...hostFiles(hostRoot), ...hostTools(hostRoot) };
  const read = (path: string): Promise<unknown> => readRoot(lab.rootSocket, path);
  for (const kind of ["qemu", "lxc"]) {
    for (const guest of rows(await read(`${node}/${kind}`))) {
      const id = String(guest["vmid"]);
      snapshot[`${kind} ${id}`] = stable(await read(`${node}/${kind}/${id}/config`));
      snapshot[`${kind} ${id} status`] = String(guest["status"]);
      snapshot[`${kind} ${id} firewall`] = stable(await read(`${node}/${kind}/${id}/firewall/options`));
      snapshot[`${kind} ${id} rules`] = stable(await read(`${node}/${kind}/${id}/firewall/rules`));
    }
  }
  for (const network of rows(await read(`${node}/network`))) {
    snapshot[`network ${String(network["iface"])}`] = stable(network);
  }
  for (const storage of rows(await read("/storage"))) {
    const id = String(storage["storage"]);
    snapshot[`storage ${id}`] = stable(storage);
    for (const content of rows(await read(`${node}/storage/${id}/content`))) {
      snapshot[`volume ${String(content["volid"])}`] = String(content["vmid"] ?? "");
    }
  }
  for (const kind of ["pci", "usb"]) {
    for (const mapping of rows(await read(`/cluster/mapping/${kind}`))) {
      snapshot[`mapping ${kind} ${String(mapping["id"])}`] = stable(mapping);
    }
  }
  for (const group of rows(await read("/cluster/firewall/groups"))) {
    const name = String(group["group"]);
    snapshot[`group ${name}`] = stable(group) + stable(await read(`/cluster/firewall/groups/${name}`));
  }
  snapshot["cluster firewall"] = stable(await read("/cluster/firewall/options"));
  snapshot["cluster rules"] = stable(await read("/cluster/firewall/rules"));
  return snapshot;
}

/** The differences between two snapshots, one line each; none when the hosts are alike. */
export function compareSnapshots(before: HostSnapshot, after: HostSnapshot): readonly string[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].toSorted();
  return names.flatMap((name) => {
    const [old, now] = [before[name], after[name]];
    if (old === now) return [];
    if (old === undefined) return [`+ ${name}: ${String(now)}`];
    if (now === undefined) return [`- ${name}: ${old}`];
    return [`~ ${name}: ${old} -> ${now}`];
  });
}
