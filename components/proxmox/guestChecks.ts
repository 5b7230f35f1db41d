import { isIP } from "node:net";
import { checkForm, checkWhole, dnsLabel, fault } from "../shared/check.ts";
import type { Fault } from "../shared/faults.ts";
import { hasHost, parseHost, parseIpv4 } from "../shared/ipv4.ts";
import type { GuestSpec, NicSpec } from "./guestSpec.ts";

/*
 * Forms of names as Proxmox takes them. Its API schema names the format of each (`pve-tag-list` for tags,
 * `pve-bridge-id-list` for bridges, `pve-configid` for mappings, `pve-startup-order`, `mac-addr`); what a format allows
 * stands in PVE::JSONSchema of libpve-common-perl.
 */

/** `pve-tag`, in lower case: Proxmox lowers tags, and they must read back as declared. */
const tag = /^[a-z0-9_][a-z0-9_\-+.]*$/;
const tagRest = /^[a-z0-9_\-+.]+$/;
/** `pve-bridge-id`, at least 2 characters (`pve-iface`), at most the 15 that the Linux kernel takes (IFNAMSIZ). */
const bridge = /^[-\w.]{2,15}$/;
/** `mac-addr`: six octets, the first one even (unicast). */
const mac = /^[0-9a-f][02468ace](?::[0-9a-f]{2}){5}$/i;
/** `pve-configid`. */
const mapping = /^[a-z][a-z0-9_-]+$/i;
const mostOrder = 2 ** 31 - 1;

/** Every fault of a guest's network cards. */
export function checkNics(nics: readonly NicSpec[]): readonly Fault[] {
  if (nics.length === 0) {
    return [fault("nics", nics, "at least one network card", "Put the guest on a network.")];
  }
  const routed = nics.findIndex((nic) => nic.gateway !== undefined);
  return nics.flatMap((nic, index) => {
    const path = `nics[${String(index)}]`;
    const twin = nics.findIndex((other) => other.mac.toLowerCase() === nic.mac.toLowerCase());
    return [
      ...checkForm(
        `${path}.bridge`,
        nic.bridge,
        bridge,
        "a bridge's name of 2 to 15 letters, digits, -, _ and .",
        "Use the name Proxmox shows under Network, such as vmbr0.",
      ),
      ...(nic.vlanId === undefined
        ? []
        : checkWhole(
            `${path}.vlanId`,
            nic.vlanId,
            1,
            4094,
            "(IEEE 802.1Q)",
            "Choose another VLAN id, or leave it out for an untagged card.",
          )),
      ...checkForm(
        `${path}.mac`,
        nic.mac,
        mac,
        "a unicast address of six octets in hexadecimal",
        "Give an address such as 02:60:de:00:01:36.",
      ),
      ...(twin < index
        ? [fault(`${path}.mac`, nic.mac, `one card an address; nics[${String(twin)}].mac has it`, "Give another one.")]
        : []),
      ...checkWhole(`${path}.mtu`, nic.mtu, 576, 65_520, "bytes", "Give an MTU in range."),
      ...checkAddress(path, nic),
      ...(nic.gateway !== undefined && routed < index
        ? [
            fault(
              `${path}.gateway`,
              nic.gateway,
              `one default route; nics[${String(routed)}].gateway is it`,
              "Leave it out on every card but one.",
            ),
          ]
        : []),
    ];
  });
}

function checkAddress(path: string, { cidr, gateway }: NicSpec): readonly Fault[] {
  const faults: Fault[] = [];
  const own = parseHost(cidr);
  if (own === undefined) {
    const limit = "a host's IPv4 address with its prefix length, 1 to 32";
    faults.push(fault(`${path}.cidr`, cidr, limit, "Give an address such as 10.20.10.100/24."));
  }
  if (gateway === undefined) return faults;
  const router = parseIpv4(gateway);
  // A card with an address for itself alone (/32) reaches a router outside of it.
  const near = own === undefined || router === undefined || own.subnet.prefix === 32 || hasHost(own.subnet, router);
  if (router === undefined) {
    faults.push(fault(`${path}.gateway`, gateway, "an IPv4 address", "Give the router's address, or leave it out."));
  } else if (!near || router === own?.address) {
    const limit = `another host in the network of ${cidr}`;
    faults.push(fault(`${path}.gateway`, gateway, limit, "Give the address of a router on this card's network."));
  }
  return faults;
}

/** Every fault of the names that a guest is given: tags, mappings, place in the start order. */
export function checkNames(spec: GuestSpec): readonly Fault[] {
  const fixed = ["hive", `owner-${spec.owner}`, `role-${spec.role}`];
  const limit = "a tag of Proxmox: lower-case letters, digits, _, -, + and .";
  const mappings = (property: string, names: readonly string[]): readonly Fault[] =>
    names.flatMap((name, index) =>
      checkForm(
        `${property}[${String(index)}]`,
        name,
        mapping,
        "the name of a resource mapping: a letter, then letters, digits, - and _",
        "Use the name Proxmox shows under Resource Mappings.",
      ),
    );
  return [
    ...checkForm("owner", spec.owner, tagRest, limit, "Write the owner so that owner-<owner> is a tag."),
    ...spec.extraTags.flatMap((text, index) => {
      const path = `extraTags[${String(index)}]`;
      if (!tag.test(text)) return [fault(path, text, limit, "Write the tag in this form.")];
      const twice = fixed.includes(text) || spec.extraTags.indexOf(text) < index;
      return twice ? [fault(path, text, "each tag once; the guest has this one", "Leave it out here.")] : [];
    }),
    ...mappings("pci", spec.pci),
    ...mappings("usb", spec.usb),
    ...checkWhole("startupOrder", spec.startupOrder, 0, mostOrder, "", "Give its place, lowest first."),
  ];
}

/** What the arguments hold beside the guest's own values. */
interface Surroundings {
  readonly nodeName: string;
  readonly admin: { readonly user: string };
  readonly dns: { readonly domain: string; readonly servers: readonly string[] };
}

/** Every fault of the node, the administrator and the resolvers. */
export function checkSurroundings({ nodeName, admin, dns }: Surroundings): readonly Fault[] {
  const labels = dns.domain.toLowerCase().split(".");
  return [
    ...checkForm(
      "nodeName",
      nodeName,
      /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i,
      "the node's name in the Proxmox tree",
      "Run `hostname` on the host.",
    ),
    ...checkForm(
      "admin.user",
      admin.user,
      /^[a-z_][a-z0-9_-]{0,31}$/,
      "a Unix user name of 1 to 32 characters",
      "Choose another login.",
    ),
    ...(dns.domain.length <= 253 && labels.every((label) => dnsLabel.test(label))
      ? []
      : [fault("dns.domain", dns.domain, "a DNS domain such as hive.internal", "Correct the domain.")]),
    ...dns.servers.flatMap((server, index) =>
      isIP(server) === 0
        ? [fault(`dns.servers[${String(index)}]`, server, "an IP address", "Give the resolver's address.")]
        : [],
    ),
  ];
}
