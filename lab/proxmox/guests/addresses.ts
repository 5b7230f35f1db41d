/** The addresses a guest reports: what cloud-init or the container's configuration gave it. Source: bpg v0.111.1 proxmox/nodes/vms/vms_types.go (GetQEMUNetworkInterfacesResponseResult). */
import { parseProperty } from "../core/property.ts";
import type { Guest } from "../core/state.ts";
import { setUpByHand } from "./run.ts";

interface Address {
  "ip-address": string;
  "ip-address-type": string;
  prefix: number;
}

export interface GuestInterface {
  name: string;
  "hardware-address": string;
  "ip-addresses": Address[];
  statistics: Record<string, number>;
}

const STATISTICS = {
  "rx-bytes": 20_480,
  "rx-dropped": 0,
  "rx-errs": 0,
  "rx-packets": 160,
  "tx-bytes": 10_240,
  "tx-dropped": 0,
  "tx-errs": 0,
  "tx-packets": 80,
};

const LOOPBACK: GuestInterface = {
  name: "lo",
  "hardware-address": "00:00:00:00:00:00",
  "ip-addresses": [{ "ip-address": "127.0.0.1", "ip-address-type": "ipv4", prefix: 8 }],
  statistics: { ...STATISTICS },
};

function addressOf(guest: Guest, index: number, ip: string | undefined): Address[] {
  if (ip === undefined || ip === "manual") return [];
  // A lease of the lab's imaginary DHCP server: one address a guest and card.
  if (ip === "dhcp")
    return [
      { "ip-address": `192.168.1.${100 + ((guest.vmid + index * 50) % 150)}`, "ip-address-type": "ipv4", prefix: 24 },
    ];
  const [address = "", prefix = "24"] = ip.split("/");
  return [
    { "ip-address": address, "ip-address-type": address.includes(":") ? "ipv6" : "ipv4", prefix: Number(prefix) },
  ];
}

export function guestInterfaces(guest: Guest): GuestInterface[] {
  const config = guest.run.boot ?? guest.config;
  const cards = Object.keys(config)
    .filter((key) => /^net\d+$/.test(key))
    .sort((a, b) => Number(a.slice(3)) - Number(b.slice(3)));
  const list = cards.map((key): GuestInterface => {
    const index = Number(key.slice(3));
    const net = parseProperty(config[key] ?? "", "model");
    const mac = /([0-9A-F]{2}:){5}[0-9A-F]{2}/i.exec(config[key] ?? "")?.[0] ?? "";
    // Without cloud-init a guest asks for a lease.
    const byHand = setUpByHand(guest) && index === 0 ? "dhcp" : undefined;
    const settings = guest.kind === "lxc" ? net : parseProperty(config[`ipconfig${index}`] ?? "");
    return {
      name: guest.kind === "lxc" ? (net["name"] ?? `eth${index}`) : `eth${index}`,
      "hardware-address": mac.toLowerCase(),
      "ip-addresses": [
        ...addressOf(guest, index, settings["ip"] ?? byHand),
        ...addressOf(guest, index, settings["ip6"]),
      ],
      statistics: { ...STATISTICS },
    };
  });
  return [LOOPBACK, ...list];
}
