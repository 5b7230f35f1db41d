import { remote } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { planOrThrow, type HostConnection } from "../proxmox/index.ts";
import { planAgent } from "../shared/agent/agentPlan.ts";
import { renderInstallStep, renderPrepareStep, secretLines, uploadFile } from "../shared/agent/installScripts.ts";
import type { KeeperConfigInput } from "../shared/agent/keeperConfig.ts";
import { agentStep, connectionOf } from "./agentStep.ts";

/** Arguments of {@link HiveAgent}. */
export interface HiveAgentArgs {
  /** The machine, over SSH: root, or a user who may `sudo` without a password. */
  readonly connection: HostConnection;
  /** @default "keeper" */
  readonly role?: "keeper" | undefined;
  /** `arbiter` where the GPU is, `host` where the VMs are; a machine has one side, and a second one is refused. */
  readonly side: "arbiter" | "host";
  /** The agent's configuration. It names files of secrets ({@link agentSecretFile}) and holds none itself. */
  readonly config: KeeperConfigInput;
  /** The agent's tarball on this machine and its SHA-256 in hexadecimal. */
  readonly tarball: { readonly path: string; readonly sha256: string };
  /** Version that the tarball's program reports, for example `1.4.0`. */
  readonly version: string;
  /** Secrets by name: each becomes a file of that name (0600, root) below `/etc/hive-agent/secrets`. @default {} */
  readonly secrets?: Readonly<Record<string, pulumi.Input<string>>> | undefined;
  /** Addresses it may speak with beside those that the configuration names in numbers. @default [] */
  readonly allow?: readonly string[] | undefined;
  /** Longest wait for a healthy agent after an install, upgrade or change, in seconds. @default 60 */
  readonly healthSec?: number | undefined;
  /** The VM or container that the agent lives in: the agent goes with it and comes back with its successor. */
  readonly deletedWith?: pulumi.Resource | undefined;
  /** What must be there before the machine can be reached, such as the component that starts it. @default none */
  readonly after?: readonly pulumi.Resource[] | undefined;
}

/**
 * The runtime agent on one machine: its tarball, configuration, secrets and hardened unit. A new version, configuration
 * or secret that does not become healthy is taken back to what was, and the update fails with the agent's own reasons
 * and its journal's last lines. The version before stays on the machine; removal leaves nothing.
 *
 * Healthy means that the agent says so itself: its decision loop turns; the arbiter can write its journal (it may be
 * without a GPU); the host side's token is accepted by Proxmox. The other side need not be there yet.
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
    const { connection: target, secrets = {}, deletedWith, after = [], ...plain } = args;
    super("hive:index:HiveAgent", name, plain, opts);
    const release = { version: args.version, sha256: args.tarball.sha256 };
    const healthSec = args.healthSec ?? 60;
    const secretNames = Object.keys(secrets);
    const plan = planOrThrow(
      `agent ${name}`,
      planAgent({ side: args.side, config: args.config, release, secretNames, allow: args.allow ?? [], healthSec }),
    );

    const context = {
      role: args.role ?? "keeper",
      side: args.side,
      owner: `${pulumi.getProject()}/${pulumi.getStack()}`,
      healthSec,
      steadySec: 2,
    } as const;
    const needs = [...after, ...(deletedWith === undefined ? [] : [deletedWith])];
    const options: pulumi.CustomResourceOptions = {
      parent: this,
      // One machine holds one agent: the old one goes before the new one comes.
      deleteBeforeReplace: true,
      dependsOn: needs,
      ...(deletedWith === undefined ? {} : { deletedWith, replaceWith: [deletedWith] }),
    };
    const prepared = agentStep(
      `${name}-prepare`,
      {
        target,
        scripts: renderPrepareStep(context, { login: target.user, secretNames }),
        stdin: pulumi.all(secrets).apply(secretLines),
      },
      options,
    );
    const uploaded = new remote.CopyToRemote(
      `${name}-tarball`,
      {
        connection: connectionOf(target),
        source: new pulumi.asset.FileAsset(args.tarball.path),
        remotePath: uploadFile(release),
      },
      { ...options, dependsOn: [...needs, prepared] },
    );
    const installed = agentStep(
      `${name}-install`,
      { target, scripts: renderInstallStep(context, { release, secretNames, ...plan }) },
      { ...options, dependsOn: [...needs, prepared, uploaded] },
    );

    this.version = installed.id.apply(() => args.version);
    this.registerOutputs({ version: this.version });
  }
}
