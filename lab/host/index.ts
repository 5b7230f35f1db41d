// The lab's Linux side: the Proxmox host's SSH server on its private root, and those of its reachable guests.
import { join } from "node:path";
import { isErrno } from "./files.ts";
import { Guests } from "./guests.ts";
import type { ReachableGuest } from "./guests.ts";
import { ensureKeyPair } from "./keys.ts";
import type { Ports } from "./ports.ts";
import { ensurePrivateRoot } from "./private-root.ts";
import { RootApi } from "./root-api.ts";
import { startSandbox } from "./sandbox.ts";
import { startSshServer } from "./ssh-server.ts";
import type { SshLimits } from "./ssh-server.ts";

export interface HostOptions {
  stateDir: string;
  rootSocket: string;
  ports: Ports;
  /** 0: the port of the last start, or a new one. */
  sshPort?: number;
  hostName?: string;
  limits?: Partial<SshLimits>;
  guestPollMs?: number;
  onGuests?: (guests: ReachableGuest[]) => void;
}

export interface RunningHost {
  port: number;
  privateKeyFile: string;
  privateKey: string;
  hostPublicKey: string;
  /** The folder the host sees as `/`. */
  root: string;
  limitation: string | undefined;
  guests: Guests;
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
  const port = options.sshPort ?? options.ports.get("ssh");
  const authorizedKeys = (user: string): string[] => (user === "root" ? [client.publicKey] : []);
  const server = await startSshServer({
    ...{ root, sandbox, hostKey: hostKey.privateKey, authorizedKeys, port },
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
    root,
    limitation: sandbox.kind === "unavailable" ? sandbox.reason : undefined,
    guests,
    close: async () => {
      await guests.close();
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
