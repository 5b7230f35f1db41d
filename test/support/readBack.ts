/** What the host must answer for a plan, and what it answers: both as plain values, to be compared whole. */
import { formatCpuList } from "../../components/shared/cpuList.ts";
import { type FirewallRulePlan, planGuestFirewall } from "../../components/shared/firewallPlan.ts";
import type { GenesisPlan } from "../../components/shared/genesisPlan.ts";
import type { GenesisSettings } from "../../components/shared/genesisSettings.ts";
import type { Machine } from "../../components/shared/machines.ts";
import { parseMarker } from "../../components/shared/marker.ts";
import { readRoot } from "./hostSnapshot.ts";
import { record, rows } from "./lab-client.ts";

type Values = Record<string, unknown>;

/** `a=1,b=2` as values; a first part without a key stands under `file`. */
function parts(value: unknown): Record<string, string> {
  if (typeof value !== "string") return {};
  return Object.fromEntries(
    value.split(",").map((part) => {
      const [, key, rest] = /^([^=]+)=(.*)$/s.exec(part) ?? [];
      return key === undefined || rest === undefined ? ["file", part] : [key, rest];
    }),
  );
}

const present = (values: Values): Values =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined && value !== ""));

function expectedRules(rules: readonly FirewallRulePlan[]): Values[] {
  return rules.map(({ direction, action, proto, dport, source, dest, iface, comment }) =>
    present({ type: direction, action, proto, dport, source, dest, iface, comment, enable: 1 }),
  );
}

function readRules(value: unknown): Values[] {
  return rows(value).map(({ type, action, proto, dport, source, dest, iface, comment, enable }) =>
    present({ type, action, proto, dport, source, dest, iface, comment, enable }),
  );
}

/** What the plan says about one machine, in the host's words. */
export function expectedGuest(machine: Machine, settings: GenesisSettings, plan: GenesisPlan): Values {
  const vm = machine.kind === "vm";
  const linux = machine.os !== "windows";
  const nics = plan.addresses.nics.filter((nic) => nic.machine === machine.id);
  const own = plan.pins.guests.find((pins) => pins.id === machine.id);
  const owned = (device: "gpu" | "tpu"): string[] =>
    plan.devices.filter((row) => row.device === device && row.owner === machine.id).map((row) => row.mapping);
  return present({
    id: machine.id,
    name: machine.hostname,
    cores: machine.vcpus,
    memoryMiB: machine.ramMiB,
    balloonMiB: vm ? (machine.balloonMinMiB < machine.ramMiB ? machine.balloonMinMiB : 0) : undefined,
    affinity: vm ? formatCpuList(own?.cpus ?? plan.pins.shared) : undefined,
    hugepages: machine.hugepages ? "1024" : undefined,
    cpuUnits: machine.cpuUnits,
    diskGiB: machine.diskGiB,
    nics: nics.map((nic) =>
      present({ bridge: nic.bridge, tag: nic.vlanId, mtu: nic.mtu, mac: nic.mac.toUpperCase(), firewall: 1 }),
    ),
    addresses: linux ? nics.map((nic) => present({ ip: nic.cidr, gw: nic.gateway })) : [],
    pci: owned("gpu"),
    usb: owned("tpu"),
    tags: ["hive", "owner-pulumi", `role-${machine.role}`],
    startup: `order=${String(machine.startupOrder)}`,
    onBoot: 1,
    protection: machine.protect ? 1 : 0,
    status: "running",
    agent: vm ? (linux ? "1" : "0") : undefined,
    watchdog: vm && linux ? "i6300esb reset" : undefined,
    user: vm && linux ? settings.admin.user : undefined,
    keys: vm && linux ? settings.admin.publicKeys : undefined,
    nameserver: linux ? settings.networks.dnsServers.join(" ") : undefined,
    searchDomain: linux ? settings.networks.domain : undefined,
    mark: "hive genesis",
    firewall: { enable: 1, policyIn: "DROP", policyOut: "ACCEPT" },
    rules: expectedRules(planGuestFirewall(machine, plan.addresses, settings.adminCidrs)),
  });
}

/** The same about one guest, read through the API. */
export async function readGuest(rootSocket: string, machine: Machine): Promise<Values> {
  const vm = machine.kind === "vm";
  const path = `/nodes/pve/${vm ? "qemu" : "lxc"}/${String(machine.id)}`;
  const config = record(await readRoot(rootSocket, `${path}/config`));
  const status = record(await readRoot(rootSocket, `${path}/status/current`));
  const options = record(await readRoot(rootSocket, `${path}/firewall/options`));
  const numbered = (name: string): Record<string, string>[] =>
    Object.keys(config)
      .filter((key) => new RegExp(`^${name}\\d+$`).test(key))
      .toSorted()
      .map((key) => parts(config[key]));
  const nets = numbered("net");
  const addresses = vm ? numbered("ipconfig") : nets;
  const mark = parseMarker(String(config["description"]));
  return present({
    id: status["vmid"],
    name: vm ? config["name"] : config["hostname"],
    cores: config["cores"],
    memoryMiB: Number(config["memory"]),
    balloonMiB: config["balloon"],
    affinity: config["affinity"],
    hugepages: config["hugepages"],
    cpuUnits: config["cpuunits"],
    diskGiB: Number.parseInt(parts(vm ? config["scsi0"] : config["rootfs"])["size"] ?? "", 10),
    nics: nets.map(({ bridge, tag, mtu, virtio, hwaddr, firewall }) =>
      present({
        bridge,
        tag: tag === undefined ? undefined : Number(tag),
        mtu: Number(mtu),
        mac: virtio ?? hwaddr,
        firewall: Number(firewall),
      }),
    ),
    addresses: addresses.map(({ ip, gw }) => present({ ip, gw })),
    pci: numbered("hostpci").map(({ mapping }) => mapping),
    usb: numbered("usb").map(({ mapping }) => mapping),
    tags: String(config["tags"]).split(";"),
    startup: config["startup"],
    onBoot: config["onboot"],
    protection: config["protection"],
    status: status["status"],
    agent: vm ? parts(config["agent"])["enabled"] : undefined,
    watchdog:
      config["watchdog"] === undefined
        ? undefined
        : `${String(parts(config["watchdog"])["model"])} ${String(parts(config["watchdog"])["action"])}`,
    user: config["ciuser"],
    keys:
      config["sshkeys"] === undefined ? undefined : decodeURIComponent(String(config["sshkeys"])).trim().split("\n"),
    nameserver: config["nameserver"],
    searchDomain: config["searchdomain"],
    mark: mark === undefined ? undefined : `${mark.project} ${mark.stack}`,
    firewall: { enable: options["enable"], policyIn: options["policy_in"], policyOut: options["policy_out"] },
    rules: readRules(await readRoot(rootSocket, `${path}/firewall/rules`)),
  });
}

/** Bridges, the host's leg, mappings, storage and the host's firewall, as the plan has them. */
export function expectedHost(settings: GenesisSettings, plan: GenesisPlan): Values {
  const own = plan.addresses.networks.filter(({ name }) => name !== "lan");
  const { gpu, tpu } = settings.devices;
  return {
    networks: own.flatMap(({ bridge, mtu, vlanId, hostAddress }) => [
      present({ iface: bridge, type: "bridge", mtu, vlanAware: 1 }),
      ...(hostAddress === undefined || vlanId === undefined
        ? []
        : [present({ iface: `${bridge}.${String(vlanId)}`, type: "vlan", mtu, cidr: hostAddress })]),
    ]),
    pci: gpu === undefined ? [] : [`${gpu.mapping} ${gpu.path} ${gpu.id} ${String(gpu.iommuGroup)}`],
    usb: tpu === undefined ? [] : [`${tpu.mapping} ${tpu.id}`],
    storage: { pool: `${settings.storage.pool}/${settings.storage.dataset}`, type: "zfspool" },
    firewall: { enable: 1, policyIn: "DROP", first: "group hive-host" },
    group: expectedRules(plan.hostFirewall),
  };
}

export async function readHost(rootSocket: string, settings: GenesisSettings): Promise<Values> {
  const read = (path: string): Promise<unknown> => readRoot(rootSocket, path);
  const networks = rows(await read("/nodes/pve/network")).filter(({ comments }) =>
    String(comments).includes("[hive project=hive stack=genesis "),
  );
  const map = (row: Values): Record<string, string> => parts(Array.isArray(row["map"]) ? row["map"][0] : undefined);
  const options = record(await read("/cluster/firewall/options"));
  const [first] = rows(await read("/cluster/firewall/rules"));
  const storage = record(await read(`/storage/${settings.storage.id}`));
  return {
    networks: networks
      .toSorted((a, b) => String(a["iface"]).localeCompare(String(b["iface"])))
      .map(({ iface, type, mtu, bridge_vlan_aware: vlanAware, cidr }) =>
        present({ iface, type, mtu: Number(mtu), vlanAware, cidr }),
      ),
    pci: rows(await read("/cluster/mapping/pci")).map(
      (row) =>
        `${String(row["id"])} ${String(map(row)["path"])} ${String(map(row)["id"])} ${String(map(row)["iommugroup"])}`,
    ),
    usb: rows(await read("/cluster/mapping/usb")).map((row) => `${String(row["id"])} ${String(map(row)["id"])}`),
    storage: { pool: storage["pool"], type: storage["type"] },
    firewall: {
      enable: options["enable"],
      policyIn: options["policy_in"],
      first: `${String(first?.["type"])} ${String(first?.["action"])}`,
    },
    group: readRules(await read("/cluster/firewall/groups/hive-host")),
  };
}
