import { local } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { keepHostKey, renderHostKey } from "../shared/vps/hostKey.ts";
import type { Vps } from "./vps.ts";

/**
 * The host key that every connection to a server demands: the one that was configured, or the one that its provider
 * witnessed; else the one that the server shows first, which is said once. Kept in the stack's state as long as the
 * server lives: nothing that comes later is believed on sight.
 */
export function pinnedHostKey(
  name: string,
  args: { readonly given: string | undefined; readonly host: pulumi.Input<string>; readonly port: number },
  vps: Vps,
  parent: pulumi.Resource,
): pulumi.Output<string> {
  if (args.given !== undefined) return pulumi.output(args.given);
  const { machine } = vps;
  const pinned = new local.Command(
    `${name}-host-key`,
    {
      create: renderHostKey(),
      update: keepHostKey,
      environment: {
        HIVE_HOST: args.host,
        HIVE_PORT: String(args.port),
        HIVE_HOST_KEY: vps.witnessedKey,
        HIVE_CONTAINER: vps.container,
      },
      // One that went without us comes back under its old name, and no replacement tells of it.
      triggers: [vps.life],
    },
    { parent, dependsOn: [...vps.ready], deletedWith: machine, replaceWith: [machine], deleteBeforeReplace: true },
  );
  return pinned.stdout;
}
