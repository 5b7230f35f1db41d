// A Proxmox API of a few routes on a root socket: what the host's tools and the page need to be tested alone.
import { createServer } from "node:http";
import { chmodSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { RunningProxmoxApi } from "../../lab/index.ts";

export interface FakeGuest {
  status: "running" | "stopped";
  config: Record<string, string>;
}

export interface FakeProxmox extends RunningProxmoxApi {
  guests: Map<string, FakeGuest>;
  calls: string[];
}

export async function startFakeProxmox(stateDir: string, port = 0): Promise<FakeProxmox> {
  mkdirSync(stateDir, { recursive: true });
  const rootSocket = join(stateDir, "root.sock");
  rmSync(rootSocket, { force: true });
  for (const name of ["ca.pem", "token"]) writeFileSync(join(stateDir, name), "fake-secret-token", { mode: 0o600 });
  const guests = new Map<string, FakeGuest>([
    ["200", { status: "stopped", config: { name: "trading-floor", cores: "4", ostype: "win10" } }],
  ]);
  const calls: string[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("end", () => {
      const path = (request.url ?? "").replace(/^\/api2\/json/, "").split("?")[0] ?? "";
      calls.push(`${request.method} ${path} ${body}`);
      const answer = route(guests, request.method ?? "GET", path, new URLSearchParams(body));
      response.writeHead(answer.status, { "Content-Type": "application/json" });
      response.end(JSON.stringify(answer.body));
    });
  });
  await new Promise<void>((resolve) => server.listen(rootSocket, resolve));
  chmodSync(rootSocket, 0o600);
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.closeAllConnections();
      server.close(() => resolve());
    });
  const files = { caCertFile: join(stateDir, "ca.pem"), tokenFile: join(stateDir, "token"), rootSocket };
  return { url: "https://127.0.0.1:1", port: port === 0 ? 1 : port, ...files, close, guests, calls };
}

function route(
  guests: Map<string, FakeGuest>,
  method: string,
  path: string,
  form: URLSearchParams,
): { status: number; body: unknown } {
  const ok = (data: unknown): { status: number; body: unknown } => ({ status: 200, body: { data } });
  const match = /^\/nodes\/pve\/(qemu|lxc)\/(\d+)(\/.*)?$/.exec(path);
  if (match !== null) {
    const guest = guests.get(match[2] ?? "");
    if (guest === undefined)
      return {
        status: 500,
        body: { data: null, message: `Configuration file 'nodes/pve/qemu-server/${match[2]}.conf' does not exist\n` },
      };
    if (match[3] === "/config" && method === "GET") return ok(guest.config);
    if (match[3] === "/config") {
      if (form.has("nonsense"))
        return {
          status: 400,
          body: {
            data: null,
            message: "Parameter verification failed.\n",
            errors: { nonsense: "property is not defined in schema" },
          },
        };
      for (const [key, value] of form) guest.config[key] = value;
      return ok(null);
    }
    if (match[3] === "/status/current") return ok({ status: guest.status, qmpstatus: guest.status });
    return ok(null);
  }
  switch (path) {
    case "/nodes":
      return ok([{ node: "pve" }]);
    case "/version":
      return ok({ version: "8.4.1", release: "8.4" });
    case "/nodes/pve/status":
      return ok({
        cpuinfo: { model: "AMD Ryzen 9 5950X", cores: 16, cpus: 32, sockets: 1 },
        memory: { total: 137438953472, used: 8589934592 },
      });
    case "/nodes/pve/network":
      return ok([{ iface: "vmbr0", type: "bridge", cidr: "192.168.1.10/24", bridge_ports: "eno1" }]);
    case "/storage/local":
      return ok({ storage: "local", type: "dir", path: "/var/lib/vz", content: "iso,snippets" });
    case "/nodes/pve/qemu":
    case "/cluster/resources":
      return ok(
        [...guests].map(([vmid, guest]) => ({
          vmid: Number(vmid),
          type: "qemu",
          node: "pve",
          name: guest.config["name"],
          status: guest.status,
        })),
      );
    case "/lab/events":
      return ok([{ at: "2026-01-01T00:00:00Z", message: "lab started" }]);
    default:
      return ok([]);
  }
}
