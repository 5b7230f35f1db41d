/** The settings of a stack `agent-<name>`, as `hive agent new` writes them. Pure. */
import type { Budget } from "../../components/shared/vps/budget.ts";
import type { ConfigValue } from "../targets/labConfig.ts";
import type { AgentOrder } from "./order.ts";

type Section = Readonly<Record<string, ConfigValue>>;

/** What an agent's settings take over from elsewhere. */
export interface AgentGround {
  /** The release of hive-agent that is installed. */
  readonly release: Section;
  /** Who may log in. */
  readonly adminCidrs: readonly string[];
  /** Where runners find the Sentinel, and where its signals come from if that is another address. */
  readonly sentinel: {
    readonly host: string;
    readonly port: number;
    readonly from?: readonly string[] | undefined;
    /** Public half of its SSH key; with transport ssh. */
    readonly sshKey?: string | undefined;
  };
  /** Section `proxmox` or `lightsail`, as the order says. */
  readonly place: Section;
  /** How this machine reaches the server where that is not its own address. */
  readonly connect?: { readonly host: string; readonly port: number } | undefined;
  /** Where the Sentinel reaches the runner where that is not the server's own address. */
  readonly runnerAddress?: string | undefined;
}

/** Plain values by full key. Its secrets are set apart: `sshPrivateKey`, `registrationKey`, `apiToken`. */
export function agentStackConfig(
  project: string,
  order: AgentOrder,
  sources: string,
  ground: AgentGround,
  budget: Budget,
): Record<string, ConfigValue> {
  const { name, estate, kind, size, mode, idempotent, transport, created, ttlSec } = order;
  const { host, port, from, sshKey } = ground.sentinel;
  const { connect, runnerAddress } = ground;
  const { centsPerMonth, committedCents = 0, committed = [] } = budget;
  const named: Record<string, ConfigValue | undefined> = {
    agent: { name, kind, size, mode, ...(mode === "job" ? { idempotent } : {}), transport, created, ttlSec, sources },
    estate,
    sentinel: { host, port, ...(from === undefined ? {} : { from }), ...(sshKey === undefined ? {} : { sshKey }) },
    release: ground.release,
    budget: { centsPerMonth, committedCents, committed: committed.map((part) => ({ ...part })) },
    adminCidrs: ground.adminCidrs,
    [order.provider]: ground.place,
    connect: connect === undefined ? undefined : { ...connect },
    runnerAddress,
  };
  return Object.fromEntries(
    Object.entries(named).flatMap(([key, value]): [string, ConfigValue][] =>
      value === undefined ? [] : [[`${project}:${key}`, value]],
    ),
  );
}

/** The id that the Sentinel gave a registration; one of an agent that was ordered at an older Sentinel has none. */
export function registrationSetting(project: string, id: string): Readonly<Record<string, string>> {
  return id === "" ? {} : { [`${project}:registration`]: id };
}

/** Secrets of an agent's stack that its settings alone have: nobody else keeps them. */
export const ownSecrets = ["sshPrivateKey", "registrationKey"] as const;
