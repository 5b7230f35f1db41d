import { parseLscpu } from "../../components/shared/topology.ts";
import { ApiError, ProxmoxApi, type Row } from "../proxmox/api.ts";
import { sshRun } from "../proxmox/ssh.ts";
import { observeHost } from "../repair/observe.ts";
import type { HostObject } from "../repair/objects.ts";
import type { HostConnection, Target } from "../targets/target.ts";
import { problemOf } from "./access.ts";
import type { HostObservation } from "./observation.ts";

const text = (row: Row, name: string): string => {
  const value = row[name];
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
};

/** The answer, or `undefined` when this one thing may not be asked. Lost connections are told by the first call. */
async function maybe<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof ApiError) return undefined;
    throw error;
  }
}

/** Asks the host by API and SSH. Changes nothing. `known` is what the stack's state holds. */
export async function observe(
  host: HostConnection,
  target: Pick<Target, "project" | "stack">,
  known: readonly Pick<HostObject, "kind" | "id">[],
): Promise<HostObservation> {
  const [overApi, overSsh] = await Promise.all([observeApi(host, target, known), observeSsh(host)]);
  return { tokenId: host.apiToken.split("=")[0] ?? "", ...overApi, ...overSsh };
}

type ApiPart = Omit<HostObservation, "tokenId" | "sshProblem" | "uid" | "hasQm" | "topology" | "usb">;

async function observeApi(
  host: HostConnection,
  target: Pick<Target, "project" | "stack">,
  known: readonly Pick<HostObject, "kind" | "id">[],
): Promise<ApiPart> {
  const api = new ProxmoxApi(host);
  const node = host.nodeName;
  const nothing = {
    nodes: undefined,
    permissions: undefined,
    bridges: undefined,
    addresses: undefined,
    zfsPools: undefined,
    storages: undefined,
    pci: undefined,
    ramMiB: undefined,
    guests: undefined,
    objects: undefined,
    isos: undefined,
  };
  let nodes: string[];
  try {
    nodes = (await api.list("/nodes")).map((row) => text(row, "node"));
  } catch (error) {
    return { ...nothing, apiProblem: problemOf(error) };
  }
  const permissions = await maybe(async () => decodePermissions(await api.record("/access/permissions")));
  if (!nodes.includes(node)) return { ...nothing, apiProblem: undefined, nodes, permissions };
  const [interfaces, zfsPools, stores, pci, status] = await Promise.all([
    maybe(() => api.list(`/nodes/${node}/network`)),
    maybe(() => api.list(`/nodes/${node}/disks/zfs`)),
    maybe(() => api.list(`/nodes/${node}/storage`)),
    maybe(() => api.list(`/nodes/${node}/hardware/pci`)),
    maybe(() => api.record(`/nodes/${node}/status`)),
  ]);
  const taken = await maybe(async () => {
    const names = new Map<string, string>();
    for (const kind of ["qemu", "lxc"])
      for (const row of await api.list(`/nodes/${node}/${kind}`)) names.set(text(row, "vmid"), text(row, "name"));
    const inState = new Set(known.map(({ kind, id }) => `${kind} ${id}`));
    const seen = (await observeHost(api)).map(({ kind, id, mark }) => ({
      kind,
      id,
      ours: (mark?.project === target.project && mark.stack === target.stack) || inState.has(`${kind} ${id}`),
    }));
    return {
      guests: seen
        .filter(({ kind }) => kind === "guest")
        .map(({ id, ours }) => ({ id: Number(id), name: names.get(id) ?? "", ours })),
      objects: seen.filter(({ kind }) => kind !== "guest"),
    };
  });
  const isos = await maybe(async () => {
    const found: string[] = [];
    for (const row of stores ?? [])
      if (text(row, "content").includes("iso"))
        for (const volume of await api.list(`/nodes/${node}/storage/${text(row, "storage")}/content`, {
          content: "iso",
        }))
          found.push(text(volume, "volid"));
    return found;
  });
  const memory = status?.["memory"];
  const total: unknown = typeof memory === "object" && memory !== null ? Reflect.get(memory, "total") : undefined;
  return {
    apiProblem: undefined,
    nodes,
    permissions,
    addresses: interfaces?.flatMap((row) =>
      text(row, "address") === "" ? [] : [{ iface: text(row, "iface"), address: text(row, "address") }],
    ),
    bridges: interfaces?.filter((row) => /bridge/i.test(text(row, "type"))).map((row) => text(row, "iface")),
    zfsPools: zfsPools?.map((row) => text(row, "name")),
    storages: stores?.map((row) => ({
      id: text(row, "storage"),
      content: text(row, "content")
        .split(",")
        .filter((part) => part !== ""),
      freeMiB: typeof row["avail"] === "number" ? Math.floor(row["avail"] / 2 ** 20) : undefined,
    })),
    pci: pci?.map((row) => ({
      address: text(row, "id"),
      id: `${text(row, "vendor")}:${text(row, "device")}`.replaceAll("0x", ""),
      iommuGroup: typeof row["iommugroup"] === "number" ? row["iommugroup"] : undefined,
    })),
    ramMiB: typeof total === "number" ? Math.floor(total / 2 ** 20) : undefined,
    guests: taken?.guests,
    objects: taken?.objects,
    isos,
  };
}

function decodePermissions(record: Row): Record<string, string[]> {
  return Object.fromEntries(
    Object.entries(record).map(([path, held]) => [
      path,
      typeof held === "object" && held !== null ? Object.keys(held) : [],
    ]),
  );
}

async function observeSsh(
  host: HostConnection,
): Promise<Pick<HostObservation, "sshProblem" | "uid" | "hasQm" | "topology" | "usb">> {
  try {
    const who = await sshRun(host.ssh, "id -u; command -v qm || true");
    const [uid = "", qm = ""] = who.stdout.split("\n");
    const cpus = await sshRun(host.ssh, "lscpu -J -e=CPU,CORE,SOCKET,NODE,MAXMHZ");
    const usb = await sshRun(host.ssh, "lsusb");
    const topology = cpus.code === 0 ? parseLscpu(cpus.stdout) : undefined;
    return {
      sshProblem: undefined,
      uid: /^\d+$/.test(uid) ? Number(uid) : undefined,
      hasQm: qm.trim() !== "",
      topology: topology?.ok === true ? topology.value : undefined,
      usb:
        usb.code === 0
          ? [...usb.stdout.matchAll(/ID ([0-9a-f]{4}:[0-9a-f]{4})/g)].map((match) => match[1] ?? "")
          : undefined,
    };
  } catch (error) {
    return { sshProblem: problemOf(error), uid: undefined, hasQm: undefined, topology: undefined, usb: undefined };
  }
}
