import * as proxmox from "@muhlba91/pulumi-proxmoxve";
import * as pulumi from "@pulumi/pulumi";
import { renderSnapshotStep, renderDatasetStep } from "./storageScripts.ts";
import type { SnapshotSchedule } from "../shared/storagePlan.ts";
import { rootStep, type HostConnection } from "./rootStep.ts";

/** Arguments of {@link HostStorage}. */
export interface HostStorageArgs {
  readonly nodeName: string;
  /** Existing ZFS pool, for example `rpool`: adopted, never created or destroyed. */
  readonly pool: string;
  /** Dataset of ours below the pool; created when missing, destroyed only when empty. */
  readonly dataset: string;
  /** Id of the Proxmox storage on that dataset. */
  readonly storageId: string;
  /** When snapshots are taken and how many are kept. */
  readonly schedules: readonly SnapshotSchedule[];
  /** Guests whose disks the schedule covers. */
  readonly snapshotGuests: readonly number[];
  readonly host: HostConnection;
}

/**
 * The host's storage for guests: a dataset of ours on the pool that is already there, its Proxmox storage, and the
 * snapshot schedule as systemd timers with retention (seed 001, phase 0).
 */
export class HostStorage extends pulumi.ComponentResource {
  /** Proxmox storage id, known once the storage exists. */
  readonly storageId: pulumi.Output<string>;

  constructor(name: string, args: HostStorageArgs, opts?: pulumi.ComponentResourceOptions) {
    const { host, ...plain } = args;
    super("hive:index:HostStorage", name, plain, opts);
    const path = `${args.pool}/${args.dataset}`;

    const dataset = rootStep(
      `${name}-dataset`,
      { host, ...renderDatasetStep(args.pool, path, `${pulumi.getProject()}/${pulumi.getStack()}`) },
      { parent: this },
    );
    const storage = new proxmox.storage.Zfspool(
      `${name}-zfs`,
      {
        resourceId: args.storageId,
        zfsPool: path,
        nodes: [args.nodeName],
        contents: ["images", "rootdir"],
        thinProvision: true,
      },
      { parent: this, dependsOn: [dataset] },
    );
    rootStep(
      `${name}-snapshots`,
      { host, ...renderSnapshotStep({ path, schedules: args.schedules, guests: args.snapshotGuests }) },
      { parent: this, dependsOn: [dataset] },
    );

    this.storageId = storage.id.apply(() => args.storageId);
    this.registerOutputs({ storageId: this.storageId });
  }
}
