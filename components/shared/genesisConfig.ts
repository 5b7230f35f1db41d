import type { Checked, Fault } from "./faults.ts";
import type { GenesisSettings, HostSettings, MachineOverride, NetworkSettings } from "./genesisSettings.ts";
import type { HostTopology } from "./topology.ts";
import { checkWhole } from "./check.ts";
import { genesisImages } from "./genesisImages.ts";
import { readKeeper } from "./genesisKeeper.ts";
import { planGenesis } from "./genesisPlan.ts";
import { checkSecrets } from "./genesisSecrets.ts";
import { RawReader } from "./rawReader.ts";
import { endpointParts } from "./settingsChecks.ts";
import { parseLscpu, smtTopology } from "./topology.ts";

/** Namespace of the configuration keys: the project's name in `Pulumi.yaml`. */
export const configNamespace = "hive";

function readTopology(reader: RawReader, faults: Fault[]): HostTopology {
  if (reader.blind) return { cpus: [] };
  const before = faults.length;
  if (reader.has("lscpu")) {
    const regular = ["sockets", "coresPerSocket", "threadsPerCore", "nodesPerSocket", "numbering"];
    const both = regular.filter((name) => reader.has(name));
    if (both.length > 0) {
      reader.note(
        "lscpu",
        reader.raw("lscpu"),
        `alone, without ${both.join(", ")}`,
        "Describe the processors in one of the two ways.",
      );
      reader.finish();
      return { cpus: [] };
    }
    const raw = reader.raw("lscpu");
    const parsed = parseLscpu(typeof raw === "string" ? raw : JSON.stringify(raw));
    reader.finish();
    if (parsed.ok) return parsed.value;
    faults.push(...parsed.faults.map((fault) => ({ ...fault, property: reader.path("lscpu") })));
    return { cpus: [] };
  }
  const spec = {
    sockets: reader.number("sockets", 1),
    coresPerSocket: reader.number("coresPerSocket", 16),
    threadsPerCore: reader.choice("threadsPerCore", [1, 2] as const, 2),
    nodesPerSocket: reader.number("nodesPerSocket", 1),
    numbering: reader.choice("numbering", ["split", "adjacent"] as const, "split"),
  };
  const bounds = { sockets: 8, coresPerSocket: 256, nodesPerSocket: 8 } as const;
  for (const name of ["sockets", "coresPerSocket", "nodesPerSocket"] as const) {
    const path = reader.path(name);
    if (faults.some(({ property }) => property === path)) continue;
    faults.push(...checkWhole(path, spec[name], 1, bounds[name], "", "Read it from `lscpu` on the host."));
  }
  const sound = faults.length === before;
  reader.finish();
  return sound ? smtTopology(spec) : { cpus: [] };
}

function readHost(reader: RawReader, faults: Fault[]): HostSettings {
  const host = {
    topology: readTopology(reader.object("topology"), faults),
    ramMiB: reader.mib("ram", 131_072),
    arcMiB: reader.mib("arc", 4096),
    reservedMiB: reader.mib("reserved", 4096),
    reservedCores: reader.number("reservedCores", 1),
  };
  reader.finish();
  return host;
}

function readVlan(reader: RawReader, missing: number | undefined): number | undefined {
  return reader.has("vlanId") ? reader.optionalNumber("vlanId") : missing;
}

function readNetworks(reader: RawReader): NetworkSettings {
  const [lan, inner, dmz] = [reader.object("lan"), reader.object("private"), reader.object("dmz")];
  const gateway = lan.text("gateway", "192.168.1.1");
  const networks = {
    lan: {
      bridge: lan.text("bridge", "vmbr0"),
      cidr: lan.text("cidr", "192.168.1.0/24"),
      gateway,
      vlanId: readVlan(lan, undefined),
      firstHost: lan.number("firstHost", 20),
    },
    private: {
      bridge: inner.text("bridge", "vmbr1"),
      cidr: inner.text("cidr", "10.20.10.0/24"),
      vlanId: readVlan(inner, 10),
      mtu: inner.number("mtu", 9000),
    },
    dmz: {
      bridge: dmz.text("bridge", "vmbr2"),
      cidr: dmz.text("cidr", "10.20.20.0/24"),
      vlanId: readVlan(dmz, 20),
    },
    domain: reader.text("domain", "hive.internal"),
    dnsServers: reader.texts("dnsServers", [gateway]),
  };
  for (const part of [lan, inner, dmz, reader]) part.finish();
  return networks;
}

function readDevices(reader: RawReader): GenesisSettings["devices"] {
  const [gpu, tpu] = ["gpu", "tpu"].map((name) => (reader.isNull(name) ? undefined : reader.object(name)));
  if (!reader.has("gpu")) {
    reader.note(
      "gpu",
      undefined,
      "an object with path, id and iommuGroup, or null",
      "Run `lspci -Dnn | grep VGA`; write null without a GPU.",
    );
  }
  const given = reader.has("gpu") ? gpu : undefined;
  const devices = {
    gpu: given && {
      mapping: given.text("mapping", "gpu-rtx3090"),
      path: given.text("path", { fix: "Read it from `lspci -D`, such as 0000:01:00." }),
      id: given.text("id", { fix: "Read it from `lspci -nn`, such as 10de:2204." }),
      subsystemId: given.optionalText("subsystemId"),
      iommuGroup: given.number("iommuGroup", { fix: "Read it from `find /sys/kernel/iommu_groups -type l`." }),
    },
    tpu:
      reader.has("tpu") && tpu
        ? { mapping: tpu.text("mapping", "tpu-coral"), id: tpu.text("id", "18d1:9302") }
        : undefined,
  };
  given?.finish();
  if (reader.has("tpu")) tpu?.finish();
  reader.finish();
  return devices;
}

function readMachines(reader: RawReader): Readonly<Record<string, MachineOverride>> {
  const entries = reader.names().map((id): [string, MachineOverride] => {
    const machine = reader.object(id);
    const override = {
      vcpus: machine.optionalNumber("vcpus"),
      ramMiB: machine.has("ram") ? machine.mib("ram", 0) : undefined,
      balloonMinMiB: machine.has("balloonMin") ? machine.mib("balloonMin", 0) : undefined,
      diskGiB: machine.optionalNumber("diskGiB"),
    };
    machine.finish();
    return [id, override];
  });
  return Object.fromEntries(entries);
}

function readSettings(root: RawReader, faults: Fault[]): GenesisSettings {
  const endpoint = root.text("endpoint", { fix: "Run `pulumi config set hive:endpoint https://HOST:8006/`." });
  const [ssh, admin, storage] = [root.object("ssh"), root.object("admin"), root.object("storage")];
  const settings: GenesisSettings = {
    endpoint,
    insecure: root.boolean("insecure", false),
    nodeName: root.text("nodeName", "pve"),
    ssh: {
      // Without a sound endpoint, which is a fault already, there is no default to check.
      host: ssh.text("host", endpointParts(endpoint)?.host ?? "host.invalid"),
      port: ssh.number("port", 22),
      user: ssh.text("user", "root"),
      hostKey: ssh.optionalText("hostKey"),
    },
    adminCidrs: root.texts("adminCidrs", { fix: "List the addresses that you administer the host from." }),
    admin: {
      user: admin.text("user", "hive"),
      publicKeys: admin.texts("publicKeys", { fix: "Add the content of ~/.ssh/id_ed25519.pub." }),
    },
    host: readHost(root.object("host"), faults),
    storage: {
      pool: storage.text("pool", "rpool"),
      dataset: storage.text("dataset", "hive"),
      id: storage.text("id", "hive-zfs"),
      files: storage.text("files", "local"),
      redundant: storage.boolean("redundant", true),
    },
    networks: readNetworks(root.object("networks")),
    workers: root.number("workers", 2),
    machines: readMachines(root.object("machines")),
    images: genesisImages(root.object("images")),
    devices: readDevices(root.object("devices")),
    agentTimeoutSec: root.number("agentTimeoutSec", 180),
    keeper: readKeeper(root, faults),
  };
  for (const part of [ssh, admin, storage, root]) part.finish();
  return settings;
}

/** The configuration's name of a property of the settings. */
function configPath(property: string): string {
  const names = new Map([
    ["host.ramMiB", "host.ram"],
    ["host.arcMiB", "host.arc"],
    ["host.reservedMiB", "host.reserved"],
  ]);
  const renamed = names.get(property) ?? property;
  const [, id, field] = /^machines\[(\w+)\](?:\.(\w+))?$/.exec(renamed) ?? [];
  if (id === undefined) return `${configNamespace}:${renamed}`;
  const fields = new Map([
    ["ramMiB", "ram"],
    ["balloonMinMiB", "balloonMin"],
  ]);
  return `${configNamespace}:machines.${id}${field === undefined ? "" : `.${fields.get(field) ?? field}`}`;
}

/** Whether one path is the other one, or holds it. */
function related(a: string, b: string): boolean {
  const within = (inner: string, outer: string): boolean =>
    inner.startsWith(outer) && ".[".includes(inner[outer.length] ?? ".");
  return within(a, b) || within(b, a);
}

/**
 * Validates the configuration of stack `genesis`: keys without the namespace, values as Pulumi stores them (texts, or
 * JSON behind structured keys), secrets as `SecretText`. Fills in every default and runs every planner, so that
 * one result names all faults: wrong types and unknown keys, then whatever a planner refuses. Secret values are in no
 * fault and not in the settings.
 */
export function parseGenesisConfig(raw: Readonly<Record<string, unknown>>): Checked<GenesisSettings> {
  const faults: Fault[] = [];
  const root = new RawReader(raw, `${configNamespace}:`, faults);
  checkSecrets(root, faults);
  const settings = readSettings(root, faults);
  const plan = planGenesis(settings);
  const planned = plan.ok ? [] : plan.faults.map((fault) => ({ ...fault, property: configPath(fault.property) }));
  const known = faults.filter(({ value }) => value !== "an unknown key");
  const topology = `${configNamespace}:host.topology`;
  const topologyRead = known.every(({ property }) => !property.startsWith(topology));
  const further = planned.filter(
    ({ property }) =>
      !known.some((fault) => related(fault.property, property)) && (topologyRead || !property.startsWith(topology)),
  );
  const all = [...faults, ...further];
  return all.length === 0 ? { ok: true, value: settings } : { ok: false, faults: all };
}
