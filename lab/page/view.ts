// What the page shows, made from the Proxmox API's own answers. Only named fields are taken over: no password, key or
// token of a guest's configuration can reach the browser by being new.
import { listOf, number, rowOf, text } from "./fields.ts";
import type { Row } from "./fields.ts";
import { keeperView } from "./keeper-view.ts";
import type { KeeperAnswers, KeeperView } from "./keeper-view.ts";

export interface LabView {
  node: {
    name: string;
    version: string;
    cpuModel: string;
    cores: number;
    threads: number;
    sockets: number;
    memoryBytes: number;
    memoryUsedBytes: number;
  };
  guests: GuestView[];
  bridges: BridgeView[];
  storages: { name: string; type: string; content: string; totalBytes: number; usedBytes: number; active: boolean }[];
  mappings: { kind: "pci" | "usb"; id: string; description: string; holders: number[] }[];
  tasks: { type: string; id: string; user: string; startSec: number; endSec: number | undefined; status: string }[];
  events: { at: string; text: string }[];
  keeper: KeeperView;
}

export interface GuestView {
  vmid: number;
  name: string;
  kind: "qemu" | "lxc";
  state: string;
  template: boolean;
  cores: number;
  memoryBytes: number;
  memoryUsedBytes: number;
  uptimeSec: number;
  tags: string[];
  addresses: string[];
  /** Host threads the guest is pinned to. */
  pins: number[];
  devices: string[];
  sshPort: number | undefined;
}

export interface BridgeView {
  name: string;
  address: string;
  mtu: number;
  ports: string;
  vlanAware: boolean;
  comment: string;
  nics: { vmid: number; name: string; nic: string; vlan: number | undefined }[];
}

/** Raw answers, each possibly missing while the API is young. */
export interface LabAnswers {
  nodeName: string;
  version: Row;
  nodeStatus: Row;
  resources: readonly Row[];
  /** By VM id. */
  configs: ReadonlyMap<number, Row>;
  network: readonly Row[];
  storages: readonly Row[];
  pciMappings: readonly Row[];
  usbMappings: readonly Row[];
  tasks: readonly Row[];
  events: unknown;
  sshPorts: ReadonlyMap<number, number>;
  keeper: KeeperAnswers;
}

/** Pure and total: unknown shapes give empty fields. */
export function labView(answers: LabAnswers): LabView {
  const guests = answers.resources.flatMap((row) => guestView(row, answers)).sort((a, b) => a.vmid - b.vmid);
  const cpu = rowOf(answers.nodeStatus["cpuinfo"]);
  const memory = rowOf(answers.nodeStatus["memory"]);
  const sockets = number(cpu["sockets"]) || 1;
  const threads = number(cpu["cpus"]);
  return {
    node: {
      name: answers.nodeName,
      version: text(answers.version["version"]),
      cpuModel: text(cpu["model"]),
      cores: number(cpu["cores"]) || threads,
      threads,
      sockets,
      memoryBytes: number(memory["total"]),
      memoryUsedBytes: number(memory["used"]),
    },
    guests,
    bridges: answers.network.flatMap((row) => bridgeView(row, guests, answers.configs)),
    storages: answers.storages.map((row) => ({
      name: text(row["storage"]),
      type: text(row["type"]),
      content: text(row["content"]),
      totalBytes: number(row["total"]),
      usedBytes: number(row["used"]),
      active: number(row["active"]) === 1,
    })),
    mappings: [
      ...answers.pciMappings.map((row) => mappingView("pci", row, answers.configs)),
      ...answers.usbMappings.map((row) => mappingView("usb", row, answers.configs)),
    ],
    tasks: answers.tasks.slice(0, 40).map((row) => ({
      type: text(row["type"]),
      id: text(row["id"]),
      user: text(row["user"]),
      startSec: number(row["starttime"]),
      endSec: row["endtime"] === undefined ? undefined : number(row["endtime"]),
      status: text(row["status"]) || text(row["exitstatus"]) || "running",
    })),
    events: eventList(answers.events),
    keeper: keeperView(answers.keeper),
  };
}

function guestView(row: Row, answers: LabAnswers): GuestView[] {
  const vmid = number(row["vmid"]);
  const kind = row["type"] === "lxc" ? "lxc" : row["type"] === "qemu" ? "qemu" : undefined;
  if (kind === undefined || vmid === 0) return [];
  const config = answers.configs.get(vmid) ?? {};
  return [
    {
      vmid,
      kind,
      name: text(row["name"]) || text(config["name"]) || text(config["hostname"]),
      state: text(row["lock"]) || text(row["status"]) || "unknown",
      template: number(row["template"]) === 1,
      cores: number(row["maxcpu"]) || number(config["cores"]),
      memoryBytes: number(row["maxmem"]),
      memoryUsedBytes: number(row["mem"]),
      uptimeSec: number(row["uptime"]),
      tags: text(row["tags"] ?? config["tags"])
        .split(/[;, ]+/)
        .filter((tag) => tag !== ""),
      addresses: addressesOf(config),
      pins: cpuList(text(config["affinity"])),
      devices: devicesOf(config),
      sshPort: answers.sshPorts.get(vmid),
    },
  ];
}

/** `0-3,8` as the kernel's cpu lists are written; nonsense gives nothing. */
export function cpuList(list: string): number[] {
  const cpus = new Set<number>();
  for (const part of list.split(",")) {
    const match = /^\s*(\d{1,4})(?:-(\d{1,4}))?\s*$/.exec(part);
    if (match === null) continue;
    const first = Number(match[1]);
    for (let cpu = first; cpu <= Number(match[2] ?? first); cpu += 1) cpus.add(cpu);
  }
  return [...cpus].sort((a, b) => a - b);
}

function addressesOf(config: Row): string[] {
  return Object.entries(config).flatMap(([key, value]) =>
    /^(ipconfig|net)\d+$/.test(key)
      ? [...text(value).matchAll(/\bip6?=([^,\s]+)/g)].flatMap((match) => match[1] ?? [])
      : [],
  );
}

function devicesOf(config: Row): string[] {
  return Object.entries(config).flatMap(([key, value]) => {
    if (!/^(hostpci|usb)\d+$/.test(key)) return [];
    return [mappingName(text(value)) ?? text(value).split(",")[0] ?? key];
  });
}

function mappingName(value: string): string | undefined {
  return /\bmapping=([^,]+)/.exec(value)?.[1];
}

function bridgeView(row: Row, guests: readonly GuestView[], configs: ReadonlyMap<number, Row>): BridgeView[] {
  if (!/bridge/i.test(text(row["type"]))) return [];
  const name = text(row["iface"]);
  const nics = guests.flatMap((guest) =>
    Object.entries(configs.get(guest.vmid) ?? {}).flatMap(([key, value]) => {
      if (!/^net\d+$/.test(key) || /\bbridge=([^,]+)/.exec(text(value))?.[1] !== name) return [];
      const vlan = /\btag=(\d+)/.exec(text(value))?.[1];
      return [{ vmid: guest.vmid, name: guest.name, nic: key, vlan: vlan === undefined ? undefined : Number(vlan) }];
    }),
  );
  return [
    {
      name,
      nics,
      address: text(row["cidr"]) || text(row["address"]),
      mtu: number(row["mtu"]) || 1500,
      ports: text(row["bridge_ports"]).replace(/^none$/, ""),
      vlanAware: number(row["bridge_vlan_aware"]) === 1,
      // The mark is for programs; people read what stands before it.
      comment: text(row["comments"])
        .replace(/\s*\[hive project=[^\]]*\]/, "")
        .trim(),
    },
  ];
}

function mappingView(kind: "pci" | "usb", row: Row, configs: ReadonlyMap<number, Row>): LabView["mappings"][number] {
  const id = text(row["id"]);
  const holders = [...configs].flatMap(([vmid, config]) =>
    Object.entries(config).some(([key, value]) => /^(hostpci|usb)\d+$/.test(key) && mappingName(text(value)) === id)
      ? [vmid]
      : [],
  );
  return { kind, id, description: text(row["description"]), holders };
}

/** The lab's journal: `{next, events: [{at, kind, user?, detail}]}`, with or without the API's `data` around it. */
function eventList(value: unknown): LabView["events"] {
  const inner = rowOf(value)["data"] ?? value;
  return listOf(rowOf(inner)["events"] ?? inner)
    .slice(-100)
    .map((entry) => {
      const event = rowOf(entry);
      const detail = Object.entries(rowOf(event["detail"])).map(([key, part]) => `${key} ${text(part)}`);
      const words = [text(event["kind"]), text(event["message"]), ...detail, text(event["user"])];
      return { at: text(event["at"]), text: words.filter((word) => word !== "").join(" · ") };
    });
}
