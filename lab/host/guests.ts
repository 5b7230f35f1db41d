// Guests that answer SSH: every running Linux guest of the API gets a private root, a port and its cloud-init's keys.
import { join } from "node:path";
import { isRecord, readIfPresent } from "./files.ts";
import { containerAccess, guestAccess, userSnippet } from "./guest-access.ts";
import { forgetMachine, openMachine } from "./machine.ts";
import type { GuestAccess } from "./guest-access.ts";
import type { Machine, MachinesOptions } from "./machine.ts";
import type { LabNetwork } from "./network.ts";
import { textOf } from "./root-api.ts";
import type { RootApi } from "./root-api.ts";

export interface ReachableGuest {
  vmid: number;
  name: string;
  host: "127.0.0.1";
  port: number;
  users: string[];
  hostPublicKey: string;
  /** Its address in the lab's network; absent where this computer cannot have one. */
  address?: string;
  /** Ports that are open there. */
  open: { host: string; port: number }[];
}

interface Open {
  info: Omit<ReachableGuest, "open">;
  machine: Machine;
}

export interface GuestsOptions extends MachinesOptions {
  hostRoot: string;
  api: RootApi;
  network: LabNetwork | undefined;
  onChange: (guests: ReachableGuest[]) => void;
  pollMs?: number;
}

export class Guests {
  readonly #options: GuestsOptions;
  readonly #open = new Map<number, Open>();
  #known = new Set<number>();
  /** Tasks that destroyed a guest, of those that the API still lists. */
  #destructions = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #current: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: GuestsOptions) {
    this.#options = options;
  }

  /** Looks once now, then every `pollMs`. */
  async start(): Promise<void> {
    await this.refresh();
    const again = (): void => {
      if (this.#closed) return;
      this.#timer = setTimeout(() => void this.refresh().finally(again), this.#options.pollMs ?? 1000);
      this.#timer.unref();
    };
    again();
  }

  list(): ReachableGuest[] {
    const { uplink } = this.#options;
    return [...this.#open.values()]
      .map(({ info }) => ({ ...info, open: uplink.openOf(keyOf(info.vmid)) }))
      .sort((a, b) => a.vmid - b.vmid);
  }

  refresh(): Promise<void> {
    this.#current = this.#current.then(() => this.#look()).catch(() => undefined); // the API may be away for a moment
    return this.#current;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#current;
    await Promise.all([...this.#open.keys()].map((vmid) => this.#shut(vmid)));
  }

  async #look(): Promise<void> {
    if (this.#closed) return;
    let changed = false;
    // Between two looks an id may come again for another guest, which must not get the old one's root.
    for (const vmid of await this.#destroyed()) {
      if (!this.#known.has(vmid)) continue;
      changed = (await this.#shut(vmid)) || changed;
      forgetMachine(this.#options, keyOf(vmid));
    }
    const rows = await this.#options.api.list("/cluster/resources?type=vm");
    const present = new Set<number>();
    for (const row of rows) {
      const vmid = Number(row["vmid"]);
      if (!Number.isInteger(vmid) || row["template"] === 1) continue;
      present.add(vmid);
      const running = row["status"] === "running";
      if (running !== this.#open.has(vmid))
        changed = (running ? await this.#launch(vmid, row) : await this.#shut(vmid)) || changed;
    }
    for (const vmid of new Set([...this.#known, ...this.#open.keys()])) {
      if (present.has(vmid)) continue;
      changed = (await this.#shut(vmid)) || changed;
      forgetMachine(this.#options, keyOf(vmid));
    }
    this.#known = present;
    if (changed) this.#options.onChange(this.list());
  }

  /** Guests that were destroyed since the last look. */
  async #destroyed(): Promise<Set<number>> {
    const tasks = (await this.#options.api.list("/cluster/tasks")).filter(
      ({ type, status }) => (type === "qmdestroy" || type === "vzdestroy") && status === "OK",
    );
    const fresh = tasks.filter(({ upid }) => !this.#destructions.has(textOf(upid)));
    this.#destructions = new Set(tasks.map(({ upid }) => textOf(upid)));
    return new Set(fresh.map(({ id }) => Number(id)));
  }

  async #launch(vmid: number, row: Record<string, unknown>): Promise<boolean> {
    const kind = row["type"] === "lxc" ? "lxc" : "qemu";
    const config = await this.#options.api.get(`/nodes/${textOf(row["node"])}/${kind}/${vmid}/config`);
    const settings = Object.fromEntries(Object.entries(config ?? {}));
    if (kind === "qemu" && !/^l2/.test(textOf(settings["ostype"]) || "l26")) return false;
    const name = textOf(row["name"]) || textOf(settings["hostname"]) || `guest-${vmid}`;
    const { users } =
      kind === "lxc" ? containerAccess(await this.#rootKeys(settings["rootfs"])) : this.#cloudInit(settings);
    const address = this.#options.network?.guestAddress(vmid);
    const addresses = await this.#addresses(`/nodes/${textOf(row["node"])}/${kind}/${vmid}`, kind);
    const machine = await openMachine(this.#options, { key: keyOf(vmid), name, users, address, addresses });
    const { port, hostPublicKey } = machine;
    const place = address === undefined ? {} : { address };
    const info = { vmid, name, host: "127.0.0.1" as const, port, users: machine.users, hostPublicKey, ...place };
    this.#open.set(vmid, { info, machine });
    return true;
  }

  #cloudInit(settings: Readonly<Record<string, unknown>>): GuestAccess {
    const snippet = userSnippet(settings["cicustom"]);
    const userData =
      snippet === undefined ? undefined : readIfPresent(join(this.#options.hostRoot, "var/lib/vz/snippets", snippet));
    return guestAccess(settings, userData);
  }

  /** What Proxmox wrote into a container's root file system as root's keys. */
  async #rootKeys(rootfs: unknown): Promise<string> {
    const [volid] = textOf(rootfs).split(",");
    const volumes = (await this.#options.api.labState())["volumes"];
    const volume = (Array.isArray(volumes) ? volumes : []).filter(isRecord).find((one) => one["volid"] === volid);
    return textOf(volume?.["rootKeys"]);
  }

  /** What the guest says itself that its addresses are; none where it says nothing. */
  async #addresses(path: string, kind: "qemu" | "lxc"): Promise<string[]> {
    try {
      const { api } = this.#options;
      const rows = kind === "lxc" ? await api.list(`${path}/interfaces`) : await agentInterfaces(api, path);
      const listed = rows.flatMap((row) => (Array.isArray(row["ip-addresses"]) ? row["ip-addresses"] : []));
      return listed
        .filter(isRecord)
        .map((entry) => textOf(entry["ip-address"]))
        .filter((address) => /^\d+(\.\d+){3}$/.test(address) && !address.startsWith("127."));
    } catch {
      return [];
    }
  }

  async #shut(vmid: number): Promise<boolean> {
    const open = this.#open.get(vmid);
    if (open === undefined) return false;
    this.#open.delete(vmid);
    await open.machine.close();
    return true;
  }
}

function keyOf(vmid: number): string {
  return `guest-${vmid}`;
}

async function agentInterfaces(api: RootApi, path: string): Promise<Record<string, unknown>[]> {
  const said = await api.get(`${path}/agent/network-get-interfaces`);
  const rows = isRecord(said) ? said["result"] : undefined;
  return Array.isArray(rows) ? rows.filter(isRecord) : [];
}
