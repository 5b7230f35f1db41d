import { type Marker, parseMarker } from "../../components/shared/marker.ts";

/** Kinds of objects on the host that a killed run may leave half-made. */
export type ObjectKind = "guest" | "bridge" | "mapping" | "storage" | "file" | "group";

/** One object on the host, found by an identity that the program fixes beforehand. */
export interface HostObject {
  readonly kind: ObjectKind;
  /** Guest id, bridge name, `pci/NAME`, storage id, volume id. */
  readonly id: string;
  /** Guests: how Proxmox names their kind. */
  readonly guestType?: "qemu" | "lxc" | undefined;
  /** The mark in its description or comment. */
  readonly mark?: Marker | undefined;
  /** Proxmox itself refuses to delete it. */
  readonly protected?: boolean | undefined;
  readonly running?: boolean | undefined;
  /** Storage: the ZFS dataset behind it, the one thing by which a storage can be told (it has no comment field). */
  readonly pool?: string | undefined;
  /** Guests of ours: whether they have not been started since they were made; absent when the host cannot tell. */
  readonly neverStarted?: boolean | undefined;
  /** Guests of ours: seconds since they were made, by the host's clock; absent when the host cannot tell. */
  readonly madeSecAgo?: number | undefined;
  /** Guests of ours: number of firewall rules. */
  readonly rules?: number | undefined;
  /** Security groups: the host's own rules refer to it. */
  readonly inUse?: boolean | undefined;
  /** A guest's lock (`create`, `clone`, …) that a killed task left. */
  readonly lock?: string | undefined;
}

/** Where a resource's object is on the host, from its type and inputs; `undefined` when it has none of its own there. */
export function objectOf(
  type: string,
  inputs: Readonly<Record<string, unknown>>,
): Pick<HostObject, "kind" | "id"> | undefined {
  const text = (name: string): string | undefined => {
    const value = inputs[name];
    return typeof value === "string" || typeof value === "number" ? String(value) : undefined;
  };
  const named = (kind: ObjectKind, id: string | undefined): Pick<HostObject, "kind" | "id"> | undefined =>
    id === undefined ? undefined : { kind, id };
  const last = type.split(":").at(-1) ?? "";
  switch (last) {
    case "VmLegacy":
    case "ContainerLegacy":
      return named("guest", text("vmId"));
    case "BridgeLegacy":
    case "Bridge":
    case "Vlan":
    case "VlanLegacy":
      return named("bridge", text("name"));
    case "PciLegacy":
    case "Pci":
      return named("mapping", text("name") === undefined ? undefined : `pci/${text("name") ?? ""}`);
    case "UsbLegacy":
    case "Usb":
      return named("mapping", text("name") === undefined ? undefined : `usb/${text("name") ?? ""}`);
    case "ZfspoolLegacy":
    case "Zfspool":
      return named("storage", text("resourceId") ?? text("zfsPool"));
    case "GroupLegacy":
      return named("group", text("name"));
    case "File":
    case "FileLegacy": {
      const store = text("datastoreId");
      const content = text("contentType");
      const raw = inputs["sourceRaw"];
      const rawName = typeof raw === "object" && raw !== null ? Reflect.get(raw, "fileName") : undefined;
      const name = text("fileName") ?? (typeof rawName === "string" ? rawName : undefined);
      return store === undefined || content === undefined || name === undefined
        ? undefined
        : { kind: "file", id: `${store}:${content}/${name}` };
    }
    default:
      return undefined;
  }
}

/** The guest that a firewall resource is about. */
export function guestOf(type: string, inputs: Readonly<Record<string, unknown>>): string | undefined {
  if (!/^proxmoxve:firewall\/(rules|options)/.test(type)) return undefined;
  const id = inputs["vmId"] ?? inputs["containerId"];
  return typeof id === "number" || typeof id === "string" ? String(id) : undefined;
}

/** The mark of a description or comment as the API gives it (guests' notes come URL-encoded in some versions). */
export function markOf(description: unknown): Marker | undefined {
  if (typeof description !== "string") return undefined;
  const plain = parseMarker(description);
  if (plain !== undefined) return plain;
  try {
    return parseMarker(decodeURIComponent(description));
  } catch {
    return undefined;
  }
}
