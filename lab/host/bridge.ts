// The Unix socket between the lab and one machine's supervisor. The supervisor connects, the lab listens: once for the
// lab's orders, and once more for each connection that goes out of the machine or comes into it.
import { closeSync, openSync, rmSync } from "node:fs";
import type { Server, Socket } from "node:net";
import { join } from "node:path";
import { isRecord } from "./files.ts";
import { closed, listening } from "./flows.ts";

export interface Reachable {
  address: string;
  port: number;
}

/** What the machine is told: its own addresses, and where it may connect to. */
export interface Orders {
  own: readonly string[];
  reach: readonly Reachable[];
}

interface Dial {
  id: number;
  port: number;
  settle: (socket: Socket | undefined) => void;
}

const mostHeaderBytes = 1024;
/** How long a machine may take to take up a connection, its supervisor's start included, ms. */
const dialMs = 20_000;

export class Bridge {
  readonly #server: Server;
  readonly #folder: number;
  readonly #wake: () => void;
  #control: Socket | undefined;
  #orders: Orders = { own: [], reach: [] };
  readonly #dials = new Map<number, Dial>();
  #count = 0;

  private constructor(server: Server, folder: number, wake: () => void) {
    this.#server = server;
    this.#folder = folder;
    this.#wake = wake;
  }

  /**
   * @param wake starts the machine's supervisor, if it does not run
   * @param out a connection out of the machine, to an address that it was told of
   */
  static async open(root: string, wake: () => void, out: (socket: Socket, to: Reachable) => void): Promise<Bridge> {
    const place = join(root, ".lab");
    rmSync(join(place, "uplink.sock"), { force: true });
    const folder = openSync(place, "r");
    // By the open folder: a Unix socket's path has at most 107 bytes.
    const path = `/proc/self/fd/${folder}/uplink.sock`;
    const server = await listening({ path }, (socket) =>
      readHeader(socket, (said) => bridge.#greeted(socket, said, out)),
    );
    const bridge = new Bridge(server, folder, wake);
    return bridge;
  }

  order(orders: Orders): void {
    this.#orders = orders;
    this.#say(orders);
  }

  /** A connection to one of the machine's ports; undefined when nobody listens there. */
  dial(port: number): Promise<Socket | undefined> {
    return new Promise((resolve) => {
      this.#count += 1;
      const id = this.#count;
      const settle = (socket: Socket | undefined): void => {
        clearTimeout(late);
        this.#dials.delete(id);
        resolve(socket);
      };
      const late = setTimeout(() => settle(undefined), dialMs);
      this.#dials.set(id, { id, port, settle });
      if (this.#control !== undefined) this.#say({ dial: { id, port } });
      // The first that waits wakes it; the others wait with it.
      else if (this.#dials.size === 1) this.#wake();
    });
  }

  close(): void {
    this.#control?.destroy();
    for (const { settle } of [...this.#dials.values()]) settle(undefined);
    closed(this.#server);
    closeSync(this.#folder);
  }

  #say(line: object): void {
    this.#control?.write(`${JSON.stringify(line)}\n`);
  }

  #greeted(
    socket: Socket,
    said: Readonly<Record<string, unknown>>,
    out: (socket: Socket, to: Reachable) => void,
  ): void {
    if (said["hello"] === true) {
      this.#control = socket;
      socket.resume();
      socket.once("close", () => {
        if (this.#control === socket) this.#control = undefined;
      });
      this.#say(this.#orders);
      for (const { id, port } of this.#dials.values()) this.#say({ dial: { id, port } });
      return;
    }
    const dial = this.#dials.get(Number(said["dialled"]));
    if (dial !== undefined && said["refused"] !== true) return dial.settle(socket);
    dial?.settle(undefined);
    const [address, port] = [said["address"], said["port"]];
    const to = this.#orders.reach.find((row) => row.address === address && row.port === port);
    if (to === undefined) socket.destroy();
    else out(socket, to);
  }
}

/** The first line of a connection, a JSON object; what follows it stays to be read. */
function readHeader(socket: Socket, take: (said: Readonly<Record<string, unknown>>) => void): void {
  let header = Buffer.alloc(0);
  const read = (chunk: Buffer): void => {
    header = Buffer.concat([header, chunk]);
    const end = header.indexOf(10);
    if (end < 0) {
      if (header.length > mostHeaderBytes) socket.destroy();
      return;
    }
    socket.off("data", read);
    socket.pause();
    if (header.length > end + 1) socket.unshift(header.subarray(end + 1));
    try {
      const said: unknown = JSON.parse(header.toString("utf8", 0, end));
      if (isRecord(said)) return take(said);
    } catch {
      // What is no JSON is no supervisor of ours.
    }
    socket.destroy();
  };
  socket.on("data", read);
}
