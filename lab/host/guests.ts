// Guests that answer SSH: every running Linux guest of the API gets a private root, a port and its cloud-init's keys.
import { rmSync } from "node:fs";
import { join } from "node:path";
import { isErrno, readIfPresent } from "./files.ts";
import { guestAccess, userSnippet } from "./guest-access.ts";
import { ensureKeyPair } from "./keys.ts";
import type { Ports } from "./ports.ts";
import { ensurePrivateRoot } from "./private-root.ts";
import { textOf } from "./root-api.ts";
import type { RootApi } from "./root-api.ts";
import { startSandbox } from "./sandbox.ts";
import type { Sandbox } from "./sandbox.ts";
import { startSshServer } from "./ssh-server.ts";
import type { SshServer } from "./ssh-server.ts";

export interface ReachableGuest {
  vmid: number;
  name: string;
  host: "127.0.0.1";
  port: number;
  users: string[];
  hostPublicKey: string;
}

interface Open {
  info: ReachableGuest;
  server: SshServer;
  sandbox: Sandbox;
}

export interface GuestsOptions {
  stateDir: string;
  hostRoot: string;
  api: RootApi;
  ports: Ports;
  /** The lab's own client key opens every guest as root, as a console would. */
  labPublicKey: string;
  onChange: (guests: ReachableGuest[]) => void;
  pollMs?: number;
}

export class Guests {
  readonly #options: GuestsOptions;
  readonly #open = new Map<number, Open>();
  #known = new Set<number>();
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
    return [...this.#open.values()].map((open) => open.info).sort((a, b) => a.vmid - b.vmid);
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
    const rows = await this.#options.api.list("/cluster/resources?type=vm");
    const present = new Set<number>();
    let changed = false;
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
      rmSync(this.#folder(vmid), { recursive: true, force: true });
      this.#options.ports.forget(`guest-${vmid}`);
    }
    this.#known = present;
    if (changed) this.#options.onChange(this.list());
  }

  #folder(vmid: number): string {
    return join(this.#options.stateDir, "roots", `guest-${vmid}`);
  }

  async #launch(vmid: number, row: Record<string, unknown>): Promise<boolean> {
    const kind = row["type"] === "lxc" ? "lxc" : "qemu";
    const config = await this.#options.api.get(`/nodes/${textOf(row["node"])}/${kind}/${vmid}/config`);
    const settings = Object.fromEntries(Object.entries(config ?? {}));
    if (kind === "qemu" && !/^l2/.test(textOf(settings["ostype"]) || "l26")) return false;
    const name = textOf(row["name"]) || textOf(settings["hostname"]) || `guest-${vmid}`;
    const snippet = userSnippet(settings["cicustom"]);
    const userData =
      snippet === undefined ? undefined : readIfPresent(join(this.#options.hostRoot, "var/lib/vz/snippets", snippet));
    const access = guestAccess(settings, userData);
    const keys = ensureKeyPair(join(this.#options.stateDir, "keys"), `guest-${vmid}`);
    const allKeys = [...access.users.flatMap((user) => user.keys), this.#options.labPublicKey];
    const root = ensurePrivateRoot({
      folder: this.#folder(vmid),
      hostName: name,
      kind: "guest",
      authorizedKeys: allKeys,
    });
    const sandbox = await startSandbox({ root, hostName: name });
    const labKey = this.#options.labPublicKey;
    const authorizedKeys = (user: string): string[] => [
      ...access.users.filter((entry) => entry.name === user).flatMap((entry) => entry.keys),
      ...(user === "root" || access.users.some((entry) => entry.name === user) ? [labKey] : []),
    ];
    const start = (port: number): Promise<SshServer> =>
      startSshServer({ root, sandbox, hostKey: keys.privateKey, authorizedKeys, port });
    const server = await start(this.#options.ports.get(`guest-${vmid}`)).catch((error: unknown) => {
      if (isErrno(error, "EADDRINUSE")) return start(0);
      sandbox.close();
      throw error;
    });
    this.#options.ports.remember(`guest-${vmid}`, server.port);
    const users = [...new Set(["root", ...access.users.map((user) => user.name)])];
    const info: ReachableGuest = {
      vmid,
      name,
      host: "127.0.0.1",
      port: server.port,
      users,
      hostPublicKey: keys.publicKey,
    };
    this.#open.set(vmid, { info, server, sandbox });
    return true;
  }

  async #shut(vmid: number): Promise<boolean> {
    const open = this.#open.get(vmid);
    if (open === undefined) return false;
    this.#open.delete(vmid);
    open.sandbox.close();
    await open.server.close();
    return true;
  }
}
