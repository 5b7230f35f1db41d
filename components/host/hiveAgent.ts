import { isIPv4 } from "node:net";
import { remote } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { planOrThrow } from "../proxmox/index.ts";
import { partOf, planAgent, type AgentRoleConfig } from "../shared/agent/agentPlan.ts";
import {
  renderInstallStep,
  renderPrepareStep,
  secretLines,
  uploadFile,
  type StepScripts,
} from "../shared/agent/installScripts.ts";
import { agentStep, connectionOf, uploadTriggers, type AgentConnection } from "./agentStep.ts";

/** Stands in a configuration for the machine's own address, where that is known only once the machine is there. */
export const ownAddress = "own-address.invalid";

/** Arguments of {@link HiveAgent}: those of every role, with the role and its configuration. */
export type HiveAgentArgs = AgentRoleConfig & {
  /** The machine, over SSH: root, or a user who may `sudo` without a password. */
  readonly connection: AgentConnection;
  /** What `own-address.invalid` in the configuration stands for: an IPv4 address. @default none */
  readonly ownAddress?: pulumi.Input<string> | undefined;
  /** The agent's tarball on this machine and its SHA-256 in hexadecimal. */
  readonly tarball: { readonly path: string; readonly sha256: string };
  /** Version that the tarball's program reports, for example `1.4.0`. */
  readonly version: string;
  /** Secrets by name: each becomes a file of that name (0600, root), where `agentSecretFile` says. @default {} */
  readonly secrets?: Readonly<Record<string, pulumi.Input<string>>> | undefined;
  /** Addresses it may speak with beside those that the configuration names in numbers. @default [] */
  readonly allow?: readonly string[] | undefined;
  /** Longest wait for a healthy agent after an install, upgrade or change, in seconds. @default 60 */
  readonly healthSec?: number | undefined;
  /** The VM or container that the agent lives in: the agent goes with it and comes back with its successor. */
  readonly deletedWith?: pulumi.Resource | undefined;
  /** What must be there before the machine can be reached, such as the component that starts it. @default none */
  readonly after?: readonly pulumi.Resource[] | undefined;
  /** What must be there before the agent is started; what comes first (secrets, upload) goes on meanwhile. @default none */
  readonly beforeStart?: readonly pulumi.Resource[] | undefined;
  /**
   * The machine ends with the agent: nothing is taken back from it, so that it may be gone already when the stack is
   * destroyed. @default false
   */
  readonly throwaway?: boolean | undefined;
};

/** The configuration with the machine's address in it. What is no address would end in a file that root reads. */
function withAddress(config: string, address: string): string {
  if (!isIPv4(address)) throw new Error(`the machine's address is no IPv4 address: ${JSON.stringify(address)}`);
  return config.replaceAll(ownAddress, address);
}

/**
 * The runtime agent on one machine: its tarball, configuration, secrets and hardened unit. A new version, configuration
 * or secret that does not become healthy is taken back to what was, and the update fails with the agent's own reasons
 * and its journal's last lines. The version before stays on the machine; removal leaves nothing.
 *
 * Healthy means that the agent says so itself: its decision loop turns; the arbiter can write its journal (it may be
 * without a GPU); the host side's token is accepted by Proxmox; Sentinel and runner can write theirs. Whoever they speak
 * with need not be there yet.
 *
 * @example
 * new HiveAgent("brain-keeper", { connection, side: "arbiter", config, tarball, version: "1.4.0", deletedWith: vm });
 *
 * @throws pulumi.InputPropertiesError with every fault of the arguments at once.
 */
export class HiveAgent extends pulumi.ComponentResource {
  /** Version that is installed and healthy. */
  readonly version: pulumi.Output<string>;

  constructor(name: string, args: HiveAgentArgs, opts?: pulumi.ComponentResourceOptions) {
    const {
      connection: target,
      secrets = {},
      deletedWith,
      after = [],
      beforeStart = [],
      throwaway = false,
      ownAddress: own,
      ...plain
    } = args;
    super("hive:index:HiveAgent", name, plain, opts);
    const release = { version: args.version, sha256: args.tarball.sha256 };
    const healthSec = args.healthSec ?? 60;
    const secretNames = Object.keys(secrets);
    const plan = planOrThrow(
      `agent ${name}`,
      planAgent({ ...args, release, secretNames, allow: args.allow ?? [], healthSec }),
    );

    const part = partOf(args);
    const context = {
      ...part,
      owner: `${pulumi.getProject()}/${pulumi.getStack()}`,
      healthSec,
      steadySec: 2,
    };
    const needs = [...after, ...(deletedWith === undefined ? [] : [deletedWith])];
    const options: pulumi.CustomResourceOptions = {
      parent: this,
      // A place on a machine holds one agent: the old one goes before the new one comes.
      deleteBeforeReplace: true,
      dependsOn: needs,
      ...(deletedWith === undefined ? {} : { deletedWith, replaceWith: [deletedWith] }),
    };
    /** What of a step's scripts runs on this machine. */
    const kept = (scripts: StepScripts): Partial<StepScripts> & Pick<StepScripts, "create"> =>
      throwaway ? { create: scripts.create } : scripts;
    const prepared = agentStep(
      `${name}-prepare`,
      {
        target,
        ...kept(renderPrepareStep(context, { login: target.user, secretNames })),
        stdin: pulumi.all(secrets).apply(secretLines),
      },
      options,
    );
    const uploaded = new remote.CopyToRemote(
      `${name}-tarball`,
      {
        connection: connectionOf(target),
        source: new pulumi.asset.FileAsset(args.tarball.path),
        remotePath: uploadFile(release, part),
        ...(deletedWith === undefined ? {} : uploadTriggers(target)),
      },
      { ...options, dependsOn: [...needs, prepared] },
    );
    const install = (config: string): StepScripts =>
      renderInstallStep(context, { release, secretNames, ...plan, config });
    const installed = agentStep(
      `${name}-install`,
      {
        target,
        ...kept(install(plan.config)),
        ...(own === undefined
          ? {}
          : { create: pulumi.output(own).apply((address) => install(withAddress(plan.config, address)).create) }),
      },
      { ...options, dependsOn: [...needs, ...beforeStart, prepared, uploaded] },
    );

    this.version = installed.id.apply(() => args.version);
    this.registerOutputs({ version: this.version });
  }
}
