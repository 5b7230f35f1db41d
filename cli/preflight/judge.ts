import type { Fault } from "../../components/shared/faults.ts";
import type { GenesisPlan } from "../../components/shared/genesisPlan.ts";
import type { GenesisSettings } from "../../components/shared/genesisSettings.ts";
import { physicalCores } from "../../components/shared/topology.ts";
import type { HostObject } from "../repair/objects.ts";
import { judgeAccess } from "./access.ts";
import type { HostObservation } from "./observation.ts";
import { judgePrivileges, neededPrivileges } from "./privileges.ts";

const nouns: Readonly<Record<HostObject["kind"], string>> = {
  guest: "guest",
  bridge: "bridge",
  mapping: "resource mapping",
  storage: "storage",
  file: "file",
  group: "security group",
};

/** Memory that firmware and devices keep for themselves: a 128 GiB machine shows about 125.6 GiB. */
const hiddenRamShare = 0.05;

/**
 * What is missing on the host before genesis can be brought up: every fault at once, each with its fix. Pure. What could
 * not be asked is told once, as the reason, and not as a string of missing things.
 */
export function judgePreflight(
  seen: HostObservation,
  settings: GenesisSettings,
  { machines, addresses }: Pick<GenesisPlan, "machines" | "addresses">,
  declared: readonly Pick<HostObject, "kind" | "id">[],
): Fault[] {
  const faults: Fault[] = [];
  const { nodeName, networks, storage, devices, images } = settings;
  const add = (property: string, value: string | undefined, limit: string, fix: string): void => {
    faults.push({ property, value, limit, fix });
  };
  faults.push(...judgeAccess(seen, settings));
  if (seen.uid !== undefined && seen.uid !== 0)
    add(
      "ssh.user",
      `uid ${String(seen.uid)}`,
      "uid 0: only root@pam sets affinity and huge pages",
      "Set ssh.user to root.",
    );
  if (seen.hasQm === false)
    add("ssh.host", "no qm command", "a Proxmox VE host", "Point ssh.host at the Proxmox host itself.");
  if (seen.nodes !== undefined && !seen.nodes.includes(nodeName))
    add(
      "nodeName",
      nodeName,
      `one of ${seen.nodes.join(", ")}`,
      `pulumi config set hive:nodeName ${seen.nodes[0] ?? "NAME"}`,
    );
  if (seen.permissions !== undefined) {
    const needed = neededPrivileges({
      storages: [storage.id, storage.files],
      nodeName,
      devices: devices.gpu !== undefined || devices.tpu !== undefined,
    });
    faults.push(...judgePrivileges(seen.permissions, seen.tokenId, needed));
  }
  if (seen.bridges !== undefined && !seen.bridges.includes(networks.lan.bridge))
    add(
      "networks.lan.bridge",
      networks.lan.bridge,
      `an existing bridge: ${seen.bridges.join(", ") || "there is none"}`,
      "It is adopted, never made: create it in the host's network settings, or name another.",
    );
  for (const nic of addresses.nics) {
    const own = seen.addresses?.find(({ address }) => address === nic.address);
    if (own !== undefined)
      add(
        `networks.${nic.network}`,
        `${nic.address} for machine ${String(nic.machine)}`,
        `an address that the host itself does not have: ${own.iface} has it`,
        nic.network === "lan"
          ? "Raise networks.lan.firstHost, or set endpoint and ssh.host to that address: they are left out."
          : `Choose another subnet: pulumi config set --path hive:networks.${nic.network}.cidr SUBNET`,
      );
  }
  if (seen.zfsPools !== undefined && !seen.zfsPools.includes(storage.pool))
    add(
      "storage.pool",
      storage.pool,
      `an existing ZFS pool: ${seen.zfsPools.join(", ") || "there is none"}`,
      `Name another pool, or on the host: zpool create ${storage.pool} mirror DISK1 DISK2`,
    );
  judgeStorage(seen, settings, add);
  if (seen.pci !== undefined && devices.gpu !== undefined) {
    const { path, id } = devices.gpu;
    const found = seen.pci.find((device) => device.address === path || device.address.startsWith(`${path}.`));
    const present = seen.pci.find((device) => device.id === id);
    if (found === undefined)
      add(
        "devices.gpu.path",
        path,
        `a PCI address of the host${present === undefined ? "" : `; ${id} is at ${present.address}`}`,
        "On the host: lspci -D -nn | grep -i nvidia. Or set devices.gpu to null.",
      );
    else if (found.id !== id)
      add(
        "devices.gpu.id",
        id,
        `${found.id}, which is what the host has at ${found.address}`,
        present === undefined
          ? "On the host: lspci -D -nn | grep -i nvidia. Then set devices.gpu, or null without one."
          : `${id} is at ${present.address}: pulumi config set --path hive:devices.gpu.path ${present.address.replace(/\.\d$/, "")}`,
      );
    else if (found.iommuGroup === undefined || found.iommuGroup < 0)
      add(
        "devices.gpu",
        `${path} without IOMMU group`,
        "a device with an IOMMU group",
        "Turn on VT-d/AMD-Vi in the firmware and add intel_iommu=on iommu=pt to the kernel's command line, then reboot the host.",
      );
    else if (found.iommuGroup !== devices.gpu.iommuGroup)
      add(
        "devices.gpu.iommuGroup",
        String(devices.gpu.iommuGroup),
        String(found.iommuGroup),
        `pulumi config set --path hive:devices.gpu.iommuGroup ${String(found.iommuGroup)}`,
      );
  }
  if (seen.usb !== undefined && devices.tpu !== undefined && !seen.usb.includes(devices.tpu.id))
    add(
      "devices.tpu.id",
      devices.tpu.id,
      `a USB device of the host: ${seen.usb.join(", ") || "there is none"}`,
      "Plug it in, or set devices.tpu to null. A Coral shows as 1a6e:089a until it is first used.",
    );
  if (seen.ramMiB !== undefined && seen.ramMiB < settings.host.ramMiB * (1 - hiddenRamShare))
    add(
      "host.ram",
      `${String(settings.host.ramMiB)} MiB`,
      `${String(seen.ramMiB)} MiB, which the host has`,
      "Set host.ram to what `free -m` says.",
    );
  if (seen.topology !== undefined) {
    const shape = (topology: GenesisSettings["host"]["topology"]): string =>
      physicalCores(topology)
        .map((core) => core.cpus.join("+"))
        .sort()
        .join(" ");
    if (shape(seen.topology) !== shape(settings.host.topology))
      add(
        "host.topology",
        `${String(settings.host.topology.cpus.length)} CPUs on ${String(physicalCores(settings.host.topology).length)} cores`,
        `${String(seen.topology.cpus.length)} CPUs on ${String(physicalCores(seen.topology).length)} cores with other siblings, as the host says`,
        "Put the output of `lscpu -J -e=CPU,CORE,SOCKET,NODE,MAXMHZ` into host.topology.lscpu.",
      );
  }
  for (const machine of machines) {
    const taken = seen.guests?.find((guest) => guest.id === machine.id && !guest.ours);
    if (taken !== undefined)
      add(
        `guest ${String(machine.id)}`,
        `taken by "${taken.name}", which is not ours`,
        `free for ${machine.hostname}`,
        `Move the other guest to another id, or take it in: hive adopt --only ${String(machine.id)}`,
      );
  }
  for (const { kind, id } of declared) {
    if (seen.objects?.some((object) => object.kind === kind && object.id === id && !object.ours) !== true) continue;
    const name = id.split("/").at(-1) ?? id;
    add(
      `${nouns[kind]} ${name}`,
      "there already, and not ours",
      "free, or in the stack's state",
      `Take it in: hive adopt --only ${name}. Or remove it on the host, or give ours another name.`,
    );
  }
  const { windowsIso } = images;
  if (windowsIso !== undefined && seen.isos !== undefined && !seen.isos.includes(windowsIso))
    add(
      "images.windowsIso",
      windowsIso,
      `an ISO on the host: ${seen.isos.join(", ") || "there is none"}`,
      "Upload it in the web interface, or leave the setting out.",
    );
  return faults;
}

/** Space that images, templates and first disks take at least, in MiB. */
const neededFreeMiB = 8 * 1024;

function judgeStorage(
  seen: HostObservation,
  settings: GenesisSettings,
  add: (property: string, value: string | undefined, limit: string, fix: string) => void,
): void {
  if (seen.storages === undefined) return;
  const { files } = settings.storage;
  const found = seen.storages.find(({ id }) => id === files);
  if (found === undefined) {
    add(
      "storage.files",
      files,
      `an existing storage: ${seen.storages.map(({ id }) => id).join(", ")}`,
      "Name a directory storage of the host.",
    );
    return;
  }
  const missing = ["iso", "vztmpl", "snippets", "import"].filter((kind) => !found.content.includes(kind));
  if (missing.length > 0)
    add(
      "storage.files",
      `${files} without ${missing.join(", ")}`,
      "a storage for iso, vztmpl, snippets and import",
      `On the host: pvesm set ${files} --content ${[...found.content, ...missing].join(",")}`,
    );
  if (found.freeMiB !== undefined && found.freeMiB < neededFreeMiB)
    add(
      "storage.files",
      `${String(found.freeMiB)} MiB free on ${files}`,
      `${String(neededFreeMiB)} MiB free`,
      "Delete old images or backups.",
    );
}
