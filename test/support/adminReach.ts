import { isRecord } from "./records.ts";

/**
 * Whether the host's firewall lets an address reach a TCP port of the host. Pure.
 *
 * The order is Proxmox's (pve-firewall, PVE/Firewall.pm `enable_host_firewall`): the node's rules, then the
 * cluster's, a security group in its place, the first match decides, then `policy_in` (DROP when unset). Strict side:
 * Proxmox's own exceptions for management are not counted; a condition that is not understood makes an accepting rule
 * match nothing and a refusing rule match everything.
 */
export function reaches(firewall: unknown, from: string, port: number): boolean {
  const cluster = scopeOf(field(firewall, "cluster"));
  const node = scopeOf(field(firewall, "node"));
  if (!isOn(cluster.options["enable"], false) || !isOn(node.options["enable"], true)) return true;
  for (const rule of [...node.rules, ...cluster.rules].flatMap((each) => expand(each, firewall))) {
    const verdict = judge(rule, from, port);
    if (verdict !== undefined) return verdict;
  }
  return String(cluster.options["policy_in"] ?? "DROP").toUpperCase() === "ACCEPT";
}

type Rule = Readonly<Record<string, unknown>>;

function field(value: unknown, name: string): unknown {
  return isRecord(value) ? value[name] : undefined;
}

function scopeOf(value: unknown): { readonly options: Rule; readonly rules: readonly Rule[] } {
  const options = field(value, "options");
  return { options: isRecord(options) ? options : {}, rules: rulesOf(field(value, "rules")) };
}

function rulesOf(value: unknown): Rule[] {
  return Array.isArray(value) ? value.filter(isRecord) : [];
}

function isOn(value: unknown, fallback: boolean): boolean {
  return value === undefined ? fallback : value === 1 || value === "1" || value === true;
}

/** A group rule stands for the group's rules; a group that does not exist stands for none. */
function expand(rule: Rule, firewall: unknown): Rule[] {
  if (!isOn(rule["enable"], false)) return [];
  if (rule["type"] !== "group") return [rule];
  const group = field(field(firewall, "groups"), String(rule["action"]));
  return rulesOf(field(group, "rules")).filter((each) => isOn(each["enable"], false) && each["type"] !== "group");
}

/** The rule's word on the connection; `undefined` when it does not match. */
function judge(rule: Rule, from: string, port: number): boolean | undefined {
  if (rule["type"] !== "in") return undefined;
  const accepts = rule["action"] === "ACCEPT";
  const known = new Set(["type", "action", "enable", "comment", "proto", "source", "dport", "log", "pos", "digest"]);
  const strange = Object.entries(rule).some(([name, value]) => !known.has(name) && value !== undefined && value !== "");
  if (strange) return accepts ? undefined : false;
  for (const match of [
    matchesProto(rule["proto"]),
    matchesSource(rule["source"], from),
    matchesPort(rule["dport"], port),
  ]) {
    if (match === false || (match === "unknown" && accepts)) return undefined;
  }
  return accepts;
}

type Match = boolean | "unknown";

function matchesProto(proto: unknown): Match {
  return proto === undefined || proto === "" || proto === "tcp" || proto === "6";
}

function matchesPort(dport: unknown, port: number): Match {
  if (dport === undefined || dport === "") return true;
  const parts = String(dport).split(",");
  if (!parts.every((part) => /^\d+(:\d+)?$/.test(part))) return "unknown";
  return parts.some((part) => {
    const [first = "", last = first] = part.split(":");
    return port >= Number(first) && port <= Number(last);
  });
}

function matchesSource(source: unknown, from: string): Match {
  if (source === undefined || source === "") return true;
  const parts = String(source).split(",");
  if (!parts.every((part) => /^\d+\.\d+\.\d+\.\d+(\/\d+)?$/.test(part))) return "unknown";
  return parts.some((part) => {
    const [network = "", prefix = "32"] = part.split("/");
    const size = 2 ** (32 - Number(prefix));
    return Math.floor(toNumber(network) / size) === Math.floor(toNumber(from) / size);
  });
}

function toNumber(address: string): number {
  return address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
}
