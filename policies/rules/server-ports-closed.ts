import type { PolicyResource } from "@pulumi/policy";
import { serverPorts } from "../../components/shared/vps/serverPlan.ts";
import { isGuest, readGuest } from "../estate.ts";
import { booleanAt, isKnown, listAt, numberAt, stringAt, unknownYet } from "../facts.ts";
import { about, openOf, type Open } from "../openings.ts";
import { type Breach, stackRule } from "../rule.ts";
import {
  componentAround,
  guestFirewallType,
  instanceType,
  isServer,
  isThrowaway,
  propsOf,
  serverType,
} from "../servers.ts";

interface Config {
  readonly publicPorts: readonly number[];
  readonly smallestPrefix: number;
}

/** Bits of a network's prefix; NaN for what is no network, such as the name of a set. */
function prefixOf(text: string): number {
  const [, address = "", bits] = /^([\d.]+|[\da-f:]+:[\da-f:]*)(?:\/(\d+))?$/i.exec(text.trim()) ?? [];
  if (address === "") return Number.NaN;
  return bits === undefined ? (address.includes(":") ? 128 : 32) : Number(bits);
}

/** Faults of one opening. `asked`: the ports that the server was declared with, when they are known. */
function openFaults(open: Open, asked: ReadonlySet<number> | undefined, config: Config): readonly string[] {
  const { port, lastPort, protocol, from } = open;
  if ([port, lastPort, protocol, ...from].includes(unknownYet)) return [];
  const what = `${isKnown(protocol) ? protocol : "every protocol"} port ${isKnown(port) ? String(port) : "any"}`;
  if (protocol === "icmp") return [];
  if (!isKnown(port) || port !== lastPort || (protocol !== "tcp" && protocol !== "udp"))
    return [`${what} to ${isKnown(lastPort) ? String(lastPort) : "any"} is open; allowed: single ports of tcp or udp`];
  const found: string[] = [];
  if (asked !== undefined && !asked.has(port)) found.push(`${what} is open, and was not asked for`);
  const networks = from.filter(isKnown).flatMap((text) => text.split(","));
  const wide = networks.filter((text) => !(prefixOf(text) >= config.smallestPrefix));
  if (!config.publicPorts.includes(port) && (from.length === 0 || wide.length > 0))
    found.push(`${what} is open to ${wide.join(", ") || "everybody"}`);
  return found;
}

/** Faults of the fence itself: it must stand, and drop what no rule lets in. */
function fenceFaults(server: PolicyResource, resources: readonly PolicyResource[]): readonly string[] {
  if (server.type === instanceType) {
    const family = stringAt(propsOf(server), "ipAddressType");
    return family === unknownYet || family === "ipv4"
      ? []
      : ["it has an IPv6 address, whose ports are open as Lightsail leaves them"];
  }
  const found: string[] = [];
  const fence = about(server, guestFirewallType, resources);
  if (fence === undefined) found.push("it has no firewall");
  if (isKnown(fence)) {
    const enabled = booleanAt(propsOf(fence), "enabled");
    const policy = stringAt(propsOf(fence), "inputPolicy");
    if (enabled !== true && enabled !== unknownYet) found.push("its firewall is off");
    if (policy !== "DROP" && policy !== "REJECT" && policy !== unknownYet)
      found.push(`its firewall lets in what no rule names: inputPolicy is ${policy ?? "unset"}`);
  }
  const vm = isGuest(server) && readGuest(server).kind === "vm";
  const nics = listAt(propsOf(server), vm ? "networkDevices" : "networkInterfaces");
  if (isKnown(nics))
    nics.forEach((nic, index) => {
      const guarded = booleanAt(nic, "firewall");
      if (guarded !== true && guarded !== unknownYet)
        found.push(`its card ${String(index)} is outside of the firewall`);
    });
  return found;
}

/** Ports that a server was declared with, when they are known. */
function askedFor(server: PolicyResource, resources: readonly PolicyResource[]): ReadonlySet<number> | undefined {
  const declared = componentAround(server, serverType, resources);
  const list = declared === undefined ? undefined : listAt(declared.props, "openings");
  if (!isKnown(list)) return undefined;
  const ports = list.map((opening) => numberAt(opening, "port"));
  return ports.includes(unknownYet) ? undefined : new Set(ports.filter(isKnown));
}

function faultsOf(server: PolicyResource, config: Config, resources: readonly PolicyResource[]): readonly string[] {
  const open = openOf(server, resources);
  // Only the Sentinel may be reached from everywhere.
  const publicPorts = isThrowaway(server) ? [] : config.publicPorts;
  const asked = askedFor(server, resources);
  return [
    ...fenceFaults(server, resources),
    ...(open === undefined && server.type === instanceType
      ? ["nothing says what is open, so SSH and HTTP are, to everybody"]
      : []),
    ...(isKnown(open) ? open.flatMap((each) => openFaults(each, asked, { ...config, publicPorts })) : []),
  ];
}

/** A server is closed but for what was asked. */
export default stackRule({
  name: "server-ports-closed",
  description: "A server's firewall is closed but for the ports that were asked for, each to named networks.",
  reason:
    "Throwaway servers run code from outside and nobody looks after them: what is open to everybody is found within minutes.",
  fix: "Declare the server through HeavyAgent or Sentinel, and name in openings who needs which port.",
  config: {
    defaults: { publicPorts: [serverPorts.sentinel], smallestPrefix: 8 },
    schema: {
      publicPorts: {
        type: "array",
        items: { type: "integer" },
        description: "Ports of the Sentinel that everybody may reach: they need a key of the caller.",
      },
      smallestPrefix: {
        type: "integer",
        minimum: 0,
        maximum: 32,
        description: "Largest network allowed, as its prefix.",
      },
    },
  },
  check: (_, config: Config, resources) =>
    resources.filter(isServer).flatMap((server): Breach[] =>
      faultsOf(server, config, resources).map((found) => ({
        urn: server.urn,
        found: `Server ${server.name} is not closed: ${found}.`,
      })),
    ),
});
