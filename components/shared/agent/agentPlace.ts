/** Where an installed agent is on its machine, and under which names. Pure. */

/** Roles of the agent, as its first argument names them. */
export type AgentRole = "keeper" | "runner" | "sentinel";

/**
 * Which of the two places of a machine an agent has. There is one for whatever agent the machine has, and a second one
 * for the Keeper's arbiter on the machine of the host side: every name of it is its own, so that neither of them
 * touches what is the other's.
 */
export interface AgentPlace {
  /** The second place. @default false */
  readonly besideHost?: boolean | undefined;
}

/** An installed agent: a role, of the Keeper one of its two sides, and its place. */
export type AgentPart =
  | { readonly role: "keeper"; readonly side: "arbiter"; readonly besideHost?: boolean | undefined }
  | { readonly role: "keeper"; readonly side: "host"; readonly besideHost?: undefined }
  | { readonly role: "runner" | "sentinel"; readonly side?: undefined; readonly besideHost?: undefined };

/** The folder that each of an agent's folders is or has for a parent. */
export function agentFolderName({ besideHost = false }: AgentPlace = {}): string {
  return besideHost ? "hive-agent-arbiter" : "hive-agent";
}

/** Folders and files of an agent in its place. */
export function agentPathsIn(place: AgentPlace) {
  const name = agentFolderName(place);
  return {
    /** Releases, the links to them, and the mark of the stack that owns them. */
    root: `/opt/${name}`,
    config: `/etc/${name}`,
    secrets: `/etc/${name}/secrets`,
    state: `/var/lib/${name}`,
    runtime: `/run/${name}`,
    log: `/var/log/${name}`,
    /** Where the tarball arrives, writable by the login user. */
    upload: `/var/cache/${name}`,
    units: "/etc/systemd/system",
  } as const;
}

/** Folders and files of an agent in the first place. */
export const agentPaths = agentPathsIn({});

/** Folders that the Keeper's configuration names, as its unit makes them. */
export function keeperFolders(place: AgentPlace): {
  readonly state: string;
  readonly runtime: string;
  readonly log: string;
} {
  const { state, runtime, log } = agentPathsIn(place);
  return { state: `${state}/keeper`, runtime: `${runtime}/keeper`, log };
}

/** Name of the unit of a role. */
export function agentUnitName(role: AgentRole, { besideHost = false }: AgentPlace = {}): string {
  return `hive-agent-${role}${besideHost ? "-arbiter" : ""}.service`;
}

/** Configuration file of a role. */
export function agentConfigFile(role: AgentRole, place: AgentPlace = {}): string {
  return `${agentPathsIn(place).config}/${role}.yaml`;
}
