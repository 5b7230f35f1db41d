/** What is to be installed on one machine, from the component's plain arguments. Pure. */
import { stringify } from "yaml";
import * as z from "zod";
import { checked, fault } from "../check.ts";
import type { Checked, Fault } from "../faults.ts";
import { agentPaths, renderAgentUnit, type AgentUnit } from "./agentUnit.ts";
import type { Release } from "./installScripts.ts";
import type { ArbiterConfig, HostConfig, KeeperConfig, KeeperConfigInput } from "./keeperConfig.ts";
import { checkKeeperConfig } from "./parseKeeperConfig.ts";

/** Plain arguments of an agent. */
export interface AgentSpec {
  readonly side: "arbiter" | "host";
  readonly config: KeeperConfigInput;
  readonly release: Release;
  /** Names of the secrets; each becomes a file of that name below {@link agentPaths.secrets}. */
  readonly secretNames: readonly string[];
  /** Further addresses that it may speak with, IPv4 or IPv6, with or without a prefix length. */
  readonly allow: readonly string[];
  readonly healthSec: number;
}

/** Texts of an installation. */
export interface AgentPlan {
  readonly unit: string;
  /** `keeper.yaml`, the same text for the same configuration, whatever the order of its keys. */
  readonly config: string;
}

/** Where a secret's file is, for the `…File` properties of the configuration. */
export function agentSecretFile(name: string): string {
  return `${agentPaths.secrets}/${name}`;
}

/** A place in the configuration that names another machine. */
interface Peer {
  readonly property: string;
  readonly host: string;
}

function hostOf(url: string): string {
  return new URL(url).hostname.replace(/^\[|\]$/g, "");
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host.startsWith("127.") || host === "::1";
}

function arbiterPeers(arbiter: ArbiterConfig): Peer[] {
  return arbiter.services.flatMap(({ application }, index) =>
    application === undefined
      ? []
      : [{ property: `config.arbiter.services[${String(index)}].application.url`, host: hostOf(application.url) }],
  );
}

function hostPeers({ proxmox, link, watchdog }: HostConfig): Peer[] {
  const peers = [{ property: "config.host.proxmox.url", host: hostOf(proxmox.url) }];
  if (link !== undefined) peers.push({ property: "config.host.link.connect", host: link.connect.host });
  if (watchdog?.type === "udp") peers.push({ property: "config.host.watchdog.address", host: watchdog.address.host });
  return peers;
}

const address = z.union([z.ipv4(), z.ipv6()]);
const network = z.union([address, z.cidrv4(), z.cidrv6()]);

function isAddress(text: string): boolean {
  return address.safeParse(text, { jitless: true }).success;
}

function isNetwork(text: string): boolean {
  return network.safeParse(text, { jitless: true }).success;
}

function networkFaults(spec: AgentSpec, config: KeeperConfig, peers: readonly Peer[]): Fault[] {
  const faults = spec.allow.flatMap((text, index) =>
    isNetwork(text)
      ? []
      : [fault(`allow[${String(index)}]`, text, "an address or network such as 10.20.10.0/24", "Write it in numbers.")],
  );
  if (spec.allow.length > 0) return faults;
  const fix = "Name the addresses in `allow`: the unit's firewall takes numbers only.";
  for (const { property, host } of peers) {
    if (!isAddress(host) && !isLoopback(host)) faults.push(fault(property, host, "an address in numbers", fix));
  }
  if (config.arbiter?.link !== undefined && spec.side === "arbiter") {
    faults.push(fault("allow", undefined, "the address of the host side", "Name it: it connects to this side's link."));
  }
  return faults;
}

function secretFaults(spec: AgentSpec, config: KeeperConfig): Fault[] {
  const faults: Fault[] = [];
  spec.secretNames.forEach((name) => {
    if (!/^[a-z0-9][a-z0-9._-]{0,63}$/.test(name)) {
      faults.push(fault("secrets", name, "names of lower-case letters, digits, dots and dashes", "Rename it."));
    }
  });
  const files: readonly [string, string | undefined][] = [
    ["config.host.proxmox.tokenFile", config.host?.proxmox.tokenFile],
    ["config.host.link.pskFile", config.host?.link?.pskFile],
    ["config.host.watchdog.keyFile", config.host?.watchdog?.keyFile],
    ["config.arbiter.link.pskFile", config.arbiter?.link?.pskFile],
    ...(config.arbiter?.services ?? []).map(({ tokenFile }, index): [string, string | undefined] => [
      `config.arbiter.services[${String(index)}].tokenFile`,
      tokenFile,
    ]),
  ];
  for (const [property, file] of files) {
    const [, name] = file?.startsWith(`${agentPaths.secrets}/`) === true ? file.split(`${agentPaths.secrets}/`) : [];
    if (name !== undefined && !spec.secretNames.includes(name)) {
      const known = spec.secretNames.length === 0 ? "none is given" : spec.secretNames.join(", ");
      faults.push(fault(property, file, `a secret of \`secrets\` (${known})`, "Give it there, or correct the path."));
    }
  }
  return faults;
}

/** Programs that have a daemon start something, which is then outside the agent's fence. */
const starters = ["systemctl", "systemd-run", "docker"];

/** What the agent's own unit would start would inherit its fence: system calls, memory limit, hidden home folders. */
function startFaults(config: KeeperConfig): Fault[] {
  return (config.arbiter?.services ?? []).flatMap(({ start: [program] = [] }, index) =>
    program === undefined || starters.includes(program.slice(program.lastIndexOf("/") + 1))
      ? []
      : [
          fault(
            `config.arbiter.services[${String(index)}].start`,
            program,
            `a program that has a daemon start it: ${starters.join(", ")}`,
            "Make it a unit and name it in `unit`, or put systemd-run before it: started by the agent it would live in the agent's fence.",
          ),
        ],
  );
}

function unitOf(spec: AgentSpec, config: KeeperConfig, peers: readonly Peer[]): AgentUnit {
  const addresses = peers.map(({ host }) => host).filter((host) => isAddress(host) && !isLoopback(host));
  const base = { role: "keeper", network: [...new Set([...addresses, ...spec.allow])].toSorted() } as const;
  if (spec.side === "arbiter") {
    const services = config.arbiter?.services ?? [];
    return { ...base, side: "arbiter", checkpoint: services.some(({ rungs }) => rungs.includes("checkpoint")) };
  }
  const { pinning, watchdog } = config.host ?? {};
  return {
    ...base,
    side: "host",
    pinning: pinning !== undefined,
    realtime: (pinning?.realtimePriority ?? 0) > 0,
    serialDevice: watchdog?.type === "serial" ? watchdog.device : undefined,
  };
}

/** Plans an installation. @returns its texts, or every fault of the arguments with property paths (`config.…`). */
export function planAgent(spec: AgentSpec): Checked<AgentPlan> {
  const faults: Fault[] = [];
  const { version, sha256 } = spec.release;
  if (!/^\d+\.\d+\.\d+(?:[-+][0-9A-Za-z.-]+)?$/.test(version)) {
    faults.push(fault("version", version, "a version such as 1.4.0", "Write what the tarball's program reports."));
  }
  if (!/^[0-9a-f]{64}$/.test(sha256)) {
    faults.push(fault("tarball.sha256", sha256, "64 hexadecimal digits", "Read it from the tarball's .sha256 file."));
  }
  if (!Number.isInteger(spec.healthSec) || spec.healthSec < 5 || spec.healthSec > 600) {
    faults.push(fault("healthSec", spec.healthSec, "a whole number from 5 to 600 s", "Write seconds."));
  }
  const config = checkKeeperConfig(spec.config);
  if (!config.ok) {
    const inside = (property: string): string => (property === "(file)" ? "config" : `config.${property}`);
    return {
      ok: false,
      faults: [...faults, ...config.faults.map((each) => ({ ...each, property: inside(each.property) }))],
    };
  }
  const { side, paths, arbiter, host } = config.value;
  if (side !== spec.side) {
    faults.push(fault("config.side", side, `${spec.side}, as \`side\` says`, "Let both say the same."));
  }
  const own = { state: `${agentPaths.state}/keeper`, runtime: `${agentPaths.runtime}/keeper`, log: agentPaths.log };
  for (const key of ["state", "runtime", "log"] as const) {
    if (paths[key] !== own[key]) {
      const fix = "Leave it out: the unit makes these folders, and all others are read-only for it.";
      faults.push(fault(`config.paths.${key}`, paths[key], own[key], fix));
    }
  }
  const ofArbiter = spec.side === "arbiter" && arbiter !== undefined ? arbiterPeers(arbiter) : [];
  const peers = [...ofArbiter, ...(spec.side === "host" && host !== undefined ? hostPeers(host) : [])];
  faults.push(
    ...networkFaults(spec, config.value, peers),
    ...secretFaults(spec, config.value),
    ...startFaults(config.value),
  );
  return checked(faults, {
    unit: renderAgentUnit(unitOf(spec, config.value, peers)),
    config: stringify(spec.config, { sortMapEntries: true, lineWidth: 0, aliasDuplicateObjects: false }),
  });
}
