/** What a reaper's token at Proxmox may do beyond its pool. Pure. */
import { reaperPrivileges } from "../../../../components/shared/vps/reaperRights.ts";
import { tokenIdOf, type Need } from "../../shared/proxmox/rights.ts";

/** What is told of a credential at most: a few paths show what it is. */
const mostPaths = 5;

/**
 * Rights that a token holds and a reaper's should not: any elsewhere than on its pool and on what is in it, and others
 * than {@link reaperPrivileges} there.
 */
export function excessRights(held: readonly Need[], pool: string, members: ReadonlySet<number>): readonly Need[] {
  return held.flatMap(({ path, privileges }) => {
    const [, vmid] = /^\/vms\/(\d+)$/.exec(path) ?? [];
    // A pool's rights are told of its storages too, where they are good for nothing.
    const within =
      path === `/pool/${pool}` || path.startsWith("/storage/") || (vmid !== undefined && members.has(Number(vmid)));
    const more = within ? privileges.filter((one) => !reaperPrivileges.includes(one)) : privileges;
    return more.length === 0 ? [] : [{ path, privileges: more }];
  });
}

/** In one line, with what to do. Never holds the token's secret. */
export function excessInWords(token: string, excess: readonly Need[]): string {
  const parts = excess.slice(0, mostPaths).map(({ path, privileges }) => `${privileges.join(", ")} on ${path}`);
  const rest = excess.length > mostPaths ? ` and more on ${String(excess.length - mostPaths)} other paths` : "";
  return (
    `${tokenIdOf(token)} may do more than a reaper needs, and is not used: ${parts.join("; ")}${rest}. ` +
    "On the host: pveum acl list, and delete what was given to it, to its user or to a group of that user"
  );
}
