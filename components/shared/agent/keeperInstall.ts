/** What the Keeper's part of an installation is: its peers, its secrets' files, its unit. Pure. */
import { fault } from "../check.ts";
import type { Fault } from "../faults.ts";
import { isLoopback, type Peer, type RolePlan } from "./agentPeers.ts";
import { keeperFolders, type AgentPart } from "./agentPlace.ts";
import { renderKeeperUnit, type KeeperUnit } from "./agentUnit.ts";
import type { ArbiterConfig, HostConfig, KeeperConfig } from "./keeperConfig.ts";

/** An installed side of the Keeper. */
export type KeeperPart = Extract<AgentPart, { readonly role: "keeper" }>;

function hostOf(url: string): string {
  return new URL(url).hostname.replace(/^\[|\]$/g, "");
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

function unitOf(part: KeeperPart, config: KeeperConfig, network: readonly string[]): KeeperUnit {
  if (part.side === "arbiter") {
    const services = config.arbiter?.services ?? [];
    return { ...part, network, checkpoint: services.some(({ rungs }) => rungs.includes("checkpoint")) };
  }
  const { pinning, watchdog } = config.host ?? {};
  return {
    ...{ role: part.role, side: part.side, network },
    pinning: pinning !== undefined,
    realtime: (pinning?.realtimePriority ?? 0) > 0,
    serialDevice: watchdog?.type === "serial" ? watchdog.device : undefined,
  };
}

/** Where a configuration names files of secrets. */
function secretFiles({ host, arbiter }: KeeperConfig): readonly [string, string | undefined][] {
  return [
    ["config.host.proxmox.tokenFile", host?.proxmox.tokenFile],
    ["config.host.link.pskFile", host?.link?.pskFile],
    ["config.host.watchdog.keyFile", host?.watchdog?.keyFile],
    ["config.arbiter.link.pskFile", arbiter?.link?.pskFile],
    ...(arbiter?.services ?? []).map(({ tokenFile }, index): [string, string | undefined] => [
      `config.arbiter.services[${String(index)}].tokenFile`,
      tokenFile,
    ]),
  ];
}

function sideFaults(part: KeeperPart, { side: written, paths }: KeeperConfig): Fault[] {
  const faults: Fault[] = [];
  if (written !== part.side) {
    faults.push(fault("config.side", written, `${part.side}, as \`side\` says`, "Let both say the same."));
  }
  const own = keeperFolders(part);
  for (const key of ["state", "runtime", "log"] as const) {
    if (paths[key] !== own[key]) faults.push(movedFault(key, paths[key], own[key]));
  }
  return faults;
}

/** A folder of the agent's own that is not where its unit makes it. */
export function movedFault(key: string, path: string, own: string): Fault {
  const fix = "Leave it out: the unit makes these folders, and all others are read-only for it.";
  return fault(`config.paths.${key}`, path, own, fix);
}

/** The Keeper's part, from a configuration that is valid in itself. */
export function planKeeper(part: KeeperPart, config: KeeperConfig): RolePlan {
  const { arbiter, host } = config;
  const ofArbiter = part.side === "arbiter" && arbiter !== undefined ? arbiterPeers(arbiter) : [];
  const listen = part.side === "arbiter" ? arbiter?.link?.listen : undefined;
  return {
    peers: [...ofArbiter, ...(part.side === "host" && host !== undefined ? hostPeers(host) : [])],
    callers:
      listen === undefined || isLoopback(listen.host)
        ? undefined
        : { who: "the address of the host side", why: "Name it: it connects to this side's link." },
    secretFiles: secretFiles(config),
    before: sideFaults(part, config),
    after: startFaults(config),
    unit: (network) => renderKeeperUnit(unitOf(part, config, network)),
  };
}
