import { remote } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { HostConnection } from "../proxmox/index.ts";
import { asRoot } from "../shared/agent/installScripts.ts";
import { forgetsUndo, keepsUndo, undoFile } from "../shared/undo.ts";

/** A machine over SSH whose address may be known only once it is there. */
export type AgentConnection = Omit<HostConnection, "host" | "hostKey"> & {
  readonly host: pulumi.Input<string>;
  /** The machine's public key; checked when given. */
  readonly hostKey?: pulumi.Input<string> | undefined;
};

/** The connection as @pulumi/command takes it; its key is a secret. */
export function connectionOf(target: AgentConnection): remote.CommandArgs["connection"] {
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
 * Lets an upload be made anew on a server with another host key: it is another server, on which there is nothing yet, and
 * a changed connection alone uploads nothing (pulumi-command, copyController.go).
 */
export function uploadTriggers({ hostKey }: AgentConnection): { readonly triggers?: pulumi.Input<string>[] } {
  return hostKey === undefined ? {} : { triggers: [hostKey] };
}

/**
 * One step of an installation, as root: by sudo where the login is another user. Its undoing is left on the machine
 * before anything is changed, so that a run that was cut off can be taken back. On a throwaway machine nothing is undone,
 * and nothing asks for it: it may be gone already.
 */
export function agentStep(
  name: string,
  args: {
    readonly target: AgentConnection;
    readonly create: pulumi.Input<string>;
    /** Undoes it; on a throwaway machine there is none. */
    readonly delete?: string | undefined;
    /** Standard input of the step: the way of secrets, for arguments and scripts can be seen. */
    readonly stdin?: pulumi.Input<string> | undefined;
  },
  opts: pulumi.CustomResourceOptions,
): remote.Command {
  const { target, delete: undo } = args;
  const file = undoFile({ project: pulumi.getProject(), stack: pulumi.getStack(), step: name });
  const create = pulumi
    .output(args.create)
    .apply((script) => asRoot(target.user, undo === undefined ? script : keepsUndo(file, script, undo)));
  return new remote.Command(
    name,
    {
      connection: connectionOf(target),
      // Its output would travel as an environment variable that sshd refuses.
      addPreviousOutputInEnv: false,
      create,
      update: create,
      ...(undo === undefined ? {} : { delete: asRoot(target.user, forgetsUndo(file, undo)) }),
      ...(args.stdin === undefined ? {} : { stdin: pulumi.secret(args.stdin) }),
    },
    opts,
  );
}
