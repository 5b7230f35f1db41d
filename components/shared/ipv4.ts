/** An IPv4 subnet. Addresses are numbers from 0 to 2^32 - 1. */
export interface Subnet {
  /** Network address. */
  readonly base: number;
  readonly prefix: number;
  /** First and last address for hosts. */
  readonly first: number;
  readonly last: number;
}

/** The address as a number, if the text is a dotted quad. */
export function parseIpv4(text: string): number | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (match === null) return undefined;
  const octets = match.slice(1);
  if (octets.some((octet) => Number(octet) > 255 || (octet.length > 1 && octet.startsWith("0")))) return undefined;
  return octets.reduce((sum, octet) => sum * 256 + Number(octet), 0);
}

/** A number as dotted quad. */
export function formatIpv4(address: number): string {
  return [24, 16, 8, 0].map((shift) => String(Math.floor(address / 2 ** shift) % 256)).join(".");
}

/** The subnet of `address/prefix`; undefined unless the address is the network's own (no host bits set). */
export function parseCidr(text: string): Subnet | undefined {
  const match = /^([\d.]{7,15})\/(\d{1,2})$/.exec(text);
  const base = parseIpv4(match?.[1] ?? "");
  const prefix = Number(match?.[2]);
  if (base === undefined || !(prefix >= 0 && prefix <= 32)) return undefined;
  const size = 2 ** (32 - prefix);
  if (base % size !== 0) return undefined;
  return size < 4
    ? { base, prefix, first: base, last: base + size - 1 }
    : { base, prefix, first: base + 1, last: base + size - 2 };
}

/** A host's `address/prefix` and the subnet that it is in; undefined unless a host may have the address there. */
export function parseHost(text: string): { readonly address: number; readonly subnet: Subnet } | undefined {
  const [quad = "", prefix = "", ...more] = text.split("/");
  const address = parseIpv4(quad);
  if (address === undefined || !/^(?:[1-9]|[12]\d|3[0-2])$/.test(prefix) || more.length > 0) return undefined;
  const size = 2 ** (32 - Number(prefix));
  const subnet = parseCidr(`${formatIpv4(address - (address % size))}/${prefix}`);
  return subnet !== undefined && hasHost(subnet, address) ? { address, subnet } : undefined;
}

/** The last address of a subnet, broadcast included. */
function end(subnet: Subnet): number {
  return subnet.base + 2 ** (32 - subnet.prefix) - 1;
}

/** Whether two subnets share an address. */
export function overlap(a: Subnet, b: Subnet): boolean {
  return a.base <= end(b) && b.base <= end(a);
}

/** Whether hosts of the subnet may have this address. */
export function hasHost(subnet: Subnet, address: number): boolean {
  return address >= subnet.first && address <= subnet.last;
}

const privateRanges = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"].flatMap((text) => parseCidr(text) ?? []);

/** Whether a subnet lies in a private range (RFC 1918). */
export function isPrivate(subnet: Subnet): boolean {
  return privateRanges.some((range) => subnet.base >= range.base && end(subnet) <= end(range));
}
