// Pools and datasets of the host, as data. The file is /var/lib/lab/zfs.json of the host's own folder.
import { record, strings, withStored } from "./stored.ts";

export interface Dataset {
  kind: "filesystem" | "volume" | "snapshot";
  /** Locally set properties. */
  properties: Record<string, string>;
  /** Seconds since 1970. */
  creation: number;
}
export interface Pool {
  sizeBytes: number;
  /** Vdevs as given at creation, e.g. ["mirror", "/dev/nvme0n1", "/dev/nvme1n1"]. */
  vdevs: string[];
  properties: Record<string, string>;
}
export interface ZfsState {
  pools: Record<string, Pool>;
  datasets: Record<string, Dataset>;
}

const driveBytes = 2_000_398_934_016; // the size that a 2 TB NVMe drive reports

/** A fresh Proxmox installation on a mirror of two NVMe drives. */
function freshState(): ZfsState {
  const creation = Math.floor(Date.now() / 1000);
  const filesystem = (properties: Record<string, string> = {}): Dataset => ({
    kind: "filesystem",
    properties,
    creation,
  });
  return {
    pools: {
      rpool: {
        sizeBytes: driveBytes,
        vdevs: ["mirror", "/dev/nvme0n1p3", "/dev/nvme1n1p3"],
        properties: { ashift: "12" },
      },
    },
    datasets: {
      rpool: filesystem({ compression: "on", atime: "on", relatime: "on" }),
      "rpool/ROOT": filesystem(),
      "rpool/ROOT/pve-1": filesystem({ mountpoint: "/" }),
      "rpool/data": filesystem(),
      "rpool/var-lib-vz": filesystem({ mountpoint: "/var/lib/vz" }),
    },
  };
}

function decode(value: unknown): ZfsState {
  const stored = record(value);
  const pools: Record<string, Pool> = {};
  for (const [name, entry] of Object.entries(record(stored["pools"]))) {
    const pool = record(entry);
    const vdevs = Array.isArray(pool["vdevs"]) ? pool["vdevs"].filter((vdev) => typeof vdev === "string") : [];
    pools[name] = {
      sizeBytes: Number(pool["sizeBytes"] ?? driveBytes),
      vdevs,
      properties: strings(pool["properties"]),
    };
  }
  const datasets: Record<string, Dataset> = {};
  for (const [name, entry] of Object.entries(record(stored["datasets"]))) {
    const dataset = record(entry);
    const kind = dataset["kind"] === "volume" || dataset["kind"] === "snapshot" ? dataset["kind"] : "filesystem";
    datasets[name] = { kind, properties: strings(dataset["properties"]), creation: Number(dataset["creation"] ?? 0) };
  }
  return { pools, datasets };
}

export function withZfs<Result>(change: (state: ZfsState) => Result): Promise<Result> {
  return withStored("zfs", decode, freshState, change);
}

export function newPool(vdevs: string[], properties: Record<string, string>): Pool {
  const drives = vdevs.filter((word) => word.startsWith("/") || /^(nvme|sd|vd|wwn|ata|scsi)/.test(word)).length;
  const parity = vdevs.includes("raidz2") ? 2 : vdevs.includes("raidz") || vdevs.includes("raidz1") ? 1 : 0;
  const data = vdevs.includes("mirror") ? Math.max(1, Math.floor(drives / 2)) : Math.max(1, drives - parity);
  return { sizeBytes: data * driveBytes, vdevs, properties };
}

const defaults: Record<string, string> = {
  atime: "on",
  relatime: "on",
  checksum: "on",
  compression: "on",
  copies: "1",
  dedup: "off",
  exec: "on",
  primarycache: "all",
  quota: "none",
  readonly: "off",
  recordsize: "128K",
  refquota: "none",
  refreservation: "none",
  reservation: "none",
  setuid: "on",
  snapdir: "hidden",
  sync: "standard",
  volblocksize: "16K",
  xattr: "sa",
};
const notInherited = new Set(["quota", "reservation", "refquota", "refreservation", "volsize"]);
const unitless = (bytes: number): string => String(Math.round(bytes));

export interface Property {
  value: string;
  /** As `zfs get` prints it: local, default, -, or `inherited from NAME`. */
  source: string;
}

/** One property as ZFS would report it, undefined for an unknown one. */
export function propertyOf(state: ZfsState, name: string, key: string): Property | undefined {
  const dataset = state.datasets[name];
  if (dataset === undefined) return undefined;
  const pool = state.pools[name.split(/[/@]/)[0] ?? ""];
  const computed: Record<string, () => string> = {
    name: () => name,
    type: () => dataset.kind,
    creation: () => String(dataset.creation),
    used: () => unitless(dataset.kind === "snapshot" ? 0 : 98_304),
    available: () => (dataset.kind === "snapshot" ? "-" : unitless((pool?.sizeBytes ?? driveBytes) * 0.96)),
    referenced: () => unitless(98_304),
    usedbysnapshots: () => "0",
    compressratio: () => "1.00",
    mounted: () => (dataset.kind === "filesystem" ? "yes" : "-"),
    origin: () => "-",
  };
  const known = computed[key];
  if (known !== undefined) return { value: known(), source: "-" };
  for (let at: string | undefined = name; at !== undefined; at = parentOf(at)) {
    const local = state.datasets[at]?.properties[key];
    if (local === undefined) {
      if (notInherited.has(key)) break;
      continue;
    }
    if (key === "mountpoint" && at !== name && local.startsWith("/")) {
      return { value: `${local.replace(/\/$/, "")}${name.slice(at.length)}`, source: `inherited from ${at}` };
    }
    return { value: local, source: at === name ? "local" : `inherited from ${at}` };
  }
  if (key === "mountpoint") return { value: dataset.kind === "filesystem" ? `/${name}` : "-", source: "default" };
  const fallback = defaults[key];
  if (fallback !== undefined) return { value: fallback, source: "default" };
  return key.includes(":") ? { value: "-", source: "-" } : undefined;
}

export function parentOf(name: string): string | undefined {
  const cut = Math.max(name.lastIndexOf("/"), name.lastIndexOf("@"));
  return cut < 0 ? undefined : name.slice(0, cut);
}

/** `name` and everything below it: children and, of each, snapshots. */
export function subtree(state: ZfsState, name: string): string[] {
  return Object.keys(state.datasets)
    .filter((other) => other === name || other.startsWith(`${name}/`) || other.startsWith(`${name}@`))
    .sort();
}

export function knownProperties(): string[] {
  return [
    "type",
    "creation",
    "used",
    "available",
    "referenced",
    "compressratio",
    "mounted",
    "mountpoint",
    ...Object.keys(defaults),
  ];
}
