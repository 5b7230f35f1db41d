// The guest's side of the lab's network: listens for the addresses that the guest may reach, and connects to the guest's
// own ports for whoever comes in. Without a lab at the other end it does nothing.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { connect, createServer } from "node:net";
import type { Server, Socket } from "node:net";
import { record } from "../stored.ts";

const bridge = "/.lab/uplink.sock";
/** A port that a service of the guest has is tried again: the service may go. ms */
const againMs = 2000;

let own: string[] = [];
const listeners = new Map<string, Server>();
let wanted: { address: string; port: number }[] = [];

export function startUplink(): void {
  if (!existsSync(bridge)) return;
  const control = connect(bridge);
  let text = "";
  control.setEncoding("utf8");
  control.on("error", () => undefined); // the lab has gone, and this process goes with it
  control.write('{"hello":true}\n');
  control.on("data", (chunk: string) => {
    const lines = (text + chunk).split("\n");
    text = lines.pop() ?? "";
    for (const line of lines) obey(record(JSON.parse(line)));
  });
}

function obey(order: Record<string, unknown>): void {
  if (order["dial"] !== undefined) {
    const { id, port } = record(order["dial"]);
    return void dialIn(Number(id), Number(port));
  }
  own = Array.isArray(order["own"]) ? order["own"].map(String) : [];
  wanted = (Array.isArray(order["reach"]) ? order["reach"] : []).map((row) => ({
    address: String(record(row)["address"]),
    port: Number(record(row)["port"]),
  }));
  haveAddresses([...own, ...wanted.map(({ address }) => address)]);
  listenAsWanted();
}

const had = new Set<string>();

/** Addresses outside 127.0.0.0/8 must be on the loopback device before anything can listen there. */
function haveAddresses(addresses: readonly string[]): void {
  for (const address of addresses) {
    if (address.startsWith("127.") || had.has(address)) continue;
    had.add(address);
    const tool = spawn("ip", ["address", "add", `${address}/32`, "dev", "lo"], { stdio: "ignore" });
    tool.once("error", () => undefined); // without iproute2 only the lab's own addresses are there
    tool.once("exit", listenAsWanted);
  }
}

function listenAsWanted(): void {
  const keys = new Map(wanted.map((row) => [`${row.address}:${String(row.port)}`, row]));
  for (const [key, server] of listeners)
    if (!keys.has(key)) {
      listeners.delete(key);
      server.close();
    }
  for (const [key, { address, port }] of keys) {
    if (listeners.has(key)) continue;
    const server = createServer({ allowHalfOpen: true }, (socket) =>
      join(socket, toLab(JSON.stringify({ address, port }))),
    );
    listeners.set(key, server);
    server.once("error", () => {
      if (listeners.get(key) !== server) return;
      listeners.delete(key);
      setTimeout(listenAsWanted, againMs);
    });
    server.listen({ host: address, port, exclusive: true });
  }
}

function toLab(header: string): Socket {
  const socket = connect({ path: bridge, allowHalfOpen: true });
  socket.write(`${header}\n`);
  return socket;
}

/** A service on all addresses, or on one that others see, answers; one on 127.0.0.1 alone does not. */
async function dialIn(id: number, port: number): Promise<void> {
  for (const host of own) {
    const service = await tryConnect(host, port);
    if (service === undefined) continue;
    return join(service, toLab(JSON.stringify({ dialled: id })));
  }
  toLab(JSON.stringify({ dialled: id, refused: true })).on("error", () => undefined);
}

function tryConnect(host: string, port: number): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, allowHalfOpen: true });
    socket.once("connect", () => resolve(socket));
    socket.on("error", () => {
      socket.destroy();
      resolve(undefined);
    });
  });
}

function join(one: Socket, other: Socket): void {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    from.on("error", () => to.destroy());
    from.on("close", () => to.destroySoon());
    from.pipe(to);
  }
}
