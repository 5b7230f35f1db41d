/** A man in the middle of a TCP connection: passes on, holds up, garbles, cuts and plays again what it recorded. */
import { connect, createServer, type Socket } from "node:net";

export interface LinkProxy {
  readonly port: number;
  /** Bytes towards the server are kept until this is false again; then they are passed on in order. */
  holdUp: boolean;
  /** Likewise towards the client. */
  holdDown: boolean;
  /** Towards the server: the next chunk gets one bit flipped. */
  garbleNext: boolean;
  /** Everything that went to the server on each connection, one buffer a connection. */
  readonly recorded: Buffer[];
  connections: number;
  /** Ends every connection with a reset. */
  cut(): void;
  /** While true new connections are refused at once. */
  refuse: boolean;
  close(): Promise<void>;
}

export async function linkProxy(targetPort: number): Promise<LinkProxy> {
  const live = new Set<Socket>();
  const flushers = new Set<() => void>();
  const timer = setInterval(() => flushers.forEach((flush) => flush()), 2);
  const server = createServer((client) => {
    if (proxy.refuse) return void client.resetAndDestroy();
    proxy.connections += 1;
    const index = proxy.recorded.push(Buffer.alloc(0)) - 1;
    const upstream = connect(targetPort, "127.0.0.1");
    const queues: [Buffer[], Socket, () => boolean][] = [
      [[], upstream, () => proxy.holdUp],
      [[], client, () => proxy.holdDown],
    ];
    const flush = (): void => {
      for (const [queue, target, held] of queues) {
        while (queue.length > 0 && !held()) target.write(queue.shift() ?? "");
      }
    };
    flushers.add(flush);
    client.on("data", (chunk) => {
      let bytes = Buffer.from(chunk);
      proxy.recorded[index] = Buffer.concat([proxy.recorded[index] ?? Buffer.alloc(0), bytes]);
      if (proxy.garbleNext) {
        proxy.garbleNext = false;
        bytes = Buffer.from(bytes);
        bytes[bytes.length - 1] = (bytes[bytes.length - 1] ?? 0) ^ 1;
      }
      queues[0]?.[0].push(bytes);
      flush();
    });
    upstream.on("data", (chunk) => {
      queues[1]?.[0].push(Buffer.from(chunk));
      flush();
    });
    for (const socket of [client, upstream]) {
      live.add(socket);
      socket.setNoDelay(true);
      socket.on("error", () => undefined);
      socket.on("close", () => {
        live.delete(socket);
        flushers.delete(flush);
        client.destroy();
        upstream.destroy();
      });
    }
  });
  const proxy: LinkProxy = {
    port: 0,
    holdUp: false,
    holdDown: false,
    garbleNext: false,
    recorded: [],
    connections: 0,
    refuse: false,
    cut: () => live.forEach((socket) => socket.resetAndDestroy()),
    close() {
      clearInterval(timer);
      live.forEach((socket) => socket.destroy());
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("no address");
  return Object.assign(proxy, { port: address.port });
}
