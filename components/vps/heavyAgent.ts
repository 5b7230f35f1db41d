import { local, remote } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { agentStep, connectionOf, uploadTriggers, type AgentConnection } from "../host/agentStep.ts";
import { HiveAgent, ownAddress } from "../host/hiveAgent.ts";
import { planOrThrow } from "../proxmox/resourceText.ts";
import { renderFarewell } from "../shared/vps/farewell.ts";
import {
  heavyAgentHostname,
  planHeavyAgent,
  registrationKeyName,
  type HeavyAgentPlan,
  type HeavyAgentSpec,
} from "../shared/vps/heavyAgentPlan.ts";
import {
  environmentFault,
  environmentText,
  renderAccountStep,
  renderPlaceStep,
  renderReadyStep,
  sourcesUpload,
} from "../shared/vps/installAgent.ts";
import { serverPorts } from "../shared/vps/serverPlan.ts";
import { parseAgentKind } from "../shared/vps/sizing.ts";
import { renderSshDoor, shutSshDoor } from "../shared/vps/sshDoor.ts";
import { pinnedHostKey } from "./hostKey.ts";
import { usualOffers, Vps, type VpsArgs } from "./vps.ts";

/** Arguments of {@link HeavyAgent}. */
export type HeavyAgentArgs = Omit<
  HeavyAgentSpec,
  "runnerAddress" | "sshAddress" | "release" | "healthSec" | "sourcesSha256"
> &
  Pick<VpsArgs, "place" | "offers" | "budget" | "publicKey" | "nowMs"> & {
    /** Private half of the server's own SSH key; a secret. */
    readonly privateKey: pulumi.Input<string>;
    /** How this machine reaches the server. @default its own address, port 22, {@link pinnedHostKey} */
    readonly connect?:
      | {
          readonly host?: string | undefined;
          readonly port?: number | undefined;
          readonly hostKey?: string | undefined;
        }
      | undefined;
    /** Where the Sentinel reaches the runner, `host:port`. @default the server's own address, port 8943 */
    readonly runnerAddress?: string | undefined;
    /** Where the Sentinel reaches the server's sshd, with transport ssh. @default the server's own address, port 22 */
    readonly sshAddress?: string | undefined;
    /** The agent's own sources, packed by `packSources`: the tarball on this machine, and its SHA-256. */
    readonly sources: { readonly path: string; readonly sha256: string };
    /** The release with the runner: its tarball on this machine, its SHA-256, and the version that it reports. */
    readonly release: { readonly tarball: string; readonly sha256: string; readonly version: string };
    /** The key that the Sentinel gave for this life of the agent, 64 hexadecimal digits; a secret. */
    readonly registrationKey: pulumi.Input<string>;
    /** Environment of the agent; secrets. @default {} */
    readonly environment?: pulumi.Input<Readonly<Record<string, string>>> | undefined;
    /** Longest wait for a healthy runner, s. @default 60 */
    readonly healthSec?: number | undefined;
    /** Longest wait until the Sentinel knows the runner, s. @default 60 */
    readonly registerSec?: number | undefined;
  };

/**
 * A heavy agent on a server of its own, which is thrown away with it: runtime, its own sources alone, a unit with limits,
 * and the runner that lets the Sentinel give it work. Nothing is protected. Destroying it works with the Sentinel
 * unreachable and with the server already gone; an agent whose time to live is over is refused until it is renewed.
 *
 * @example
 * new HeavyAgent("agent", { name: "ghost-shopper", kind: "browser-light", created, ttlSec: 86400, mode: {}, place, ... });
 *
 * @throws pulumi.InputPropertiesError with every fault of the arguments at once.
 */
export class HeavyAgent extends pulumi.ComponentResource {
  readonly address: pulumi.Output<string>;
  /** The provider's own name for the server. */
  readonly serverId: pulumi.Output<string>;
  /** US cents at most. */
  readonly centsPerMonth: pulumi.Output<number>;
  readonly centsPerHour: pulumi.Output<number>;
  /** End of its time to live, Unix seconds. */
  readonly expiresSec: pulumi.Output<number | undefined>;

  constructor(name: string, args: HeavyAgentArgs, opts?: pulumi.ComponentResourceOptions) {
    const { place, healthSec = 60, nowMs = Date.now(), offers = usualOffers(place) } = args;
    const { version, sha256 } = args.release;
    const plan = planOrThrow(
      `agent ${args.name}`,
      planHeavyAgent(
        {
          ...args,
          runnerAddress: args.runnerAddress ?? `${ownAddress}:${String(serverPorts.runner)}`,
          sshAddress: args.sshAddress ?? `${ownAddress}:${String(ownSshPort(args.connect))}`,
          release: { version, sha256 },
          sourcesSha256: args.sources.sha256,
          healthSec,
        },
        { provider: place.provider, offers, budget: args.budget, nowMs },
      ),
    );
    const { server: planned, units, runner, life } = plan;
    super("hive:index:HeavyAgent", name, { life, kind: args.kind, size: planned.size, units, runner }, opts);

    const vps = new Vps(
      `${name}-server`,
      {
        hostname: heavyAgentHostname(args.name),
        kind: planOrThrow(`agent ${args.name}`, parseAgentKind("kind", args.kind)),
        size: planned.size,
        life,
        place,
        offers,
        budget: args.budget,
        openings: plan.openings,
        publicKey: args.publicKey,
        peers: [{ address: args.sentinel.host, port: args.sentinel.port }],
        nowMs,
      },
      { parent: this },
    );
    const at = { host: args.connect?.host ?? vps.address, port: args.connect?.port ?? serverPorts.ssh };
    const target: AgentConnection = {
      ...at,
      user: vps.user,
      privateKey: pulumi.secret(args.privateKey),
      hostKey: pinnedHostKey(name, { ...at, given: args.connect?.hostKey }, vps, this),
    };
    const placed = this.placeSources(name, args, plan, vps, target);
    const installed = new HiveAgent(
      `${name}-runner`,
      {
        role: "runner",
        connection: target,
        config: runner,
        ownAddress: vps.address,
        tarball: { path: args.release.tarball, sha256 },
        version,
        secrets: { [registrationKeyName]: pulumi.secret(args.registrationKey) },
        allow: plan.allow,
        healthSec,
        deletedWith: vps.machine,
        after: vps.ready,
        // The Sentinel may send a signal as soon as it knows the runner: the agent must be there by then.
        beforeStart: [placed, ...this.openDoor(name, plan, vps, target)],
        throwaway: true,
      },
      { parent: this },
    );
    const { registerSec = 60 } = args;
    agentStep(
      `${name}-ready`,
      { target, create: renderReadyStep({ name: args.name, resident: plan.resident, registerSec }) },
      { ...onServer(this, vps), dependsOn: [installed, placed] },
    );
    this.sayFarewell(name, target, vps, installed);

    this.address = vps.address;
    this.serverId = vps.serverId;
    this.centsPerMonth = vps.centsPerMonth;
    this.centsPerHour = vps.centsPerHour;
    this.expiresSec = pulumi.output(planned.expiresSec);
    const { address, serverId, centsPerMonth, centsPerHour, expiresSec } = this;
    // Policies of the stack see what a component registers here, not what it was given.
    this.registerOutputs({ units, runner, address, serverId, centsPerMonth, centsPerHour, expiresSec });
  }

  /** Sources, runtime and unit. No step has an undoing: the server ends with the agent, and may be gone by then. */
  private placeSources(
    name: string,
    args: HeavyAgentArgs,
    plan: HeavyAgentPlan,
    vps: Vps,
    target: AgentConnection,
  ): pulumi.Resource {
    const options = onServer(this, vps);
    const { sha256, path } = args.sources;
    const account = agentStep(
      `${name}-account`,
      { target, create: renderAccountStep(target.user) },
      { ...options, dependsOn: [...vps.ready] },
    );
    const uploaded = new remote.CopyToRemote(
      `${name}-sources`,
      {
        connection: connectionOf(target),
        source: new pulumi.asset.FileAsset(path),
        remotePath: sourcesUpload(sha256),
        ...uploadTriggers(target),
      },
      { ...options, dependsOn: [account] },
    );
    const { units, runtime, door } = plan;
    const environment = pulumi.output(args.environment ?? {}).apply((values) => {
      const fault = environmentFault(values);
      if (fault !== undefined) throw new pulumi.RunError(fault);
      return environmentText(values);
    });
    return agentStep(
      `${name}-unit`,
      {
        target,
        create: renderPlaceStep({ name: args.name, sha256, runtime, units }) + (door === undefined ? shutSshDoor : ""),
        stdin: environment,
      },
      { ...options, dependsOn: [uploaded] },
    );
  }

  /** With transport ssh: the account that lets the Sentinel in, before the runner tells of it. */
  private openDoor(name: string, { door }: HeavyAgentPlan, vps: Vps, target: AgentConnection): pulumi.Resource[] {
    if (door === undefined) return [];
    const options = { ...onServer(this, vps), dependsOn: [...vps.ready] };
    return [agentStep(`${name}-ssh`, { target, create: renderSshDoor(door) }, options)];
  }

  /**
   * Does nothing until it is destroyed, and is destroyed first. It runs on this machine, since a step on a server that is
   * gone could not even fail quietly.
   */
  private sayFarewell(name: string, target: AgentConnection, vps: Vps, installed: HiveAgent): void {
    const { user, port, hostKey } = target;
    new local.Command(
      `${name}-farewell`,
      {
        create: ":",
        update: ":",
        delete: pulumi.output(hostKey).apply((known) => renderFarewell({ user, port, hostKey: known })),
        environment: { HIVE_HOST: target.host },
        stdin: target.privateKey,
        addPreviousOutputInEnv: false,
        triggers: [vps.machine.id],
      },
      { parent: this, dependsOn: [vps.machine, installed], deleteBeforeReplace: true },
    );
  }
}

/** Port of sshd at the server's own address: as this machine uses it, if it goes there too. */
function ownSshPort(connect: HeavyAgentArgs["connect"]): number {
  return connect?.host === undefined ? (connect?.port ?? serverPorts.ssh) : serverPorts.ssh;
}

/** Options of what is on the server: it goes without a word with it, and comes back with its successor. */
function onServer(parent: pulumi.Resource, { machine }: Vps): pulumi.CustomResourceOptions {
  return { parent, deletedWith: machine, replaceWith: [machine], deleteBeforeReplace: true };
}
