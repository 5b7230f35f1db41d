// Two ends of a connection joined, and what may go wrong with it on demand.
import { connect, createServer } from "node:net";
import type { ListenOptions, Server, Socket } from "node:net";
import type { Duplex } from "node:stream";

/**
 * `refuse` closes the connection at once; `delay` makes it wait before anything goes through; `stall` takes it and lets
 * nothing through until it is closed; `cut` breaks it off behind so many bytes, whichever way they went.
 */
export const flowFaultKinds = ["refuse", "delay", "stall", "cut"] as const;

export interface FlowFault {
  kind: (typeof flowFaultKinds)[number];
  /** Name of the machine that is connected to. @default any */
  machine?: string;
  /** Port that is connected to. @default any */
  port?: number;
  /** How many connections it hits; null: all until it is cleared. @default 1 */
  times?: number | null;
  /** @default 1000 */
  delayMs?: number;
  /** @default 0 */
  afterBytes?: number;
}

export class FlowFaults {
  #active: FlowFault[] = [];

  add(fault: FlowFault): void {
    this.#active.push({ times: 1, ...fault });
  }

  list(): readonly FlowFault[] {
    return this.#active;
  }

  clear(): void {
    this.#active = [];
  }

  /** The fault that hits this connection, used up by one. */
  take(machine: string, port: number): FlowFault | undefined {
    const fault = this.#active.find(
      (entry) =>
        (entry.machine === undefined || entry.machine === machine) && (entry.port === undefined || entry.port === port),
    );
    if (fault === undefined || fault.times === null || fault.times === undefined) return fault;
    fault.times -= 1;
    if (fault.times <= 0) this.#active = this.#active.filter((other) => other !== fault);
    return fault;
  }
}

/** Passes bytes both ways, with the pressure of each side, until either ends. */
export function join(one: Duplex, other: Duplex, fault?: FlowFault): void {
  let left = fault?.kind === "cut" ? (fault.afterBytes ?? 0) : Infinity;
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    from.on("error", () => to.destroy());
    from.on("close", () => to.end(() => to.destroy()));
    if (fault?.kind === "stall") continue; // nobody reads: what is sent waits until one side gives up
    if (left !== Infinity)
      from.on("data", (chunk: Buffer) => {
        left -= chunk.length;
        if (left >= 0) return;
        one.destroy();
        other.destroy();
      });
    from.pipe(to);
  }
}

/** @throws the error of listening, for example EADDRINUSE */
export function listening(options: ListenOptions, take: (socket: Socket) => void): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on("error", () => socket.destroy()); // the other side may go at any moment
      take(socket);
    });
    server.once("error", reject);
    server.listen(options, () => resolve(server));
  });
}

/** Stops listening at once; connections that stand are their owner's to end. */
export function closed(server: Server): void {
  server.close();
}

/** A connection, or undefined when nobody answers. */
export function connected(host: string, port: number): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, allowHalfOpen: true });
    socket.once("connect", () => resolve(socket));
    socket.on("error", () => {
      socket.destroy();
      resolve(undefined);
    });
  });
}
