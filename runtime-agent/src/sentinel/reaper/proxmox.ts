/**
 * Throwaway servers at Proxmox VE: the guests of one pool. The token may see and delete what is in that pool and nothing
 * else (`reaperRights.ts`); here each guest's own tags are read as well, and again before it is deleted.
 */
import * as z from "zod";
import { readProxmoxTags, sameTags } from "../../../../components/shared/vps/tags.ts";
import type { PveClient } from "../../shared/proxmox/client.ts";
import { PveError } from "../../shared/proxmox/errors.ts";
import { heldRights } from "../../shared/proxmox/rights.ts";
import { excessInWords, excessRights } from "./excess.ts";
import type { Seen, ServerProvider, ServerSeen } from "./types.ts";

const member = z.object({ type: z.string(), vmid: z.coerce.number().int().optional(), node: z.string().optional() });
const pools = z.array(z.object({ poolid: z.string(), members: z.array(member).optional() })).length(1);
const config = z.object({
  tags: z.string().optional(),
  name: z.string().optional(),
  hostname: z.string().optional(),
  template: z.coerce.number().optional(),
});
const status = z.object({ status: z.string() });

interface Guest {
  readonly kind: "qemu" | "lxc";
  readonly vmid: number;
  readonly node: string;
}

/** For a guest to be ended or deleted, ms. */
const taskMs = 300_000;
/** How Proxmox says that a guest is not there (PVE::AbstractConfig, load_config). */
const isGone = (error: unknown): boolean =>
  error instanceof PveError && error.kind === "refused" && /does not exist/.test(error.said);

function parse<T>(schema: z.core.$ZodType<T>, where: string, data: unknown): T {
  const parsed = z.safeParse(schema, data);
  if (parsed.success) return parsed.data;
  throw new PveError("nonsense", where, "an answer of another form");
}

const path = ({ node, kind, vmid }: Guest, rest = ""): string => `/nodes/${node}/${kind}/${String(vmid)}${rest}`;

/** The words of `tags`: Proxmox writes `;`, and reads `,` and blanks too (pve-tag-list). */
function words(tags: string | undefined): readonly string[] {
  return (tags ?? "").split(/[;,\s]+/).filter((word) => word !== "");
}

/**
 * @param client is closed with what is given back
 * @param token is named where it may do too much; never shown
 */
export function proxmoxServers(client: PveClient, token: string, pool: string): ServerProvider {
  async function guests(): Promise<readonly Guest[]> {
    const [found] = parse(pools, `pool ${pool}`, await client.call("GET", "/pools", { poolid: pool }));
    return (found?.members ?? []).flatMap(({ type, vmid, node }): Guest[] =>
      (type === "qemu" || type === "lxc") && vmid !== undefined && node !== undefined
        ? [{ kind: type, vmid, node }]
        : [],
    );
  }

  async function see(guest: Guest): Promise<Seen> {
    const id = String(guest.vmid);
    let read: z.infer<typeof config>;
    try {
      read = parse(config, `configuration of ${id}`, await client.call("GET", path(guest, "/config")));
    } catch (error) {
      // Deleted since the pool was read.
      if (isGone(error)) return { servers: [], strangers: [] };
      throw error;
    }
    const tags = readProxmoxTags(words(read.tags));
    const name = read.name ?? read.hostname ?? id;
    if (tags !== undefined && read.template !== 1)
      return { servers: [{ provider: "proxmox", id, name, tags }], strangers: [] };
    const why = tags === undefined ? "it lacks one of our tags" : "it is a template";
    return { servers: [], strangers: [{ id, why }] };
  }

  async function remove(guest: Guest): Promise<void> {
    const now = parse(
      status,
      `status of ${String(guest.vmid)}`,
      await client.call("GET", path(guest, "/status/current")),
    );
    if (now.status !== "stopped") {
      try {
        await client.run("POST", path(guest, "/status/stop"), {}, taskMs);
      } catch (error) {
        if (!(error instanceof PveError) || !/not running/.test(error.said)) throw error;
      }
    }
    await client.run("DELETE", path(guest), { purge: 1, "destroy-unreferenced-disks": 1 }, taskMs);
  }

  return {
    kind: "proxmox",
    async look() {
      const servers: ServerSeen[] = [];
      const strangers: Seen["strangers"][number][] = [];
      const there = await guests();
      // Every time: rights are given while the Sentinel runs, too.
      const excess = excessRights(await heldRights(client), pool, new Set(there.map(({ vmid }) => vmid)));
      if (excess.length > 0) throw new Error(excessInWords(token, excess));
      for (const guest of there) {
        const seen = await see(guest);
        servers.push(...seen.servers);
        strangers.push(...seen.strangers);
      }
      return { servers, strangers };
    },
    async remove(server) {
      const guest = (await guests()).find(({ vmid }) => String(vmid) === server.id);
      if (guest === undefined) return "gone";
      const [now] = (await see(guest)).servers;
      if (now === undefined || !sameTags(now.tags, server.tags))
        throw new Error(`guest ${server.id} carries other tags by now`);
      try {
        await remove(guest);
      } catch (error) {
        if (isGone(error)) return "gone";
        throw error;
      }
      return "deleted";
    },
    close: () => client.close(),
  };
}
