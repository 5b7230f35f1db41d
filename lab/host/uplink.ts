// The machines' network, in user space: each machine's namespace has none of its own, so its supervisor listens inside for
// the addresses that it may reach, the lab outside for its ports that are opened, and a bridge lies between them. TCP alone.
// What a machine serves on all of its addresses it cannot reach at another one under the same port: to its kernel all of
// 127.0.0.0/8 is itself. (The Sentinel and a runner have different ports.)
import type { Server, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { Bridge } from "./bridge.ts";
import type { Reachable } from "./bridge.ts";
import { FlowFaults, closed, connected, join, listening } from "./flows.ts";
import type { LabNetwork } from "./network.ts";

/** What may be reached; nothing else can be, but for SSH. */
export interface UplinkRules {
  /** Ports of machines that answer at the machine's address of the lab's network. Without `machine`: on every one. */
  open: readonly { machine?: string; port: number }[];
  /**
   * What machines may connect to: another machine by name or address, `*` for all others, `outside` for programs of this
   * computer that listen at the network's outside address. Without `from`: any machine.
   */
  reach: readonly { from?: string; to: string; port: number }[];
}

export interface UplinkMachine {
  name: string;
  /** Its address in the lab's network. */
  address: string | undefined;
  /** Addresses that its own configuration gives it. */
  addresses: readonly string[];
  root: string;
  /** Port of its SSH server on 127.0.0.1. */
  sshPort: number;
  /** Starts its supervisor, if it does not run. */
  wake: () => void;
  /** Ports that its provider's firewall lets in, beside those of the rules; without 22 SSH is closed. @default no firewall */
  firewall?: readonly number[];
}

interface Attached {
  machine: UplinkMachine;
  bridge: Bridge;
  doors: Map<number, Server>;
  flows: Set<Duplex>;
}

/** Connections of one machine at a time. */
const mostFlows = 256;
const mostReachable = 512;

export class Uplink {
  readonly faults = new FlowFaults();
  readonly #network: LabNetwork | undefined;
  readonly #attached = new Map<string, Attached>();
  #rules: UplinkRules;
  /** Changes one after the other: a door is neither opened twice nor left open. */
  #turn: Promise<void> = Promise.resolve();

  constructor(network: LabNetwork | undefined, rules: UplinkRules) {
    this.#network = network;
    this.#rules = rules;
  }

  get rules(): UplinkRules {
    return this.#rules;
  }

  set(rules: UplinkRules): Promise<void> {
    this.#rules = rules;
    return this.#applyAll();
  }

  /** Ports of a machine that are open, and where. */
  openOf(key: string): { port: number; host: string }[] {
    const attached = this.#attached.get(key);
    const host = attached?.machine.address;
    if (attached === undefined || host === undefined) return [];
    return [...attached.doors.keys()].sort((a, b) => a - b).map((port) => ({ port, host }));
  }

  async attach(key: string, machine: UplinkMachine): Promise<void> {
    if (process.platform !== "linux") return;
    const bridge = await Bridge.open(machine.root, machine.wake, (socket, to) => void this.#out(attached, socket, to));
    const attached: Attached = { machine, bridge, doors: new Map(), flows: new Set() };
    this.#attached.set(key, attached);
    await this.#applyAll();
  }

  /** Gives a machine another address, or other ports in its firewall. True when something changed. */
  async move(key: string, place: { address: string | undefined; firewall: readonly number[] }): Promise<boolean> {
    const attached = this.#attached.get(key);
    if (attached === undefined) return false;
    const { address, firewall } = attached.machine;
    if (address === place.address && String(firewall) === String(place.firewall)) return false;
    if (address !== place.address)
      for (const [port, door] of attached.doors) {
        attached.doors.delete(port);
        closed(door);
      }
    attached.machine = { ...attached.machine, ...place };
    await this.#applyAll();
    return true;
  }

  async detach(key: string): Promise<void> {
    const attached = this.#attached.get(key);
    if (attached === undefined) return;
    this.#attached.delete(key);
    for (const socket of attached.flows) socket.destroy();
    await this.#turn;
    for (const door of attached.doors.values()) closed(door);
    attached.bridge.close();
    await this.#applyAll();
  }

  /** Breaks all connections off, or those of one machine. */
  cut(name?: string): void {
    for (const { machine, flows } of this.#attached.values())
      if (name === undefined || machine.name === name) for (const socket of flows) socket.destroy();
  }

  async close(): Promise<void> {
    for (const key of [...this.#attached.keys()]) await this.detach(key);
  }

  /** Whether the host's SSH may forward there: to SSH of any machine, and to ports that are open. */
  mayForward(address: string, port: number): boolean {
    const target = this.#machineAt(address);
    return target !== undefined && (port === 22 || target.doors.has(port));
  }

  /** Joins a connection with a machine's port, or a program's outside; closes it where nobody answers. */
  async forward(socket: Duplex, address: string, port: number): Promise<void> {
    const target = this.#machineAt(address);
    if (target !== undefined) return this.#into(target, socket, port);
    if (address !== this.#network?.outside) return void socket.destroy();
    return this.#through([], socket, "outside", port, () => connected(address, port));
  }

  #into(target: Attached, socket: Duplex, port: number): Promise<void> {
    const { machine, bridge } = target;
    const ssh = port === 22 || port === this.#network?.sshPort;
    return this.#through([target], socket, machine.name, port, () =>
      ssh ? connected("127.0.0.1", machine.sshPort) : bridge.dial(port),
    );
  }

  async #out(from: Attached, socket: Socket, to: Reachable): Promise<void> {
    const target = this.#machineAt(to.address);
    const name = target?.machine.name ?? "outside";
    await this.#through(target === undefined ? [from] : [from, target], socket, name, to.port, () => {
      if (target === undefined) return connected(to.address, to.port);
      return to.port === 22 ? connected("127.0.0.1", target.machine.sshPort) : target.bridge.dial(to.port);
    });
  }

  async #through(
    counted: readonly Attached[],
    socket: Duplex,
    name: string,
    port: number,
    reach: () => Promise<Socket | undefined>,
  ): Promise<void> {
    const fault = this.faults.take(name, port);
    if (fault?.kind === "refuse" || counted.some(({ flows }) => flows.size >= mostFlows)) return void socket.destroy();
    const note = (end: Duplex): void => {
      for (const { flows } of counted) {
        flows.add(end);
        end.once("close", () => flows.delete(end));
      }
    };
    note(socket);
    if (fault?.kind === "delay") await new Promise((resolve) => setTimeout(resolve, fault.delayMs ?? 1000));
    const other = await reach();
    if (other === undefined || socket.destroyed) {
      socket.destroy();
      other?.destroy();
      return;
    }
    note(other);
    join(socket, other, fault);
  }

  #machineAt(address: string): Attached | undefined {
    return [...this.#attached.values()].find(({ machine }) => addressesOf(machine).includes(address));
  }

  #applyAll(): Promise<void> {
    this.#turn = this.#turn.then(async () => {
      for (const attached of this.#attached.values()) await this.#apply(attached);
    });
    return this.#turn;
  }

  async #apply(attached: Attached): Promise<void> {
    const { machine, doors, bridge } = attached;
    bridge.order({ own: addressesOf(machine), reach: this.#reachOf(machine) });
    const { address } = machine;
    if (address === undefined) return;
    const asked = this.#rules.open.filter((rule) => rule.machine === undefined || rule.machine === machine.name);
    const ssh = this.#network?.sshPort ?? 0;
    const { firewall } = machine;
    const sshOpen = ssh !== 0 && (firewall === undefined || firewall.includes(22));
    // Below 1024 only root may listen; 22 is at the lab's own port for it.
    const letIn = (firewall ?? []).filter((port) => port >= 1024);
    const wanted = new Set([...asked.map((rule) => rule.port), ...letIn, ...(sshOpen ? [ssh] : [])]);
    for (const [port, door] of doors) {
      if (wanted.has(port)) continue;
      doors.delete(port);
      closed(door);
    }
    for (const port of wanted) {
      if (doors.has(port)) continue;
      try {
        doors.set(
          port,
          await listening(
            { host: address, port, exclusive: true },
            (socket) => void this.#into(attached, socket, port),
          ),
        );
      } catch {
        // Another program of this computer has the port on all addresses; lab.json names only what is open.
      }
    }
  }

  #reachOf(machine: UplinkMachine): Reachable[] {
    const found = this.#rules.reach
      .filter(({ from }) => from === undefined || from === machine.name)
      .flatMap(({ to, port }) => this.#named(to, machine).map((address) => ({ address, port })));
    return [...new Map(found.map((row) => [`${row.address}:${row.port}`, row])).values()].slice(0, mostReachable);
  }

  #named(to: string, asking: UplinkMachine): readonly string[] {
    if (to === "outside") return this.#network === undefined ? [] : [this.#network.outside];
    const others = [...this.#attached.values()].map((entry) => entry.machine).filter((machine) => machine !== asking);
    return others
      .filter((machine) => to === "*" || to === machine.name || addressesOf(machine).includes(to))
      .flatMap((machine) => (/^[\d.]+$/.test(to) ? [to] : addressesOf(machine)));
  }
}

function addressesOf({ address, addresses }: UplinkMachine): readonly string[] {
  return address === undefined ? addresses : [address, ...addresses];
}
