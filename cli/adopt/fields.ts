import { parseMarker } from "../../components/shared/marker.ts";

/** What an object is like, by the names that Proxmox gives its settings; absent settings are left out. */
export type Fields = Readonly<Record<string, string>>;

type Raw = Readonly<Record<string, unknown>>;

const isRecord = (value: unknown): value is Raw => typeof value === "object" && value !== null && !Array.isArray(value);
const records = (value: unknown): readonly Raw[] => (Array.isArray(value) ? value.filter(isRecord) : []);
const part = (raw: Raw, name: string): Raw => {
  const value = raw[name];
  return isRecord(value) ? value : {};
};
const text = (value: unknown): string | undefined => {
  if (typeof value === "string") return value.trim() === "" ? undefined : value.trim();
  if (typeof value === "boolean") return value ? "1" : "0";
  return typeof value === "number" ? String(value) : undefined;
};
const list = (value: unknown): string | undefined =>
  Array.isArray(value) && value.length > 0 ? value.map(String).toSorted().join(";") : undefined;

/** Fields with a value, in one order. */
function fields(found: Readonly<Record<string, string | undefined>>): Fields {
  return Object.fromEntries(
    Object.entries(found)
      .filter((entry): entry is [string, string] => entry[1] !== undefined)
      .toSorted(([a], [b]) => a.localeCompare(b, "en", { numeric: true })),
  );
}

/** A description in one line, its mark shortened: the mark is long and says only whose it is. */
function describe(note: unknown): string | undefined {
  const plain = text(note);
  if (plain === undefined) return undefined;
  const mark = parseMarker(plain);
  const bare = plain.replace(/\s*\[hive [^\]]*\]/, "").replace(/\s+/g, " ");
  return mark === undefined ? bare : `${bare} [mark of ${mark.stack}]`.trim();
}

/** A network card: bridge, VLAN, MTU and address; the model and the firewall flag are the provider's. */
const card = (bridge: unknown, mac: unknown, vlan: unknown, mtu: unknown): string =>
  [
    text(bridge) ?? "no bridge",
    text(mac)?.toUpperCase(),
    Number(vlan ?? 0) > 0 ? `tag ${String(vlan)}` : undefined,
    Number(mtu ?? 0) > 0 && String(mtu) !== "1500" ? `mtu ${String(mtu)}` : undefined,
  ]
    .filter((each) => each !== undefined)
    .join(" ");

/** What a resource declares, from its inputs. */
export function declaredFields(type: string, inputs: Raw): Fields {
  const kind = type.split(":").at(-1) ?? "";
  const common = {
    description: describe(inputs["description"]),
    tags: list(inputs["tags"]),
    protection: text(inputs["protection"]),
    memory: text(part(inputs, "memory")["dedicated"]),
    cores: text(part(inputs, "cpu")["cores"]),
    cpuunits: text(part(inputs, "cpu")["units"]),
    "startup order": text(part(inputs, "startup")["order"]),
  };
  if (kind === "VmLegacy") {
    const found: Record<string, string | undefined> = {
      ...common,
      name: text(inputs["name"]),
      balloon: text(part(inputs, "memory")["floating"]),
      cpu: text(part(inputs, "cpu")["type"]),
      bios: text(inputs["bios"]),
      machine: text(inputs["machine"]),
      ostype: text(part(inputs, "operatingSystem")["type"]),
      onboot: text(inputs["onBoot"]),
      agent: text(part(inputs, "agent")["enabled"]),
      "cloud-init": text(part(part(inputs, "initialization"), "userAccount")["username"]),
    };
    for (const disk of records(inputs["disks"]))
      found[String(disk["interface"])] = `${text(disk["datastoreId"]) ?? "?"}, ${text(disk["size"]) ?? "?"} GiB`;
    records(inputs["networkDevices"]).forEach((nic, index) => {
      found[`net${String(index)}`] = card(nic["bridge"], nic["macAddress"], nic["vlanId"], nic["mtu"]);
    });
    for (const device of records(inputs["hostpcis"])) found[String(device["device"])] = text(device["mapping"]);
    records(inputs["usbs"]).forEach((device, index) => {
      found[`usb${String(index)}`] = text(device["mapping"]);
    });
    return fields(found);
  }
  if (kind === "ContainerLegacy") {
    const disk = part(inputs, "disk");
    const found: Record<string, string | undefined> = {
      ...common,
      hostname: text(part(inputs, "initialization")["hostname"]),
      swap: text(part(inputs, "memory")["swap"]),
      ostype: text(part(inputs, "operatingSystem")["type"]),
      unprivileged: text(inputs["unprivileged"]),
      onboot: text(inputs["startOnBoot"]),
      rootfs: `${text(disk["datastoreId"]) ?? "?"}, ${text(disk["size"]) ?? "?"} GiB`,
    };
    records(inputs["networkInterfaces"]).forEach((nic, index) => {
      found[`net${String(index)}`] = card(nic["bridge"], nic["macAddress"], nic["vlanId"], nic["mtu"]);
    });
    return fields(found);
  }
  if (kind === "Zfspool")
    return fields({
      pool: text(inputs["zfsPool"]),
      content: list(inputs["contents"]),
      nodes: list(inputs["nodes"]),
      sparse: text(inputs["thinProvision"]),
    });
  if (kind === "Pci" || kind === "Usb")
    return fields({
      comment: describe(inputs["comment"]),
      ...Object.fromEntries(
        records(inputs["maps"]).map((map) => [
          `on ${String(map["node"])}`,
          [map["id"], map["path"], map["iommuGroup"] === undefined ? undefined : `group ${String(map["iommuGroup"])}`]
            .filter((each) => each !== undefined)
            .map(String)
            .join(" "),
        ]),
      ),
    });
  if (kind === "GroupLegacy")
    return fields({ comment: describe(inputs["comment"]), rules: String(records(inputs["rules"]).length) });
  return fields({
    comment: describe(inputs["comment"]),
    address: text(inputs["address"]),
    mtu: text(inputs["mtu"]),
    "vlan-aware": text(inputs["vlanAware"] ?? false),
    autostart: text(inputs["autostart"]),
    ports: list(inputs["ports"]),
  });
}

/** `a=1,b=2` as an object; a first part without a name is under ``. */
function property(value: unknown): Readonly<Record<string, string>> {
  const entries = (text(value) ?? "").split(",").map((each): [string, string] => {
    const at = each.indexOf("=");
    return at === -1 ? ["", each] : [each.slice(0, at), each.slice(at + 1)];
  });
  return Object.fromEntries(entries);
}

/** Bytes behind `64G`, `512M`, `1T` in GiB. */
function sizeGiB(size: string | undefined): number | undefined {
  const match = /^(\d+(?:\.\d+)?)([KMGT]?)$/.exec(size ?? "");
  const factor = { K: 2 ** -20, M: 2 ** -10, G: 1, T: 2 ** 10 }[match?.[2] ?? ""] ?? 2 ** -30;
  return match === null ? undefined : Math.round(Number(match[1]) * factor * 1000) / 1000;
}

/** A disk of a guest's configuration. */
export interface FoundDisk {
  readonly slot: string;
  readonly volume: string;
  readonly storage: string;
  readonly sizeGiB: number | undefined;
}

/** The disks that hold data: no CD drive, no cloud-init drive. */
export function foundDisks(config: Raw): FoundDisk[] {
  return Object.entries(config).flatMap(([slot, value]) => {
    if (!/^((scsi|virtio|sata|ide|mp|efidisk|tpmstate)\d+|rootfs)$/.test(slot)) return [];
    const parts = property(value);
    const volume = parts[""] ?? parts["file"] ?? parts["volume"] ?? "";
    if (parts["media"] === "cdrom" || volume === "none" || /cloudinit/.test(volume)) return [];
    return [{ slot, volume, storage: volume.split(":")[0] ?? "", sizeGiB: sizeGiB(parts["size"]) }];
  });
}

/** Settings that say nothing about what a guest is, or that no resource of ours declares. */
const silent =
  /^(digest|meta|vmgenid|smbios1|vmstate|lock|boot|bootdisk|sockets|numa|scsihw|serial\d+|vga|watchdog|arch|features|parent|affinity|hugepages|keephugepages|cipassword|ciuser|sshkeys|ipconfig\d+|nameserver|searchdomain|citype|cicustom|unused\d+)$/;
const secret = /pass|secret|token|private/i;

/** What Proxmox takes where a configuration says nothing (qemu-server `QemuServer.pm`, pve-container `Config.pm`, `$confdesc`). */
const qemuDefaults: Fields = {
  machine: "pc",
  bios: "seabios",
  protection: "0",
  onboot: "0",
  cpuunits: "100",
  cores: "1",
  memory: "512",
  cpu: "kvm64",
  ostype: "other",
  agent: "0",
};
const lxcDefaults: Fields = {
  protection: "0",
  onboot: "0",
  cpuunits: "100",
  memory: "512",
  swap: "512",
  unprivileged: "0",
};

/** What the host's own configuration says, as its API gives it, Proxmox's defaults included. */
export function foundFields(kind: string, config: Raw): Fields {
  if (kind === "storage")
    return fields({
      pool: text(config["pool"]),
      content: list(text(config["content"])?.split(",")),
      nodes: list(text(config["nodes"])?.split(",")),
      sparse: text(config["sparse"]),
    });
  if (kind === "mapping") {
    const maps = Array.isArray(config["map"]) ? config["map"].map(property) : [];
    return fields({
      comment: describe(config["description"]),
      ...Object.fromEntries(
        maps.map((map) => [
          `on ${map["node"] ?? "?"}`,
          [map["id"], map["path"], map["iommugroup"] === undefined ? undefined : `group ${map["iommugroup"]}`]
            .filter((each) => each !== undefined)
            .join(" "),
        ]),
      ),
    });
  }
  if (kind === "group")
    return fields({ comment: describe(config["comment"]), rules: String(records(config["rules"]).length) });
  if (kind === "bridge")
    return fields({
      comment: describe(config["comments"]),
      address: text(config["cidr"]) ?? text(config["address"]),
      mtu: text(config["mtu"]),
      "vlan-aware": text(config["bridge_vlan_aware"] ?? "0"),
      autostart: text(config["autostart"]),
      ports: text(config["bridge_ports"]) === "none" ? undefined : text(config["bridge_ports"]),
    });
  const container = "rootfs" in config;
  const memory = text(config["memory"]) ?? "512";
  const found: Record<string, string | undefined> = {
    ...(container ? lxcDefaults : { ...qemuDefaults, balloon: memory }),
    description: describe(config["description"]),
    tags: list(text(config["tags"])?.split(/[;, ]/)),
    "startup order": property(config["startup"])["order"],
    ...(container ? {} : guestProcessor(config)),
    "cloud-init": text(config["ciuser"]),
  };
  for (const disk of foundDisks(config))
    found[disk.slot] = `${disk.storage}, ${disk.sizeGiB === undefined ? "?" : String(disk.sizeGiB)} GiB`;
  for (const [name, value] of Object.entries(config)) {
    if (isRendered(name) || silent.test(name)) continue;
    if (/^net\d+$/.test(name)) {
      const nic = property(value);
      const mac = nic["hwaddr"] ?? nic["virtio"] ?? nic["e1000"] ?? nic["vmxnet3"] ?? nic["rtl8139"];
      found[name] = card(nic["bridge"], mac, nic["tag"], nic["mtu"]);
    } else if (/^(hostpci|usb)\d+$/.test(name)) found[name] = property(value)["mapping"] ?? text(value);
    else found[name] = secret.test(name) ? "[secret]" : text(value);
  }
  return fields(found);
}

/** Settings with parts of their own, rendered above. */
const isRendered = (name: string): boolean =>
  /^(description|tags|startup|agent|cpu|rootfs|((scsi|virtio|sata|ide|mp|efidisk|tpmstate)\d+))$/.test(name);

function guestProcessor(config: Raw): Readonly<Record<string, string>> {
  const cpu = property(config["cpu"]);
  return {
    agent: text(config["agent"])?.split(",")[0]?.replace("enabled=", "") ?? "0",
    cpu: cpu[""] || cpu["cputype"] || "kvm64",
  };
}

/** One field that is not as declared. */
export interface Difference {
  readonly field: string;
  readonly found: string | undefined;
  readonly declared: string | undefined;
}

/** Field by field what `up` would change; fields that only the host has and no resource declares are left as they are. */
export function differences(declared: Fields, found: Fields): Difference[] {
  const names = [...new Set([...Object.keys(declared), ...Object.keys(found)])].toSorted((a, b) =>
    a.localeCompare(b, "en", { numeric: true }),
  );
  return names
    .filter((field) => declared[field] !== found[field])
    .map((field) => ({ field, found: found[field], declared: declared[field] }));
}
