/** Resource mappings: names for devices, with a permission each. Source: pve-manager PVE/API2/Cluster/Mapping/{PCI,USB,Dir}.pm. */
import { allowed, need, needAny } from "../access/permissions.ts";
import { die, paramError } from "../core/errors.ts";
import { parseProperty, splitList, splitRepeated } from "../core/property.ts";
import type { Context, Route } from "../core/router.ts";
import type { LabState, Mapping } from "../core/state.ts";

type Kind = Mapping["type"];
const FILE: Record<Kind, string> = { pci: "PCI.pm", usb: "USB.pm", dir: "Dir.pm" };

function view(mapping: Mapping): Record<string, unknown> {
  const out: Record<string, unknown> = { id: mapping.id, type: mapping.type, map: mapping.map };
  if (mapping.description !== undefined) out["description"] = mapping.description;
  if (mapping.mdev !== undefined) out["mdev"] = Number(mapping.mdev);
  return out;
}

function maps(kind: Kind, params: Record<string, string>): string[] {
  const list = splitRepeated(params["map"]);
  for (const map of list) {
    const parts = parseProperty(map);
    const missing = ["node", kind === "usb" ? "id" : "path"].filter((key) => parts[key] === undefined);
    if (kind === "pci" && parts["id"] === undefined) missing.push("id");
    if (missing.length > 0)
      paramError({
        map: `invalid format - ${missing.map((m) => `${m}: property is missing and it is not optional`).join("; ")}`,
      });
  }
  return list;
}

/** What `check-node` reports. Source: pve-guest-common src/PVE/Mapping/PCI.pm (assert_valid). */
function problems(
  state: LabState,
  kind: Kind,
  mapping: Mapping,
  node: string,
): { severity: string; message: string }[] {
  const here = mapping.map.map((m) => parseProperty(m)).filter((m) => m["node"] === node);
  if (here.length === 0) return [{ severity: "warning", message: `No mapping for node '${node}'.` }];
  for (const map of here) {
    if (kind === "pci") {
      const device = state.node.pci.find((d) => d.id === map["path"] || d.id === `${map["path"] ?? ""}.0`);
      if (!device) return [{ severity: "error", message: `pci device '${map["path"] ?? ""}' not found` }];
      if (map["id"] !== `${device.vendor.slice(2)}:${device.device.slice(2)}`)
        return [{ severity: "error", message: "'id' does not match" }];
      if (map["iommugroup"] === undefined) return [{ severity: "warning", message: "'iommugroup' is not configured" }];
    } else if (kind === "usb" && !state.node.usb.some((d) => `${d.vendid}:${d.prodid}` === map["id"])) {
      return [{ severity: "error", message: `USB device '${map["id"] ?? ""}' not found` }];
    }
  }
  return [];
}

function find({ state, path }: Context, kind: Kind, message: (id: string) => string): Mapping {
  const id = path["id"] ?? "";
  return state.mappings[kind][id] ?? die(message(id));
}

function routesFor(kind: Kind): Route[] {
  const source = `pve-manager@14a22df3 PVE/API2/Cluster/Mapping/${FILE[kind]}; bpg v0.111.1 proxmox/cluster/mapping/types.go`;
  const base = `/cluster/mapping/${kind}`;
  const acl = `/mapping/${kind}`;
  const see = ["Mapping.Use", "Mapping.Modify", "Mapping.Audit"];
  return [
    {
      method: "GET",
      path: base,
      params: "check-node",
      source,
      handle: ({ state, identity, params }) =>
        Object.values(state.mappings[kind])
          .filter((m) => see.some((p) => allowed(state, identity, `${acl}/${m.id}`, p)))
          .map((m) => {
            const node = params["check-node"];
            if (node === undefined) return view(m);
            return { ...view(m), [kind === "usb" ? "errors" : "checks"]: problems(state, kind, m, node) };
          }),
    },
    {
      method: "POST",
      path: base,
      params: "id! map! description mdev live-migration-capable",
      source,
      handle: ({ state, identity, params, event }) => {
        need(state, identity, acl, ["Mapping.Modify"]);
        const id = params["id"] ?? "";
        if (!/^[A-Za-z][A-Za-z0-9\-_]+$/.test(id))
          paramError({ id: `invalid format - invalid configuration ID '${id}'` });
        const map = maps(kind, params);
        if (state.mappings[kind][id]) die(`${kind} ID '${id}' already defined`);
        state.mappings[kind][id] = {
          id,
          type: kind,
          map,
          ...(params["description"] === undefined ? {} : { description: params["description"] }),
          ...(params["mdev"] === undefined ? {} : { mdev: params["mdev"] }),
        };
        event("mapping-create", { type: kind, id });
      },
    },
    {
      method: "GET",
      path: `${base}/{id}`,
      params: "",
      source,
      handle: (context) => {
        needAny(context.state, context.identity, `${acl}/${context.path["id"] ?? ""}`, see);
        return view(find(context, kind, (id) => `mapping '${id}' not found`));
      },
    },
    {
      method: "PUT",
      path: `${base}/{id}`,
      params: "map description mdev live-migration-capable delete digest",
      source,
      handle: (context) => {
        const { params } = context;
        need(context.state, context.identity, `${acl}/${context.path["id"] ?? ""}`, ["Mapping.Modify"]);
        const mapping = find(context, kind, (id) => `${kind} ID '${id}' does not exist`);
        for (const key of splitList(params["delete"])) {
          if (key === "description") delete mapping.description;
          else if (key === "mdev") delete mapping.mdev;
        }
        if (params["map"] !== undefined) mapping.map = maps(kind, params);
        if (params["description"] !== undefined) mapping.description = params["description"];
        if (params["mdev"] !== undefined) mapping.mdev = params["mdev"];
      },
    },
    {
      method: "DELETE",
      path: `${base}/{id}`,
      params: "",
      source,
      handle: ({ state, identity, path, event }) => {
        need(state, identity, acl, ["Mapping.Modify"]);
        const id = path["id"] ?? "";
        delete state.mappings[kind][id];
        event("mapping-delete", { type: kind, id });
      },
    },
  ];
}

export const mappingRoutes: readonly Route[] = [...routesFor("pci"), ...routesFor("usb"), ...routesFor("dir")];
