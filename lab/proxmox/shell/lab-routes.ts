/** The lab's own endpoints, on the root socket only: faults, events, a view of the state without secrets. */
import type { Context, Route } from "../core/router.ts";
import { integer } from "../core/router.ts";
import { memoryInUseMiB, pciHolders } from "../guests/run.ts";
import { guestStatus } from "../guests/status.ts";
import { space } from "../guests/volumes.ts";
import type { Faults } from "./faults.ts";
import type { Journal } from "./journal.ts";

const SOURCE = "the lab's own";

/** Machines, pins, bridges, storages and tasks, for a page that shows them. */
export function publicView({ state, env }: Context): unknown {
  const holders = pciHolders(state);
  return {
    node: {
      name: state.node.name,
      cpu: state.node.cpu,
      memoryMiB: state.node.memoryMiB,
      memoryInUseMiB: Math.round(memoryInUseMiB(state, env.nowMs)),
      pci: state.node.pci.map((d) => ({
        id: d.id,
        name: d.deviceName,
        iommuGroup: d.iommuGroup,
        holder: holders.get(d.id) ?? null,
      })),
      usb: state.node.usb.map((d) => ({ id: `${d.vendid}:${d.prodid}`, name: d.product })),
    },
    machines: Object.values(state.guests).map((guest) => ({
      ...guestStatus(state, guest, env.nowMs),
      kind: guest.kind,
      run: guest.run.status,
      affinity: guest.config["affinity"] ?? null,
      cpuunits: guest.config["cpuunits"] ?? null,
      nets: Object.entries(guest.config)
        .filter(([key]) => /^net\d+$/.test(key))
        .map(([key, value]) => `${key}: ${value}`),
      devices: Object.entries(guest.config)
        .filter(([key]) => /^(hostpci|usb)\d+$/.test(key))
        .map(([key, value]) => `${key}: ${value}`),
      pending: Object.keys(guest.pending),
    })),
    bridges: Object.values(state.network.live)
      .filter((iface) => iface.type === "bridge")
      .map((iface) => ({
        name: iface.iface,
        cidr: iface.options["cidr"] ?? null,
        ports: iface.options["bridge_ports"] ?? "",
        mtu: iface.options["mtu"] ?? null,
      })),
    stagedNetwork: JSON.stringify(state.network.live) !== JSON.stringify(state.network.staged),
    storages: Object.values(state.storages).map((s) => ({ id: s.storage, type: s.type, ...space(state, s) })),
    volumes: Object.values(state.volumes).map((v) => ({
      volid: v.volid,
      sizeBytes: v.sizeBytes,
      vmid: v.vmid ?? null,
      rootKeys: v.rootKeys ?? null,
    })),
    mappings: { pci: Object.values(state.mappings.pci), usb: Object.values(state.mappings.usb) },
    tasks: state.tasks
      .slice(-50)
      .map((t) => ({ upid: t.upid, type: t.type, id: t.id, user: t.user, status: t.exitStatus ?? "running" })),
  };
}

export function labRoutes(faults: Faults, journal: Journal): readonly Route[] {
  return [
    {
      method: "GET",
      path: "/lab/state",
      params: "",
      source: SOURCE,
      rootSocketOnly: true,
      handle: publicView,
    },
    {
      method: "GET",
      path: "/lab/events",
      params: "since",
      source: SOURCE,
      rootSocketOnly: true,
      handle: ({ params }) => journal.recent(integer(params, "since", 0)),
    },
    {
      method: "GET",
      path: "/lab/faults",
      params: "",
      source: SOURCE,
      rootSocketOnly: true,
      handle: () => faults.list(),
    },
    {
      method: "POST",
      path: "/lab/faults",
      params: "kind! method path times after delayMs phase message storage",
      source: SOURCE,
      rootSocketOnly: true,
      handle: ({ params }) => faults.add(params),
    },
    {
      method: "DELETE",
      path: "/lab/faults",
      params: "id",
      source: SOURCE,
      rootSocketOnly: true,
      handle: ({ params }) => {
        faults.clear(params["id"] === undefined ? undefined : integer(params, "id", 0));
        return null;
      },
    },
  ];
}
