/**
 * A Sentinel as a runner sees it: takes registrations, heartbeats and results, and remembers them. As at the real one its
 * key is the first server's that registers: any other is answered 409.
 */
import { createServer } from "node:https";
import * as z from "zod";
import {
  farewell,
  heartbeat,
  registration,
  runReport,
  type Heartbeat,
  type RunReport,
} from "../../components/shared/signals/protocol.ts";
import { agentIdentity, pskServer } from "../../runtime-agent/src/shared/pskTls.ts";

export interface SentinelStub {
  readonly port: number;
  readonly registrations: string[];
  readonly heartbeats: Heartbeat[];
  readonly results: RunReport[];
  readonly farewells: string[];
  /** What each path is answered with; 200 and a lease, or 204. */
  readonly status: Map<string, number>;
  /** End of the server's time, Unix ms. */
  expiresMs: number;
  close(): Promise<void>;
}

export async function sentinelStub(name: string, key: Buffer): Promise<SentinelStub> {
  const registrations: string[] = [];
  const heartbeats: Heartbeat[] = [];
  const results: RunReport[] = [];
  const farewells: string[] = [];
  const status = new Map<string, number>();
  const hear: Readonly<Record<string, (body: unknown) => void>> = {
    "/v1/register": (body) => registrations.push(registration.parse(body).instance),
    "/v1/heartbeat": (body) => heartbeats.push(heartbeat.parse(body)),
    "/v1/results": (body) => results.push(runReport.parse(body)),
    "/v1/farewell": (body) => farewells.push(farewell.parse(body).reason),
  };
  /** Whether a message comes from another server than the registered one. */
  const isSecond = (body: unknown): boolean => {
    const { instance } = z.object({ instance: z.string().optional() }).parse(body);
    return instance !== undefined && registrations[0] !== undefined && instance !== registrations[0];
  };
  const server = createServer(
    pskServer((identity) => (identity === agentIdentity(name, key) ? key : undefined)),
    (request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const path = request.url ?? "";
        const forced = status.get(path);
        if (forced !== undefined) return response.writeHead(forced).end();
        try {
          const body: unknown = JSON.parse(Buffer.concat(chunks).toString("utf8"));
          if (isSecond(body)) return response.writeHead(409).end();
          hear[path]?.(body);
        } catch (error) {
          return response.writeHead(400).end(String(error));
        }
        if (path === "/v1/results" || path === "/v1/farewell") return response.writeHead(204).end();
        response.end(JSON.stringify({ validMs: 30_000, heartbeatMs: 200, expiresMs: stub.expiresMs }));
      });
    },
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = z.object({ port: z.number() }).parse(server.address());
  const stub: SentinelStub = {
    port,
    registrations,
    heartbeats,
    results,
    farewells,
    status,
    expiresMs: Date.now() + 3_600_000,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
  return stub;
}
