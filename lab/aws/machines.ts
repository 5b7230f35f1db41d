// The servers behind the API: each instance that runs is a machine of the lab, and goes with the instance.
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { forgetMachine, openMachine, runInside } from "../host/machine.ts";
import type { Machine, MachinesOptions } from "../host/machine.ts";
import { userNameOf } from "./catalog.ts";
import { settled } from "./context.ts";
import type { AwsStore, Instance, PortInfo } from "./state.ts";

export interface ReachableServer {
  name: string;
  host: "127.0.0.1";
  port: number;
  users: string[];
  hostPublicKey: string;
  /** Its public address, which a static one may have taken the place of. */
  address: string;
  open: { host: string; port: number }[];
  /** Why no commands run on it; absent where they do. */
  limitation?: string;
}

/** Ports of one rule that are really opened: a range of thousands is not. */
const mostOfRange = 64;

export class Servers {
  readonly #common: MachinesOptions;
  readonly #store: AwsStore;
  readonly #onChange: () => void;
  readonly #open = new Map<string, { machine: Machine; instance: Instance }>();
  #turn: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(common: MachinesOptions, store: AwsStore, onChange: () => void) {
    this.#common = common;
    this.#store = store;
    this.#onChange = onChange;
  }

  list(): ReachableServer[] {
    return [...this.#open.values()]
      .map(({ machine, instance }) => ({
        ...{ name: instance.name, host: "127.0.0.1" as const, port: machine.port, users: machine.users },
        ...{ hostPublicKey: machine.hostPublicKey, address: instance.publicIp },
        open: this.#common.uplink.openOf(keyOf(instance)),
        ...(machine.sandbox.kind === "unavailable" ? { limitation: machine.sandbox.reason } : {}),
      }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** What Lightsail would have witnessed at the boot. */
  readonly hostKeyOf = (instance: Instance): string | undefined =>
    this.#open.get(keyOf(instance))?.machine.hostPublicKey;

  /** Removes what a lab that was killed left of servers that had been deleted. */
  sweep(): void {
    const roots = join(this.#common.stateDir, "roots");
    const live = new Set(Object.values(this.#store.state.instances).map(keyOf));
    for (const key of existsSync(roots) ? readdirSync(roots) : [])
      if (/^server-\d+$/.test(key) && !live.has(key)) forgetMachine(this.#common, key);
  }

  /** Makes the machines what the instances are by now, and looks again when the next one is due. */
  refresh(): Promise<void> {
    this.#turn = this.#turn.then(() => this.#look());
    return this.#turn;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#turn;
    await Promise.all([...this.#open.values()].map(({ machine }) => machine.close()));
    this.#open.clear();
  }

  async #look(): Promise<void> {
    if (this.#closed) return;
    const now = Date.now();
    const wanted = Object.values(this.#store.state.instances).map((instance) => settled(instance, now));
    let changed = false;
    for (const [key, open] of this.#open) {
      const instance = wanted.find((entry) => keyOf(entry) === key);
      if (instance?.state === "running") continue;
      this.#open.delete(key);
      await open.machine.close();
      if (instance === undefined) forgetMachine(this.#common, key);
      changed = true;
    }
    for (const instance of wanted.filter((entry) => entry.state === "running")) {
      const key = keyOf(instance);
      if (!this.#open.has(key)) this.#open.set(key, { machine: await this.#boot(instance), instance });
      const place = { address: this.#addressOf(instance), firewall: portsOf(instance.ports) };
      changed = (await this.#common.uplink.move(key, place)) || changed;
    }
    const due = Math.min(...wanted.map(({ settlesMs }) => settlesMs).filter((at) => at > now));
    clearTimeout(this.#timer);
    if (due !== Infinity) this.#timer = setTimeout(() => void this.refresh(), due - now + 1);
    if (changed) this.#onChange();
  }

  async #boot(instance: Instance): Promise<Machine> {
    const users = [
      { name: userNameOf(instance.blueprintId), keys: instance.publicKey === "" ? [] : [instance.publicKey] },
    ];
    const machine = await openMachine(this.#common, {
      ...{ key: keyOf(instance), name: instance.name, users, addresses: [] },
      ...{ address: this.#addressOf(instance), firewall: portsOf(instance.ports) },
    });
    firstBoot(machine, instance.userData);
    return machine;
  }

  #addressOf({ publicIp }: Instance): string | undefined {
    return publicIp.startsWith("127.") ? publicIp : undefined;
  }
}

/** A name may come again for another server: the number does not. */
function keyOf(instance: Instance): string {
  return `server-${instance.number}`;
}

function portsOf(ports: readonly PortInfo[]): number[] {
  return ports
    .filter(({ protocol }) => protocol === "tcp" || protocol === "all")
    .flatMap(({ fromPort, toPort }) =>
      Array.from({ length: Math.min(toPort - fromPort + 1, mostOfRange) }, (_, index) => fromPort + index),
    );
}

/** The launch script runs once, as root; cloud-init's own files say when it has ended and what it wrote. */
function firstBoot(machine: Machine, userData: string): void {
  const folder = join(machine.root, "var/lib/cloud/instance");
  if (existsSync(join(folder, "user-data.txt"))) return;
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "user-data.txt"), userData, { mode: 0o700 });
  const run = userData === "" ? "" : "sh /var/lib/cloud/instance/user-data.txt >/var/log/cloud-init-output.log 2>&1; ";
  runInside(machine.sandbox, `${run}: >/var/lib/cloud/instance/boot-finished`);
}
