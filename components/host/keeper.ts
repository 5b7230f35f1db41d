import * as pulumi from "@pulumi/pulumi";
import { planOrThrow, type HostConnection } from "../proxmox/index.ts";
import { keeperSecretNames, type KeeperPlan } from "../shared/agent/keeperOfGenesis.ts";
import { HiveAgent, type HiveAgentArgs } from "./hiveAgent.ts";

/** Secrets of the Keeper: files of mode 0600 on their machines, and in no configuration, argument or unit. */
export interface KeeperSecrets {
  /** The key that both sides share, 64 hexadecimal digits. */
  readonly linkKey: pulumi.Input<string>;
  /** Proxmox API token of the host side, `USER@REALM!NAME=UUID`. */
  readonly proxmoxToken: pulumi.Input<string>;
  /** The key of the ESP32's firmware, 64 hexadecimal digits; needed where the plan has a watchdog. */
  readonly watchdogKey?: pulumi.Input<string> | undefined;
}

/** The VM that the arbiter lives in, and goes with. */
interface KeeperMachine {
  /** Its login, and the private key of one of its public keys. */
  readonly login: Pick<HostConnection, "user" | "privateKey">;
  readonly machine: pulumi.Resource;
  /** What has started it. */
  readonly ready: pulumi.Resource;
}

/** Arguments of {@link Keeper}. */
export interface KeeperArgs {
  /** Both sides' configurations, from `planGenesis`. */
  readonly plan: KeeperPlan;
  readonly secrets: KeeperSecrets;
  /** The Proxmox host, over SSH. */
  readonly host: HostConnection;
  /** The VM with the GPU, where the plan has one; without it the arbiter is on the host. @default none */
  readonly vm?: KeeperMachine | undefined;
}

/** Where the arbiter is installed, what must be there before, and with what it goes. */
function arbiterGround(
  name: string,
  { plan, host, vm }: KeeperArgs,
): Pick<HiveAgentArgs, "connection" | "deletedWith" | "after"> & { readonly besideHost?: boolean } {
  if (plan.vm === undefined) return { connection: host, besideHost: true };
  if (vm === undefined) {
    const limit = `VM ${String(plan.vm.vmid)}, which the plan names`;
    const faults = [{ property: "vm", limit, fix: "Give the machine and its login." }];
    return planOrThrow(`keeper ${name}`, { ok: false, faults });
  }
  const { address, hostKey } = plan.vm;
  return {
    connection: { host: address, port: 22, hostKey, ...vm.login },
    deletedWith: vm.machine,
    after: [vm.ready],
  };
}

/**
 * The Keeper on both sides: the host side on the Proxmox host; the arbiter in the VM with the GPU, or beside the host
 * side where the plan passes the card through to none.
 *
 * @example
 * new Keeper("keeper", { plan, secrets, host, vm: { login: { user: "hive", privateKey }, machine, ready: guest } });
 *
 * @throws pulumi.InputPropertiesError when a secret is missing that the plan names, or the VM that it has.
 */
export class Keeper extends pulumi.ComponentResource {
  /** Version that is installed and healthy on both sides. */
  readonly version: pulumi.Output<string>;

  constructor(name: string, args: KeeperArgs, opts?: pulumi.ComponentResourceOptions) {
    const { plan, secrets, host } = args;
    super("hive:index:Keeper", name, { plan }, opts);
    const tarball = { path: plan.tarball, sha256: plan.release.sha256 };
    const { version } = plan.release;
    const { healthSec } = plan;
    const files = new Map<string, pulumi.Input<string> | undefined>([
      [keeperSecretNames.linkKey, secrets.linkKey],
      [keeperSecretNames.proxmoxToken, secrets.proxmoxToken],
      [keeperSecretNames.watchdogKey, secrets.watchdogKey],
    ]);
    /** A secret that is not given is no file: the agent's plan then names the property that wants it. */
    const secretsOf = (names: readonly string[]): Record<string, pulumi.Input<string>> =>
      Object.fromEntries(
        names.flatMap((file): [string, pulumi.Input<string>][] => {
          const value = files.get(file);
          return value === undefined ? [] : [[file, pulumi.secret(value)]];
        }),
      );

    const arbiter = new HiveAgent(
      `${name}-arbiter`,
      {
        side: "arbiter",
        ...arbiterGround(name, args),
        config: plan.arbiter.config,
        secrets: secretsOf(plan.arbiter.secretNames),
        allow: plan.arbiter.allow,
        tarball,
        version,
        healthSec,
      },
      { parent: this },
    );
    const onHost = new HiveAgent(
      `${name}-host`,
      {
        side: "host",
        connection: host,
        config: plan.host.config,
        secrets: secretsOf(plan.host.secretNames),
        allow: plan.host.allow,
        tarball,
        version,
        healthSec,
      },
      { parent: this },
    );

    this.version = pulumi.all([arbiter.version, onHost.version]).apply(([installed]) => installed);
    this.registerOutputs({ version: this.version });
  }
}
