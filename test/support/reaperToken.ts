/** The reaper's role, user and token on a simulated host, made as `reaperTokenCommands` make them. */
import * as z from "zod";
import { reaperPrivileges, throwawayPool } from "../../components/shared/vps/reaperRights.ts";
import type { LabClient } from "./lab-client.ts";

/** `user@realm!name=uuid` */
export async function reaperToken(root: LabClient): Promise<string> {
  const asRoot = { root: true };
  const run = (method: string, path: string, params: Record<string, string | number>): Promise<string> =>
    root.run(method, path, params, asRoot);
  await run("POST", "/pools", { poolid: throwawayPool });
  await run("POST", "/access/roles", { roleid: "HiveReaper", privs: reaperPrivileges.join(" ") });
  await run("POST", "/access/users", { userid: "reaper@pve" });
  await run("PUT", "/access/acl", { path: `/pool/${throwawayPool}`, users: "reaper@pve", roles: "HiveReaper" });
  const made = await root.call("POST", "/access/users/reaper@pve/token/sentinel", { privsep: 0 }, asRoot);
  return `reaper@pve!sentinel=${z.object({ value: z.string() }).parse(made.data).value}`;
}
