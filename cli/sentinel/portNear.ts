import { createServer } from "node:net";
import { freePort } from "../../lab/host/freePort.ts";

/** The wanted port of an address of this machine when nobody uses it now, else another one. */
export function portNear(wanted: number, host = "127.0.0.1"): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", () => freePort(host).then(resolve, reject));
    server.listen(wanted, host, () => server.close(() => resolve(wanted)));
  });
}
