// The lab's Linux side: the Proxmox host's SSH server on its private root, and those of its reachable guests.
import { join } from "node:path";
import { isErrno } from "./files.ts";
import { Guests } from "./guests.ts";
import type { ReachableGuest } from "./guests.ts";
import { ensureKeyPair } from "./keys.ts";
import type { LabNetwork } from "./network.ts";
import type { Ports } from "./ports.ts";
import { ensurePrivateRoot } from "./private-root.ts";
import { RootApi } from "./root-api.ts";
import { startSandbox } from "./sandbox.ts";
import { startSshServer } from "./ssh-server.ts";
import type { SshLimits } from "./ssh-server.ts";
import { Uplink } from "./uplink.ts";

export interface HostOptions {
  stateDir: string;
  rootSocket: string;
  ports: Ports;
  /** 0: the port of the last start, or a new one. */
  sshPort?: number;
  hostName?: string;
  limits?: Partial<SshLimits>;
  guestPollMs?: number;
  /** The machines' own network. @default none: they have no addresses there */
  network?: LabNetwork | undefined;
  /** How machines reach one another. @default nothing is open but SSH */
  uplink?: Uplink;
  onGuests?: (guests: ReachableGuest[]) => void;
}

export interface RunningHost {
  port: number;
  privateKeyFile: string;
  privateKey: string;
  hostPublicKey: string;
  /** Of the lab's own client key, which opens every machine. */
  labPublicKey: string;
  /** The folder the host sees as `/`. */
  root: string;
  limitation: string | undefined;
  guests: Guests;
  uplink: Uplink;
  close: () => Promise<void>;
}

/** Folder of the host's private root; storage `local` is `var/lib/vz` in it. */
export function hostRootFolder(stateDir: string): string {
  return join(stateDir, "roots", "host");
}

export async function startHost(options: HostOptions): Promise<RunningHost> {
  const keys = join(options.stateDir, "keys");
  const client = ensureKeyPair(keys, "client");
  const hostKey = ensureKeyPair(keys, "host");
  const hostName = options.hostName ?? "pve";
  const root = ensurePrivateRoot({
    folder: hostRootFolder(options.stateDir),
    hostName,
    kind: "proxmox",
    authorizedKeys: [client.publicKey],
  });
  const sandbox = await startSandbox({ root, rootSocket: options.rootSocket, hostName });
  const port = options.sshPort ?? (await options.ports.choose("ssh"));
  const authorizedKeys = (user: string): string[] => (user === "root" ? [client.publicKey] : []);
  const uplink = options.uplink ?? new Uplink(options.network, { open: [], reach: [] });
  const server = await startSshServer({
    ...{ root, sandbox, hostKey: hostKey.privateKey, authorizedKeys, port, forwarding: uplink },
    ...(options.limits === undefined ? {} : { limits: options.limits }),
  }).catch((error: unknown) => {
    sandbox.close();
    throw isErrno(error, "EADDRINUSE") ? portTaken("SSH", port, "--ssh-port") : error;
  });
  options.ports.remember("ssh", server.port);
  const guests = new Guests({
    ...{
      stateDir: options.stateDir,
      hostRoot: root,
      api: new RootApi(options.rootSocket),
      ports: options.ports,
      labPublicKey: client.publicKey,
      network: options.network,
      uplink,
    },
    onChange: options.onGuests ?? (() => undefined),
    ...(options.guestPollMs === undefined ? {} : { pollMs: options.guestPollMs }),
  });
  await guests.start();
  return {
    port: server.port,
    privateKeyFile: client.privateKeyFile,
    privateKey: client.privateKey,
    hostPublicKey: hostKey.publicKey,
    labPublicKey: client.publicKey,
    root,
    limitation: sandbox.kind === "unavailable" ? sandbox.reason : undefined,
    guests,
    uplink,
    close: async () => {
      await guests.close();
      await uplink.close();
      sandbox.close();
      await server.close();
    },
  };
}

export function portTaken(what: string, port: number, flag: string): Error {
  return new Error(
    `${what} port ${port} of this lab is taken by another program; stop that program, or choose another with ${flag}`,
  );
}
