import * as pulumi from "@pulumi/pulumi";
import { agentStep, type AgentConnection } from "../host/agentStep.ts";
import { HiveAgent } from "../host/hiveAgent.ts";
import type { SentinelConfigInput } from "../shared/agent/sentinelConfig.ts";
import { renderDeadMan } from "../shared/vps/deadMan.ts";
import { serverPorts, type Opening } from "../shared/vps/serverPlan.ts";
import { pinnedHostKey } from "./hostKey.ts";
import { Vps, type VpsArgs } from "./vps.ts";

/** Arguments of {@link Sentinel}. */
export interface SentinelArgs extends Pick<VpsArgs, "place" | "offers" | "budget" | "publicKey" | "nowMs"> {
  /** The Sentinel's configuration; it names files of secrets and holds none itself. */
  readonly config: SentinelConfigInput;
  /** Secrets by name: each becomes a file below `/etc/hive-agent/secrets`. @default {} */
  readonly secrets?: Readonly<Record<string, pulumi.Input<string>>> | undefined;
  /** Private half of the server's own SSH key; a secret. */
  readonly privateKey: pulumi.Input<string>;
  /** How this machine reaches the server. @default its own address, port 22, {@link pinnedHostKey} */
  readonly connect?:
    | { readonly host?: string | undefined; readonly port?: number | undefined; readonly hostKey?: string | undefined }
    | undefined;
  /** The release: its tarball on this machine, its SHA-256, and the version that it reports. */
  readonly release: { readonly tarball: string; readonly sha256: string; readonly version: string };
  /** Address elsewhere that is called every minute while the Sentinel is well, and raises the alarm; a secret. */
  readonly deadManUrl: pulumi.Input<string>;
  /** Who may log in by SSH. */
  readonly adminCidrs: readonly string[];
  /** Where runners call from. @default everywhere: each needs its own key */
  readonly runnerCidrs?: readonly string[] | undefined;
  /** Further openings, such as the reverse proxy before its webhooks. @default [] */
  readonly openings?: readonly Opening[] | undefined;
  /** Longest wait for a healthy Sentinel, s. @default 60 */
  readonly healthSec?: number | undefined;
}

/**
 * The Sentinel on a small server of its own: long-lived, protected, with a static address, backups and a check from
 * outside. A new version takes the place of the running one as `HiveAgent` does it; signals that come meanwhile are sent
 * again by who sent them, and what it had promised is in its journal.
 *
 * @example
 * new Sentinel("sentinel", { place: { provider: "lightsail", zone: "eu-west-3a" }, config, release, deadManUrl, ... });
 *
 * @throws pulumi.InputPropertiesError with every fault of the arguments at once.
 */
export class Sentinel extends pulumi.ComponentResource {
  readonly address: pulumi.Output<string>;
  /** Account to log in with; root, or one that may use sudo. */
  readonly user: string;
  /** The host key that its server is known by, `ssh-ed25519 AAAA…`. */
  readonly hostKey: pulumi.Output<string>;
  /** Version that is installed and healthy. */
  readonly version: pulumi.Output<string>;
  /** US cents at most. */
  readonly centsPerMonth: pulumi.Output<number>;
  readonly centsPerHour: pulumi.Output<number>;

  /** Server and address are protected; what is installed on it is not, or it could not be upgraded. */
  constructor(name: string, args: SentinelArgs, opts?: pulumi.ComponentResourceOptions) {
    const { place, offers, budget, publicKey, nowMs, secrets = {}, runnerCidrs = ["0.0.0.0/0"] } = args;
    super("hive:index:Sentinel", name, { config: args.config }, opts);
    const vps = new Vps(
      `${name}-server`,
      {
        hostname: "sentinel",
        kind: "micro-service",
        life: "sentinel",
        place,
        offers,
        budget,
        publicKey,
        nowMs,
        openings: [
          { port: serverPorts.ssh, from: args.adminCidrs, comment: "administration" },
          { port: serverPorts.sentinel, from: runnerCidrs, comment: "runners, each with its own key" },
          ...(args.openings ?? []),
        ],
      },
      { parent: this },
    );
    const at = { host: args.connect?.host ?? vps.address, port: args.connect?.port ?? serverPorts.ssh };
    this.hostKey = pinnedHostKey(name, { ...at, given: args.connect?.hostKey }, vps, this);
    const target: AgentConnection = {
      ...at,
      user: vps.user,
      privateKey: pulumi.secret(args.privateKey),
      hostKey: this.hostKey,
    };
    const installed = new HiveAgent(
      `${name}-agent`,
      {
        role: "sentinel",
        connection: target,
        config: args.config,
        tarball: { path: args.release.tarball, sha256: args.release.sha256 },
        version: args.release.version,
        secrets: Object.fromEntries(Object.entries(secrets).map(([file, value]) => [file, pulumi.secret(value)])),
        healthSec: args.healthSec,
        deletedWith: vps.machine,
        after: vps.ready,
      },
      { parent: this },
    );
    agentStep(
      `${name}-dead-man`,
      { target, ...renderDeadMan(), stdin: args.deadManUrl },
      { parent: this, dependsOn: [installed], deletedWith: vps.machine, replaceWith: [vps.machine] },
    );

    this.address = vps.address;
    this.user = vps.user;
    this.version = installed.version;
    this.centsPerMonth = vps.centsPerMonth;
    this.centsPerHour = vps.centsPerHour;
    const { address, version, centsPerMonth, centsPerHour } = this;
    this.registerOutputs({ address, version, centsPerMonth, centsPerHour });
  }
}
