import { renderHeavyAgentUnits } from "../../components/shared/vps/heavyAgentUnit.ts";
import { lightsailTags, proxmoxTagList } from "../../components/shared/vps/tags.ts";
import { proxmoxOffers } from "../../components/shared/vps/serverPlan.ts";
import { knownBundles } from "../../components/shared/vps/lightsail.ts";
import type { FixtureResource } from "./runRule.ts";

type Change = Readonly<Record<string, unknown>>;

const day = 86_400;
/** A day from now: a policy that looked at it a year ago would have another opinion. */
export const expiresSec = Math.floor(Date.now() / 1000) + day;

const openings = [
  { port: 22, protocol: "tcp", from: ["198.51.100.7/32"], comment: "administration" },
  { port: 8943, protocol: "tcp", from: ["203.0.113.9/32"], comment: "signals of the Sentinel" },
];

/** The offer that the table of bundles or the host has for an id. */
function offerOf(id: string): unknown {
  return [...knownBundles("eu-west-3"), ...proxmoxOffers].find((offer) => offer.id === id);
}

/** Unit files as the agent's own server gets them. */
export function units(name: string, change: Change = {}): readonly unknown[] {
  const files = renderHeavyAgentUnits({ name, server: { vcpus: 2, ramMiB: 2048 }, ...change });
  if (!files.ok) throw new Error(JSON.stringify(files.faults));
  return files.value;
}

const portInfos = openings.map(({ port, protocol, from }) => ({
  fromPort: port,
  toPort: port,
  protocol,
  cidrs: from,
}));

/** A heavy agent at Lightsail, as HeavyAgent declares it: component, server, key, instance, ports and a step. */
export function lightsailAgent(name = "shopper"): readonly FixtureResource[] {
  const tags = lightsailTags({ estate: "hive", agent: name, expiresSec });
  const server = `${name}-server`;
  return [
    {
      type: "hive:index:HeavyAgent",
      name,
      props: { units: units(name), runner: { sentinel: { address: "203.0.113.9:8944" } } },
    },
    {
      type: "hive:index:Vps",
      name: server,
      parent: name,
      props: { kind: "browser-light", size: "S", offer: offerOf("small_3_0"), openings },
    },
    {
      type: "aws:lightsail/keyPair:KeyPair",
      name: `${server}-key`,
      parent: server,
      props: { name: `agent-${name}`, publicKey: `ssh-ed25519 AAAA${name} agent-${name}`, tags },
    },
    {
      type: "aws:lightsail/instance:Instance",
      name: `${server}-instance`,
      parent: server,
      props: {
        name: `agent-${name}`,
        availabilityZone: "eu-west-3a",
        blueprintId: "debian_12",
        bundleId: "small_3_0",
        keyPairName: `agent-${name}`,
        ipAddressType: "ipv4",
        publicIpAddress: "192.0.2.20",
        tags,
      },
    },
    {
      type: "aws:lightsail/instancePublicPorts:InstancePublicPorts",
      name: `${server}-ports`,
      parent: server,
      props: { instanceName: `agent-${name}`, portInfos },
    },
    {
      type: "command:remote:Command",
      name: `${name}-unit`,
      parent: name,
      props: { connection: { host: "192.0.2.20", user: "admin" }, create: `systemctl start heavy-agent@${name}` },
    },
  ];
}

/** The same on a Proxmox host: a container with its firewall. */
export function proxmoxAgent(name = "batcher"): readonly FixtureResource[] {
  const server = `${name}-server`;
  const guest = `${server}-guest`;
  return [
    { type: "hive:index:HeavyAgent", name, props: { units: units(name), runner: {} } },
    {
      type: "hive:index:Vps",
      name: server,
      parent: name,
      props: { kind: "browser-light", size: "S", offer: offerOf("proxmox-s"), openings },
    },
    { type: "hive:index:ProxmoxGuest", name: guest, parent: server, props: { vmId: 320, hostname: `agent-${name}` } },
    {
      type: "proxmoxve:index/containerLegacy:ContainerLegacy",
      name: `${guest}-container`,
      parent: guest,
      props: {
        nodeName: "pve",
        vmId: 320,
        tags: ["hive", "owner-pulumi", "role-worker", ...proxmoxTagList({ estate: "hive", agent: name, expiresSec })],
        cpu: { cores: 2 },
        memory: { dedicated: 2048, swap: 0 },
        initialization: {
          userAccount: { keys: [`ssh-ed25519 AAAA${name} agent-${name}`] },
          ipConfigs: [{ ipv4: { address: "10.20.30.20/24" } }],
        },
        networkInterfaces: [{ name: "eth0", bridge: "vmbr2", firewall: true }],
        startOnBoot: true,
        protection: false,
      },
    },
    {
      type: "proxmoxve:firewall/rulesLegacy:RulesLegacy",
      name: `${guest}-rules`,
      parent: guest,
      props: {
        nodeName: "pve",
        containerId: 320,
        rules: [
          ...openings.map(({ port, protocol, from, comment }) => ({
            type: "in",
            action: "ACCEPT",
            enabled: true,
            proto: protocol,
            dport: String(port),
            source: from[0],
            comment,
          })),
          { type: "out", action: "DROP", enabled: true, dest: "10.0.0.0/8", comment: "no neighbours" },
        ],
      },
    },
    {
      type: "proxmoxve:firewall/optionsLegacy:OptionsLegacy",
      name: `${guest}-firewall`,
      parent: guest,
      props: { nodeName: "pve", containerId: 320, enabled: true, inputPolicy: "DROP", outputPolicy: "ACCEPT" },
    },
  ];
}

/** The Sentinel at Lightsail: protected, and its port for runners open to everybody. */
export const sentinel: readonly FixtureResource[] = [
  { type: "hive:index:Sentinel", name: "sentinel", props: {} },
  {
    type: "hive:index:Vps",
    name: "sentinel-server",
    parent: "sentinel",
    props: {
      kind: "micro-service",
      size: "XS",
      offer: offerOf("micro_3_0"),
      openings: [openings[0], { port: 8944, protocol: "tcp", from: ["0.0.0.0/0"], comment: "runners" }],
    },
  },
  {
    type: "aws:lightsail/keyPair:KeyPair",
    name: "sentinel-server-key",
    parent: "sentinel-server",
    props: { name: "sentinel", publicKey: "ssh-ed25519 AAAAsentinel hive" },
  },
  {
    type: "aws:lightsail/instance:Instance",
    name: "sentinel-server-instance",
    parent: "sentinel-server",
    protect: true,
    props: {
      name: "sentinel",
      availabilityZone: "eu-west-3a",
      bundleId: "micro_3_0",
      keyPairName: "sentinel",
      ipAddressType: "ipv4",
      publicIpAddress: "203.0.113.9",
      tags: { "hive:role": "sentinel" },
    },
  },
  {
    type: "aws:lightsail/instancePublicPorts:InstancePublicPorts",
    name: "sentinel-server-ports",
    parent: "sentinel-server",
    props: {
      instanceName: "sentinel",
      portInfos: [portInfos[0], { fromPort: 8944, toPort: 8944, protocol: "tcp", cidrs: ["0.0.0.0/0"] }],
    },
  },
];

/** Resources with some of one's properties changed. */
export function withProps(list: readonly FixtureResource[], name: string, change: Change): readonly FixtureResource[] {
  if (!list.some((resource) => resource.name === name)) throw new Error(`no resource ${name}`);
  return list.map((r) => (r.name === name ? { ...r, props: { ...r.props, ...change } } : r));
}

/** Resources but one. */
export function but(list: readonly FixtureResource[], name: string): readonly FixtureResource[] {
  const rest = list.filter((resource) => resource.name !== name);
  if (rest.length === list.length) throw new Error(`no resource ${name}`);
  return rest;
}
