import { remote } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { HostConnection } from "../proxmox/index.ts";
import { asRoot, type StepScripts } from "../shared/agent/installScripts.ts";
import { forgetsUndo, keepsUndo, undoFile } from "../shared/undo.ts";

/** The connection as @pulumi/command takes it; its key is a secret. */
export function connectionOf(target: HostConnection): remote.CommandArgs["connection"] {
  return {
    host: target.host,
    port: target.port,
    user: target.user,
    privateKey: pulumi.secret(target.privateKey),
    ...(target.hostKey === undefined ? {} : { hostKey: target.hostKey }),
    dialErrorLimit: 10,
    perDialTimeout: 15,
  };
}

/**
 * One step of an installation, as root: by sudo where the login is another user. Its undoing is left on the machine
 * before anything is changed, so that a run that was cut off can be taken back.
 */
export function agentStep(
  name: string,
  args: {
    readonly target: HostConnection;
    readonly scripts: StepScripts;
    /** Standard input of the step: the way of secrets, for arguments and scripts can be seen. */
    readonly stdin?: pulumi.Input<string> | undefined;
  },
  opts: pulumi.CustomResourceOptions,
): remote.Command {
  const { target, scripts } = args;
  const file = undoFile({ project: pulumi.getProject(), stack: pulumi.getStack(), step: name });
  const create = asRoot(target.user, keepsUndo(file, scripts.create, scripts.delete));
  return new remote.Command(
    name,
    {
      connection: connectionOf(target),
      // Its output would travel as an environment variable that sshd refuses.
      addPreviousOutputInEnv: false,
      create,
      update: create,
      delete: asRoot(target.user, forgetsUndo(file, scripts.delete)),
      ...(args.stdin === undefined ? {} : { stdin: pulumi.secret(args.stdin) }),
    },
    opts,
  );
}
