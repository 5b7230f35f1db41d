/** Seeded faulty configurations of stack genesis: each breaks a valid one in one to four places and knows which. */
import fc from "fast-check";
import { rawGenesis, tokenText, canaries } from "./genesisSettings.ts";
import { SecretText } from "../../components/shared/secretText.ts";

/** One faulty configuration and the property paths that its refusal must name. */
export interface FaultyConfig {
  /** Keys without namespace; secrets as SecretText, structured values as objects. */
  readonly raw: Readonly<Record<string, unknown>>;
  /** Paths such as `hive:networks.lan.cidr`, sorted. */
  readonly expected: readonly string[];
  /** What was done, for the test's message. */
  readonly mutations: readonly string[];
}

interface Mutation {
  /** Path of the changed value below the configuration. */
  readonly path: readonly string[];
  readonly value: unknown;
  /** The property that must be named; by default the path. */
  readonly names?: string;
  /** Mutations of one group influence each other: only one of them is applied. */
  readonly group: string;
}

/** Marks a value that is taken away. */
const gone = Symbol("gone");

function on(path: string, values: readonly unknown[], names?: string, group?: string): readonly Mutation[] {
  const parts = path.split(".");
  return values.map((value) => ({
    path: parts,
    value,
    group: group ?? path,
    ...(names === undefined ? {} : { names }),
  }));
}

const mutations: readonly Mutation[] = [
  ...on("endpoint", [
    gone,
    "",
    "192.168.1.10",
    "http://192.168.1.10:8006/",
    `https://root:${canaries[0]}@host:8006/`,
    7,
    ["a"],
  ]),
  ...on("apiToken", [gone, tokenText, new SecretText("short"), new SecretText(`root@pam=${canaries[0]}`)]),
  ...on("sshPrivateKey", [gone, canaries[1], new SecretText(canaries[1])]),
  ...on("insecure", ["maybe", 3, {}]),
  ...on("nodeName", ["", "pve_1", "-pve", 5, new SecretText(canaries[0])]),
  ...on("agentTimeoutSec", [0, 9, 901, "soon", 1.5]),
  ...on("ssh.host", ["", "300.1.1.1", "a b", 1]),
  ...on("ssh.port", [0, 65_536, "ssh", 22.5]),
  ...on("ssh.user", ["", "Root!", 0]),
  ...on("ssh.hostKey", ["AAAA", "ssh-ed25519 no"]),
  ...on("adminCidrs", [gone, [], "192.168.1.0/24", {}]),
  ...on("adminCidrs", [["192.168.1.5/24"], ["0.0.0.0/0"], ["::1"], [7]], "adminCidrs[0]"),
  ...on("adminCidrs", [["192.168.1.0/24", "192.168.1.0/24"]], "adminCidrs[1]"),
  ...on("admin.user", ["root", "Admin", "", 1]),
  ...on("admin.publicKeys", [gone, [], "ssh-ed25519"]),
  ...on(
    "admin.publicKeys",
    [["ssh-ed25519"], [`-----BEGIN OPENSSH PRIVATE KEY-----\n${canaries[1]}`], [1]],
    "admin.publicKeys[0]",
  ),
  ...on("host.ram", ["lots", 0, "12 GX", {}], undefined, "host"),
  ...on("host.ram", ["64 GB", "72 GiB"], undefined, "host"),
  ...on("host.arc", ["16 MiB", "much"], undefined, "host"),
  ...on("host.reserved", ["1 MiB", -1], undefined, "host"),
  ...on("host.reservedCores", [0, 16, 1.5, "one"], undefined, "host"),
  ...on("host.topology", [7, "flat", ["x"]], undefined, "host"),
  ...on("host.topology.sockets", [0, 9, "two"], undefined, "host"),
  ...on("host.topology.threadsPerCore", [3, "on"], undefined, "host"),
  ...on("host.topology.numbering", ["odd"], undefined, "host"),
  ...on("host.topology.coresPerSocket", [6], "machines.100.vcpus", "host"),
  ...on("host.topology.lscpu", ["{}", "no json", { cpus: [{}] }], undefined, "host"),
  ...on("host.topology.cores", [8], undefined, "unknown in host"),
  ...on("storage.pool", ["", "r pool", "0pool"]),
  ...on("storage.dataset", ["/hive", "a b", "hive/"]),
  ...on("storage.id", ["local", "h", 1], undefined, "storage ids"),
  ...on("storage.files", ["!", ""], undefined, "storage ids"),
  ...on("storage.redundant", ["yes"]),
  ...on("networks.lan.cidr", ["192.168.1.7/24", "192.168.1.0", "x", 1], undefined, "subnets"),
  ...on("networks.lan.gateway", ["192.168.2.1", "router", ""], undefined, "subnets"),
  ...on("networks.lan.firstHost", [0, 256, "ten"], undefined, "subnets"),
  ...on("networks.lan.bridge", ["a bridge", "", "averylongbridge"], undefined, "bridges"),
  ...on("networks.private.cidr", ["10.20.20.0/25"], "networks.dmz.cidr", "subnets"),
  ...on("networks.private.cidr", ["192.168.1.0/25", "8.8.8.0/24", "10.20.10.0/30"], undefined, "subnets"),
  ...on("networks.private.vlanId", [0, 4095, "ten"], undefined, "vlans"),
  ...on("networks.private.vlanId", [20], "networks.dmz.vlanId", "vlans"),
  ...on("networks.private.mtu", [1000, 9217, "jumbo"]),
  ...on("networks.dmz.bridge", ["vmbr0", "vmbr1"], undefined, "bridges"),
  ...on("networks.dmz.cidr", ["10.20.10.128/25", "100.64.0.0/24"], undefined, "subnets"),
  ...on("networks.domain", ["Hive", "hive..internal", "", 1]),
  ...on("networks.dnsServers", [[], "1.1.1.1"]),
  ...on("networks.dnsServers", [["one"], [1]], "networks.dnsServers[0]"),
  ...on("workers", [-1, 101, 1.5, "many"], undefined, "workers"),
  ...on("workers", [99], "host.ram", "host"),
  ...on("machines", [7, ["x"]], undefined, "host"),
  ...on("machines", [{ 999: { vcpus: 1 } }], "machines.999", "host"),
  ...on("machines", [{ 101: { ram: "big" } }], "machines.101.ram", "host"),
  ...on("machines", [{ 101: { balloonMin: "64 GB" } }], "machines.101.balloonMin", "host"),
  ...on("machines", [{ 100: { balloonMin: "8 GB" } }], "machines.100.balloonMin", "host"),
  ...on("machines", [{ 400: { vcpus: 0 } }], "machines.400.vcpus", "host"),
  ...on("machines", [{ 400: { diskGiB: 0 } }], "machines.400.diskGiB", "host"),
  ...on("machines", [{ 400: { cpus: 2 } }], "machines.400.cpus", "host"),
  ...on("images.ubuntu", [{ url: "ftp://x/y.img", fileName: "y.qcow2" }], "images.ubuntu.url", "ubuntu"),
  ...on("images.ubuntu", [{ url: "https://x/y.img" }], "images.ubuntu.fileName", "ubuntu"),
  ...on("images.debian", [{ sha512: "abc" }], "images.debian.sha512"),
  ...on("images.alpine", [{ fileName: "../a.tar.xz" }], "images.alpine.fileName"),
  ...on("images.windowsIso", ["win.iso", "local:win"]),
  ...on("devices.gpu", [gone, 7], undefined, "gpu"),
  ...on("devices.gpu.path", ["01:00.0", gone, ""], undefined, "gpu"),
  ...on("devices.gpu.id", ["RTX", gone], undefined, "gpu"),
  ...on("devices.gpu.iommuGroup", [-1, "a", gone], undefined, "gpu"),
  ...on("devices.tpu.id", ["coral", 18]),
  ...on("devices.tpu.mapping", ["1tpu", "a b"]),
  ...on("apitoken", [tokenText], undefined, "unknown"),
  ...on("ssh.privateKey", [canaries[1]], undefined, "unknown in ssh"),
  ...on("networks.wan", [{ bridge: "vmbr9" }], undefined, "unknown in networks"),
  ...on("devices.npu", [null], undefined, "unknown in devices"),
];

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof SecretText);
}

function apply(target: Record<string, unknown>, path: readonly string[], value: unknown): void {
  const [key, ...rest] = path;
  if (key === undefined) return;
  if (rest.length > 0) {
    const inner = target[key];
    if (isRecord(inner)) apply(inner, rest, value);
  } else if (value === gone) Reflect.deleteProperty(target, key);
  else target[key] = value;
}

/** Up to four mutations of different groups, none below another's path. */
function compatible(list: readonly Mutation[]): readonly Mutation[] {
  return list.reduce<Mutation[]>((chosen, next) => {
    const clash = chosen.some((other) => {
      const [a, b] = [`${other.path.join(".")}.`, `${next.path.join(".")}.`];
      return other.group === next.group || a.startsWith(b) || b.startsWith(a);
    });
    return clash || chosen.length === 4 ? chosen : [...chosen, next];
  }, []);
}

function build(chosen: readonly Mutation[]): FaultyConfig {
  const raw = rawGenesis();
  for (const { path, value } of chosen) apply(raw, path, structuredCloneExceptSecrets(value));
  const expected = chosen.map(({ path, names }) => `hive:${names ?? path.join(".")}`).sort();
  return { raw, expected, mutations: chosen.map(({ path }) => path.join(".")) };
}

function structuredCloneExceptSecrets(value: unknown): unknown {
  return isRecord(value) || Array.isArray(value) ? structuredClone(value) : value;
}

/** So many faulty configurations, always the same for a seed. */
export function faultyConfigs(count: number, seed: number): readonly FaultyConfig[] {
  const some = fc.array(fc.constantFrom(...mutations), { minLength: 1, maxLength: 6 }).map(compatible);
  return fc.sample(some.map(build), { numRuns: count, seed });
}

/** One faulty configuration for each known mutation. */
export function singleFaults(): readonly FaultyConfig[] {
  return mutations.map((mutation) => build([mutation]));
}
