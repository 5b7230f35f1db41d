// The lab's own network: a sixteenth part of 127.0.0.0/8 in which each machine has an address, so that everything of this
// computer, and nothing of another one, reaches a machine under one address and its own port numbers.
import { createServer } from "node:net";
import type { Server } from "node:net";
import type { Ports } from "./ports.ts";

/** Who listens here has the network: it is freed with the process, however that ends. */
const lockPort = 47_811;
const networks = 254;
/** Highest id of a Proxmox guest that gets an address; above it are servers of the AWS stand-in. */
const mostGuestId = 0x7fff;
const mostServers = 0x7eff;

export interface LabNetwork {
  /** For example `127.42.0.0/16`. */
  cidr: string;
  /** Address for programs of this computer that machines are to reach, such as a test's own server. */
  outside: string;
  /** Port of SSH at every machine's address: 22 is root's. */
  sshPort: number;
  guestAddress: (vmid: number) => string | undefined;
  /** @param number from 1 */
  serverAddress: (number: number) => string | undefined;
  close: () => Promise<void>;
}

/** Takes a network that no other lab has, the one of the last start if it is free; undefined where none can be had. */
export async function openNetwork(ports: Ports): Promise<LabNetwork | undefined> {
  if (process.platform !== "linux") return undefined; // elsewhere only 127.0.0.1 is there
  const first = ports.get("network") || 1 + (process.pid % networks);
  for (let tried = 0; tried < networks; tried += 1) {
    const part = ((first - 1 + tried) % networks) + 1;
    const lock = await listen(`127.${part}.255.254`, lockPort);
    if (lock === undefined) continue;
    ports.remember("network", part);
    return networkOf(part, lock, await sshPortOf(part, ports));
  }
  return undefined;
}

function networkOf(part: number, lock: Server, sshPort: number): LabNetwork {
  const address = (number: number): string => `127.${part}.${number >> 8}.${number & 255}`;
  return {
    cidr: `127.${part}.0.0/16`,
    outside: `127.${part}.255.1`,
    sshPort,
    guestAddress: (vmid) => (vmid > 0 && vmid <= mostGuestId ? address(vmid) : undefined),
    serverAddress: (number) => (number > 0 && number < mostServers - 255 ? address(0x8000 + number) : undefined),
    close: () => closed(lock),
  };
}

async function sshPortOf(part: number, ports: Ports): Promise<number> {
  for (const wanted of [ports.get("vm-ssh"), 0]) {
    const probe = await listen(`127.${part}.255.253`, wanted);
    if (probe === undefined) continue;
    const found = probe.address();
    await closed(probe);
    if (typeof found !== "object" || found === null) continue;
    ports.remember("vm-ssh", found.port);
    return found.port;
  }
  return 0;
}

function listen(host: string, port: number): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy());
    server.once("error", () => resolve(undefined));
    server.listen({ host, port, exclusive: true }, () => {
      server.unref();
      resolve(server);
    });
  });
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
