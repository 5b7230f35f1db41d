import type { Checked, Fault } from "../../components/shared/faults.ts";
import { serverPorts } from "../../components/shared/vps/serverPlan.ts";
import type { ConfigValue, LabConfig } from "./labConfig.ts";
import { hostOfUrl, isLoopbackHost } from "./loopback.ts";

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** What of a running lab an agent's settings depend on. */
export interface LabOfAgents {
  readonly project: string;
  readonly endpoint: string;
  readonly apiToken: string;
  /** The lab's own network; undefined where this machine cannot have one. */
  readonly network?: { readonly cidr: string; readonly outside: string; readonly sshPort: number } | undefined;
}

/** Address of a guest in the lab's network (lab/host/network.ts). */
function guestAddress(cidr: string, vmId: number): string {
  const [first = "127", second = "0"] = cidr.split(".");
  return [first, second, vmId >> 8, vmId & 255].join(".");
}

/** Where this machine and the Sentinel reach a server of the lab, by values that another start of the lab may change. */
function placed(section: unknown, network: LabOfAgents["network"]): Readonly<Record<string, ConfigValue>> {
  if (network === undefined) return {};
  const { cidr, sshPort } = network;
  const vmId = isRecord(section) ? Number(section["vmId"]) : Number.NaN;
  // A server of the AWS stand-in has its address in that network from the provider.
  if (!Number.isInteger(vmId)) return { connect: { port: sshPort } };
  const host = guestAddress(cidr, vmId);
  const at = (port: number): string => `${host}:${String(port)}`;
  return { connect: { host, port: sshPort }, runnerAddress: at(serverPorts.runner), sshAddress: at(sshPort) };
}

/**
 * The settings of an agent's stack on the lab: those that `hive agent new` wrote, with Proxmox host, token and addresses
 * of this start of the lab. Pure; refuses settings by which anything beyond this machine could be reached.
 *
 * @param stored Values by full key, as the settings file holds them.
 */
export function labAgentConfig(stored: Readonly<Record<string, unknown>>, lab: LabOfAgents): Checked<LabConfig> {
  const plain: Record<string, ConfigValue> = {};
  for (const [key, value] of Object.entries(stored)) if (isPlain(value)) plain[key] = value;
  const named = (name: string): string => `${lab.project}:${name}`;
  const place = named("proxmox");
  const own = plain[place];
  const onProxmox = isRecord(own);
  if (onProxmox) plain[place] = { ...own, endpoint: lab.endpoint, insecure: true };
  const sentinel = plain[named("sentinel")];
  if (isRecord(sentinel) && lab.network !== undefined)
    plain[named("sentinel")] = { ...sentinel, host: lab.network.outside };
  if (stored[named("agent")] !== undefined)
    for (const [name, value] of Object.entries(placed(own, lab.network))) plain[named(name)] = value;
  const secrets = onProxmox ? { [`${lab.project}:apiToken`]: lab.apiToken } : {};
  const faults = outside(plain, lab.project);
  return faults.length > 0 ? { ok: false, faults } : { ok: true, value: { plain, secrets, leftOut: [] } };
}

/** Whether a value of a settings file is plain all through: nothing of it is encrypted. */
export function isPlain(value: unknown): value is ConfigValue {
  if (value === null || ["string", "number", "boolean"].includes(typeof value)) return true;
  if (Array.isArray(value)) return value.every(isPlain);
  return isRecord(value) && !("secure" in value) && Object.values(value).every(isPlain);
}

/** Hosts that the engine and the installation would call. */
function outside(plain: Readonly<Record<string, ConfigValue>>, project: string): Fault[] {
  const faults: Fault[] = [];
  const check = (property: string, host: string | undefined): void => {
    if (host === undefined || isLoopbackHost(host)) return;
    const limit = "an address of this machine (127.0.0.0/8, ::1 or localhost)";
    faults.push({ property, value: host, limit, fix: "A real host is contacted with --target real alone." });
  };
  const walk = (value: ConfigValue, path: string): void => {
    if (typeof value === "string") check(path, hostOfUrl(value));
    else if (Array.isArray(value)) value.forEach((item: ConfigValue, index) => walk(item, `${path}[${String(index)}]`));
    else if (isRecord(value))
      for (const [key, item] of Object.entries(value)) if (isPlain(item)) walk(item, `${path}.${key}`);
  };
  for (const [key, value] of Object.entries(plain)) walk(value, key);
  const part = (section: string, name: string): string | undefined => {
    const found = plain[`${project}:${section}`];
    const text = isRecord(found) ? found[name] : undefined;
    return typeof text === "string" ? text : undefined;
  };
  check(`${project}:sentinel.host`, part("sentinel", "host"));
  check(`${project}:connect.host`, part("connect", "host"));
  for (const name of ["runnerAddress", "sshAddress"]) {
    const at = plain[`${project}:${name}`];
    if (typeof at === "string") check(`${project}:${name}`, at.replace(/:\d+$/, ""));
  }
  return faults;
}
