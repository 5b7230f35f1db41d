/** What is to be installed on one machine, from the component's plain arguments. Pure. */
import { stringify } from "yaml";
import { checked, fault } from "../check.ts";
import type { Checked, Fault } from "../faults.ts";
import { isAddress, isLoopback, isNetwork, type RolePlan } from "./agentPeers.ts";
import { agentPathsIn, keeperFolders, type AgentPart, type AgentPlace } from "./agentPlace.ts";
import type { Release } from "./installScripts.ts";
import type { KeeperConfigInput } from "./keeperConfig.ts";
import { planKeeper, type KeeperPart } from "./keeperInstall.ts";
import { checkKeeperConfig } from "./parseKeeperConfig.ts";
import { checkRunnerConfig, type RunnerConfigInput } from "./runnerConfig.ts";
import { checkSentinelConfig, type SentinelConfigInput } from "./sentinelConfig.ts";
import { planRunner, planSentinel } from "./throwawayInstall.ts";

/** What all roles have in common. */
interface CommonSpec {
  readonly release: Release;
  /** Names of the secrets; each becomes the file of that name that {@link agentSecretFile} says. */
  readonly secretNames: readonly string[];
  /** Further addresses that it may speak with, IPv4 or IPv6, with or without a prefix length. */
  readonly allow: readonly string[];
  readonly healthSec: number;
}

/** A role with its configuration. */
export type AgentRoleConfig =
  | {
      /** @default "keeper" */
      readonly role?: "keeper" | undefined;
      /** `arbiter` where the GPU is, `host` where the VMs are; a machine has each of them once. */
      readonly side: "arbiter" | "host";
      /**
       * Whether the arbiter is on the machine of the host side, because the card is not passed through: its unit, files
       * and folders then have names of their own (`hive-agent-arbiter`). @default false
       */
      readonly besideHost?: boolean | undefined;
      /** The agent's configuration. It names files of secrets ({@link agentSecretFile}) and holds none itself. */
      readonly config: KeeperConfigInput;
    }
  | { readonly role: "runner"; readonly side?: undefined; readonly config: RunnerConfigInput }
  | { readonly role: "sentinel"; readonly side?: undefined; readonly config: SentinelConfigInput };

type KeeperSpec = Extract<AgentRoleConfig, { readonly side: "arbiter" | "host" }>;

/** Plain arguments of an agent. */
export type AgentSpec = CommonSpec & AgentRoleConfig;

/** Texts of an installation. */
export interface AgentPlan {
  readonly unit: string;
  /** The configuration file, the same text for the same configuration, whatever the order of its keys. */
  readonly config: string;
}

/** Where a secret's file is, for the `…File` properties of the configuration of an agent in its place. */
export function agentSecretFile(name: string, place: AgentPlace = {}): string {
  return `${agentPathsIn(place).secrets}/${name}`;
}

function keeperPart(spec: KeeperSpec): KeeperPart {
  return spec.side === "host"
    ? { role: "keeper", side: spec.side }
    : { role: "keeper", side: spec.side, besideHost: spec.besideHost };
}

/** What is installed: the role, its side and its place. */
export function partOf(spec: AgentRoleConfig): AgentPart {
  return spec.role === "runner" || spec.role === "sentinel" ? { role: spec.role } : keeperPart(spec);
}

/** The agent itself knows the folders of the first place alone; in the second one its configuration names them. */
function withFolders(spec: AgentSpec): AgentSpec {
  if (spec.side !== "arbiter" || spec.besideHost !== true) return spec;
  return { ...spec, config: { ...spec.config, paths: { ...keeperFolders(spec), ...spec.config.paths } } };
}

function networkFaults(spec: AgentSpec, { peers, callers }: RolePlan): Fault[] {
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
  if (callers !== undefined) faults.push(fault("allow", undefined, callers.who, callers.why));
  return faults;
}

function secretFaults(spec: AgentSpec, { secretFiles }: RolePlan): Fault[] {
  const faults: Fault[] = [];
  spec.secretNames.forEach((name) => {
    if (!/^[a-z0-9][a-z0-9._-]{0,63}$/.test(name)) {
      faults.push(fault("secrets", name, "names of lower-case letters, digits, dots and dashes", "Rename it."));
    }
  });
  // Those of the other place come and go with the other agent.
  const place = partOf(spec);
  const [own, others] = [place, { besideHost: place.besideHost !== true }].map((each) => agentSecretFile("", each));
  for (const [property, file] of secretFiles) {
    const folder = [own, others].find((each) => each !== undefined && file?.startsWith(each) === true);
    const name = folder === undefined ? undefined : file?.slice(folder.length);
    if (name !== undefined && (folder !== own || !spec.secretNames.includes(name))) {
      const known = spec.secretNames.length === 0 ? "none is given" : spec.secretNames.join(", ");
      faults.push(fault(property, file, `a secret of \`secrets\` (${known})`, "Give it there, or correct the path."));
    }
  }
  return faults;
}

/** The role's share, from its valid configuration. */
function roleOf(spec: AgentRoleConfig): Checked<RolePlan> {
  const planned = <T>(read: Checked<T>, plan: (config: T) => RolePlan): Checked<RolePlan> =>
    read.ok ? { ok: true, value: plan(read.value) } : read;
  switch (spec.role) {
    case "runner":
      return planned(checkRunnerConfig(spec.config), planRunner);
    case "sentinel":
      return planned(checkSentinelConfig(spec.config), planSentinel);
    default:
      return planned(checkKeeperConfig(spec.config), (config) => planKeeper(keeperPart(spec), config));
  }
}

/** Plans an installation. @returns its texts, or every fault of the arguments with property paths (`config.…`). */
export function planAgent(given: AgentSpec): Checked<AgentPlan> {
  const spec = withFolders(given);
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
  if (spec.side === "host" && spec.besideHost === true) {
    faults.push(fault("besideHost", true, "false for the host side", "Set it for the arbiter of the same machine."));
  }
  const role = roleOf(spec);
  if (!role.ok) {
    const inside = (property: string): string => (property === "(file)" ? "config" : `config.${property}`);
    return {
      ok: false,
      faults: [...faults, ...role.faults.map((each) => ({ ...each, property: inside(each.property) }))],
    };
  }
  const { peers, before, after, unit } = role.value;
  faults.push(...before, ...networkFaults(spec, role.value), ...secretFaults(spec, role.value), ...after);
  const addresses = peers.map(({ host }) => host).filter((host) => isAddress(host) && !isLoopback(host));
  return checked(faults, {
    unit: unit([...new Set([...addresses, ...spec.allow])].toSorted()),
    config: stringify(spec.config, { sortMapEntries: true, lineWidth: 0, aliasDuplicateObjects: false }),
  });
}
