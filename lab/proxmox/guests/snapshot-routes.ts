/** Snapshots of VMs and containers. Sources: qemu-server src/PVE/API2/Qemu.pm (snapshot…), pve-container src/PVE/API2/LXC/Snapshot.pm. */
import { need } from "../access/permissions.ts";
import { die, paramError } from "../core/errors.ts";
import { isTrue } from "../core/property.ts";
import type { Context, Route } from "../core/router.ts";
import type { Guest, GuestKind } from "../core/state.ts";
import { digestOf, getGuest, setLock } from "./model.ts";
import { vmidOf } from "./qemu-routes.ts";
import { checkSnapshot, findSnapshot } from "./snapshots.ts";

function routesFor(kind: GuestKind): Route[] {
  const source =
    kind === "qemu"
      ? "qemu-server@e6352be6 src/PVE/API2/Qemu.pm (snapshot)"
      : "pve-container@94f5585 src/PVE/API2/LXC/Snapshot.pm";
  const base = `/nodes/{node}/${kind}/{vmid}/snapshot`;
  const prefix = kind === "qemu" ? "qm" : "vz";
  const find = (context: Context, privilege: string): Guest => {
    const vmid = vmidOf(context.path["vmid"]);
    need(context.state, context.identity, `/vms/${vmid}`, [privilege]);
    return getGuest(context.state, kind, vmid);
  };
  return [
    {
      method: "GET",
      path: base,
      params: "",
      source,
      handle: (context) => {
        const guest = find(context, "VM.Audit");
        const parent = guest.config["parent"];
        return [
          ...guest.snapshots.map((s) => ({
            name: s.name,
            description: s.description,
            snaptime: s.snaptime,
            vmstate: s.vmstate ? 1 : 0,
            ...(s.parent === undefined ? {} : { parent: s.parent }),
          })),
          {
            name: "current",
            description: "You are here!",
            digest: digestOf(guest),
            running: guest.run.status === "stopped" ? 0 : 1,
            ...(parent === undefined ? {} : { parent }),
          },
        ];
      },
    },
    {
      method: "POST",
      path: base,
      params: kind === "qemu" ? "snapname! description vmstate" : "snapname! description",
      source,
      handle: (context) => {
        const guest = find(context, "VM.Snapshot");
        const name = context.params["snapname"] ?? "";
        if (!/^[A-Za-z][A-Za-z0-9_-]{1,39}$/.test(name))
          paramError({ snapname: "invalid format - invalid configuration ID" });
        checkSnapshot(guest, name);
        setLock(guest, "snapshot");
        context.event("snapshot", { vmid: guest.vmid, name });
        return context.task({
          type: `${prefix}snapshot`,
          id: String(guest.vmid),
          work: {
            kind: "snapshot-create",
            vmid: guest.vmid,
            name,
            description: context.params["description"] ?? "",
            vmstate: isTrue(context.params["vmstate"]),
          },
        });
      },
    },
    {
      method: "DELETE",
      path: `${base}/{snapname}`,
      params: "force",
      source,
      handle: (context) => {
        const guest = find(context, "VM.Snapshot");
        const { name } = findSnapshot(guest, context.path["snapname"] ?? "");
        setLock(guest, "snapshot-delete");
        return context.task({
          type: `${prefix}delsnapshot`,
          id: String(guest.vmid),
          work: { kind: "snapshot-delete", vmid: guest.vmid, name },
        });
      },
    },
    {
      method: "POST",
      path: `${base}/{snapname}/rollback`,
      params: "start",
      source,
      handle: (context) => {
        const guest = find(context, "VM.Snapshot.Rollback");
        const { name } = findSnapshot(guest, context.path["snapname"] ?? "");
        if (guest.config["template"] === "1") die("you can't rollback if vm is a template");
        setLock(guest, "rollback");
        return context.task({
          type: `${prefix}rollback`,
          id: String(guest.vmid),
          work: { kind: "snapshot-rollback", vmid: guest.vmid, name },
        });
      },
    },
  ];
}

export const snapshotRoutes: readonly Route[] = [...routesFor("qemu"), ...routesFor("lxc")];
