/**
 * What an API token may do, asked as the token itself. A token without rights is no error to Proxmox: it answers 200, with
 * lists from which everything that it may not see is missing.
 */
import { z } from "zod";
import type { PveClient } from "./client.ts";
import { PveError } from "./errors.ts";

/** Rights that are needed, or held, at one path of Proxmox's permissions. */
export interface Need {
  /** For example `/vms/100`. */
  readonly path: string;
  readonly privileges: readonly string[];
}

/**
 * `GET /access/permissions`: by path, the privileges there; their values say only whether they are inherited below.
 * Source: pve-access-control src/PVE/API2/AccessControl.pm (permissions), which gives a path without any as an empty
 * object or not at all. Every token may ask this of itself.
 */
const permissions = z.record(z.string(), z.record(z.string(), z.unknown()));

async function askRights(
  client: Pick<PveClient, "call">,
  parameters: { readonly path?: string },
): Promise<z.infer<typeof permissions>> {
  const parsed = permissions.safeParse(await client.call("GET", "/access/permissions", parameters));
  if (!parsed.success) throw new PveError("nonsense", "GET /access/permissions", "an answer of another form");
  return parsed.data;
}

/**
 * All that the token holds: at the tops of Proxmox's tree, wherever somebody was given a right, and on what is in a pool
 * (pve-access-control src/PVE/RPCEnvironment.pm, get_effective_permissions).
 */
export async function heldRights(client: Pick<PveClient, "call">): Promise<readonly Need[]> {
  return Object.entries(await askRights(client, {})).map(([path, held]) => ({ path, privileges: Object.keys(held) }));
}

/** What of the needs the token lacks. One call a path: only so are a pool's rights and `NoAccess` counted. */
export async function missingRights(client: Pick<PveClient, "call">, needs: readonly Need[]): Promise<readonly Need[]> {
  const missing = await Promise.all(
    needs.map(async ({ path, privileges }) => {
      const held = (await askRights(client, { path }))[path] ?? {};
      return { path, privileges: privileges.filter((privilege) => !Object.hasOwn(held, privilege)) };
    }),
  );
  return missing.filter(({ privileges }) => privileges.length > 0);
}

/** In one line: `keeper@pve!host lacks VM.Audit, VM.PowerMgmt on /vms/100, /vms/101`; undefined when nothing is missing. */
export function rightsInWords(token: string, missing: readonly Need[]): string | undefined {
  if (missing.length === 0) return undefined;
  const groups = new Map<string, string[]>();
  for (const { path, privileges } of missing) {
    const key = privileges.join(", ");
    groups.set(key, [...(groups.get(key) ?? []), path]);
  }
  const parts = [...groups].map(([privileges, paths]) => `${privileges} on ${paths.join(", ")}`);
  return `${tokenIdOf(token)} lacks ${parts.join("; ")}`;
}

/** How a role with these rights is given to the token and its user: a token has at most what its user has. */
export function rightsFix(token: string, role: string, missing: readonly Need[]): string {
  const privileges = [...new Set(missing.flatMap((need) => need.privileges))].toSorted().join(" ");
  const id = tokenIdOf(token);
  const user = id.split("!", 1)[0] ?? id;
  return (
    `On the host: pveum role modify ${role} --append --privs "${privileges}" && ` +
    `pveum acl modify / --users '${user}' --roles ${role} && pveum acl modify / --tokens '${id}' --roles ${role}`
  );
}

/** The name of a token, which is no secret. */
export function tokenIdOf(token: string): string {
  return token.split("=", 1)[0] ?? "";
}
