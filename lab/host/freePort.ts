import { readFileSync } from "node:fs";
import { createServer } from "node:net";

const lowest = 10_000;

/**
 * The end of the ports that no outgoing connection is given (ip(7), ip_local_port_range): a daemon that is killed finds
 * its port free again, and nobody who calls it in the meantime is connected to himself.
 */
function end(): number {
  try {
    const [first] = readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "latin1").split(/\s/);
    return Math.max(lowest + 1000, Number(first));
  } catch {
    return 32_768;
  }
}

function isFree(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, host, () => server.close(() => resolve(true)));
  });
}

/** A port of one of this machine's addresses that nobody uses now. */
export async function freePort(host = "127.0.0.1"): Promise<number> {
  const room = end() - lowest;
  for (let tries = 0; tries < 200; tries += 1) {
    const port = lowest + Math.floor(Math.random() * room);
    if (await isFree(port, host)) return port;
  }
  throw new Error(`no port of ${host} is free`);
}
