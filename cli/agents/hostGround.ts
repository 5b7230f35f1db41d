/** What a Proxmox host offers an agent's server: storage, template, pool, free ids. */
import { fault } from "../../components/shared/check.ts";
import type { Checked, Fault } from "../../components/shared/faults.ts";
import { reaperTokenCommands, throwawayPool } from "../../components/shared/vps/reaperRights.ts";
import { ApiError, type ProxmoxApi } from "../proxmox/api.ts";
import { sshRun } from "../proxmox/ssh.ts";
import type { HostConnection } from "../targets/target.ts";

/** What was seen on the host. */
export interface HostSeen {
  readonly ids: readonly number[];
  /** Storages of this node that hold containers' disks. */
  readonly diskStorages: readonly string[];
  /** Container templates, as volumes. */
  readonly templates: readonly string[];
  /** Undefined where the token may not look: the pool's own rights are the reaper's. */
  readonly hasPool: boolean | undefined;
}

/** What a server is made from. */
export interface HostGround {
  readonly ids: ReadonlySet<number>;
  readonly storage: string;
  readonly image: string;
}

const text = (value: unknown): string => (typeof value === "string" ? value : "");

export async function observeGround(api: ProxmoxApi): Promise<HostSeen> {
  const [guests, storages, hasPool] = await Promise.all([
    api.list("/cluster/resources", { type: "vm" }),
    api.list(`/nodes/${api.node}/storage`),
    api.record(`/pools/${throwawayPool}`).then(
      () => true,
      (error: unknown) => {
        if (!(error instanceof ApiError) || error.status === 0) throw error;
        return error.status === 403 ? undefined : false;
      },
    ),
  ]);
  const holding = (content: string): string[] =>
    storages
      .filter((row) => text(row["content"]).split(",").includes(content))
      .map((row) => text(row["storage"]))
      .filter((name) => name !== "");
  const templates = await Promise.all(
    holding("vztmpl").map((name) => api.list(`/nodes/${api.node}/storage/${name}/content`, { content: "vztmpl" })),
  );
  return {
    ids: guests.map((row) => Number(row["vmid"])).filter((id) => Number.isInteger(id)),
    diskStorages: holding("rootdir"),
    templates: templates.flat().map((row) => text(row["volid"])),
    hasPool,
  };
}

/** Template of a Debian whose systemd is what the agents' units need; the newest is the last in the alphabet. */
const debianTemplate = /:vztmpl\/debian-1[2-9]-standard_[\w.-]+\.tar\.\w+$/;
/** Example of the name that `pveam available` tells. */
const templateExample = "debian-13-standard_13.1-2_amd64.tar.zst";

/**
 * Decides what a server is made from; what is missing, with the commands that bring it. Pure.
 * @param wanted Storage and template that the settings name.
 */
export function decideGround(
  seen: HostSeen,
  wanted: { readonly storage?: string | undefined; readonly image?: string | undefined },
): Checked<HostGround> {
  const faults: Fault[] = [];
  const [first] = seen.diskStorages;
  const storage = wanted.storage ?? first;
  if (storage === undefined || !seen.diskStorages.includes(storage)) {
    const limit = `a storage that holds containers' disks: ${seen.diskStorages.join(", ") || "the host has none"}`;
    faults.push(fault("hive:proxmox.storage", storage, limit, "Name one of them, or allow Container on a storage."));
  }
  const image =
    wanted.image ??
    seen.templates
      .filter((volume) => debianTemplate.test(volume))
      .toSorted()
      .at(-1);
  if (image === undefined || !seen.templates.includes(image)) {
    const fix = `On the host: pveam update && pveam download local ${templateExample}`;
    faults.push(fault("hive:proxmox.image", image, "a container template of Debian that the host has", fix));
  }
  if (seen.hasPool === false) {
    const fix = `On the host, as root: ${reaperTokenCommands[0] ?? ""}`;
    faults.push(fault(`pool ${throwawayPool}`, undefined, "the pool that the reaper's token is limited to", fix));
  }
  if (faults.length > 0 || storage === undefined || image === undefined) return { ok: false, faults };
  return { ok: true, value: { ids: new Set(seen.ids), storage, image } };
}

/** How a host would look once {@link furnishLab} had been there. Pure. */
export function asFurnished(seen: HostSeen): HostSeen {
  const template = `local:vztmpl/${templateExample}`;
  return { ...seen, hasPool: true, templates: [...new Set([...seen.templates, template])] };
}

/** Gives the lab's own host what a person brings to a real one: the pool, and a template from the lab's mirror. */
export async function furnishLab(api: ProxmoxApi, host: HostConnection, seen: HostSeen): Promise<void> {
  const [makePool = ""] = reaperTokenCommands;
  await sshRun(host.ssh, `pvesh get /pools/${throwawayPool} >/dev/null 2>&1 || ${makePool}`);
  if (seen.templates.some((volume) => debianTemplate.test(volume))) return;
  await api.change("POST", `/nodes/${api.node}/storage/local/download-url`, {
    content: "vztmpl",
    filename: templateExample,
    url: new URL(`/lab/mirror/${templateExample}`, host.endpoint).href,
  });
}
