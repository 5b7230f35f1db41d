import { remote } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { forgetsUndo, keepsUndo, undoFile } from "../shared/undo.ts";

/** How root on the Proxmox host is reached. API tokens cannot do what these steps do, not even root's own. */
export interface HostConnection {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** Private key in OpenSSH form; a secret. */
  readonly privateKey: pulumi.Input<string>;
  /** The host's public key; checked when given. */
  readonly hostKey?: string | undefined;
}

/** Scripts of one root-only step. Each is idempotent and reads back what it set. */
export interface RootStepArgs {
  readonly host: HostConnection;
  readonly create: pulumi.Input<string>;
  /** Runs when a script or the connection changes. @default `create` */
  readonly update?: pulumi.Input<string> | undefined;
  /** Undoes the step. Nothing is undone when absent. */
  readonly delete?: pulumi.Input<string> | undefined;
  /** Values whose change runs the step anew. */
  readonly triggers?: pulumi.Input<string>[] | undefined;
}

/** A script run as root on the Proxmox host over SSH: the one way to what only root@pam may do. */
export function rootStep(name: string, args: RootStepArgs, opts: pulumi.CustomResourceOptions): remote.Command {
  const { host } = args;
  const undo = args.delete;
  const file = undoFile({ project: pulumi.getProject(), stack: pulumi.getStack(), step: name });
  // What can be undone leaves its undoing on the host first: a run that is cut off before the state knows of the step
  // can then be taken back by whoever comes next.
  const kept = (script: pulumi.Input<string>): pulumi.Input<string> =>
    undo === undefined ? script : pulumi.all([script, undo]).apply(([make, unmake]) => keepsUndo(file, make, unmake));
  return new remote.Command(
    name,
    {
      connection: {
        host: host.host,
        port: host.port,
        user: host.user,
        privateKey: pulumi.secret(host.privateKey),
        ...(host.hostKey === undefined ? {} : { hostKey: host.hostKey }),
        dialErrorLimit: 10,
        perDialTimeout: 15,
      },
      // Its output would travel as an environment variable that sshd refuses.
      addPreviousOutputInEnv: false,
      create: kept(args.create),
      update: kept(args.update ?? args.create),
      ...(undo === undefined ? {} : { delete: pulumi.output(undo).apply((unmake) => forgetsUndo(file, unmake)) }),
      ...(args.triggers === undefined ? {} : { triggers: args.triggers }),
    },
    opts,
  );
}
