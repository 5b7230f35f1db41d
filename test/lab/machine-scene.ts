// Machines of the lab without a Proxmox API: what their units, their network and their accounts are tested on.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { forgetMachine, openMachine } from "../../lab/host/machine.ts";
import type { Machine, MachinesOptions } from "../../lab/host/machine.ts";
import { openNetwork } from "../../lab/host/network.ts";
import type { LabNetwork } from "../../lab/host/network.ts";
import { Ports } from "../../lab/host/ports.ts";
import { ensureKeyPair } from "../../lab/host/keys.ts";
import { Uplink } from "../../lab/host/uplink.ts";
import { run } from "./host-client.ts";
import type { Ran } from "./host-client.ts";

export interface Scene {
  uplink: Uplink;
  network: LabNetwork | undefined;
  /** Why commands cannot run here. */
  limitation: string | undefined;
  boot: (name: string, number: number) => Promise<Machine>;
  shell: (machine: Machine, command: string) => Promise<Ran>;
  file: (machine: Machine, path: string, text: string, mode?: number) => void;
  forget: (name: string) => void;
  close: () => Promise<void>;
}

export async function openScene(): Promise<Scene> {
  const stateDir = mkdtempSync(join(tmpdir(), "lab-machines-"));
  const ports = new Ports(stateDir);
  const network = await openNetwork(ports);
  const uplink = new Uplink(network, { open: [], reach: [] });
  const client = ensureKeyPair(join(stateDir, "keys"), "client");
  const common: MachinesOptions = { stateDir, ports, labPublicKey: client.publicKey, uplink };
  const running = new Set<Machine>();
  const boot = async (name: string, number: number): Promise<Machine> => {
    const address = network?.guestAddress(number);
    const machine = await openMachine(common, { key: name, name, users: [], address, addresses: [`10.9.0.${number}`] });
    running.add(machine);
    return { ...machine, close: () => (running.delete(machine), machine.close()) };
  };
  const probe = await boot("probe", 1);
  const limitation = probe.sandbox.kind === "unavailable" ? probe.sandbox.reason : undefined;
  await probe.close();
  return {
    ...{ uplink, network, limitation, boot },
    shell: (machine, command) => run({ port: machine.port, privateKey: client.privateKey }, command),
    file: (machine, path, text, mode = 0o644) => {
      mkdirSync(dirname(join(machine.root, path)), { recursive: true });
      writeFileSync(join(machine.root, path), text, { mode });
    },
    forget: (name) => forgetMachine(common, name),
    close: async () => {
      for (const machine of running) await machine.close();
      await uplink.close();
      await network?.close();
      rmSync(stateDir, { recursive: true, force: true });
    },
  };
}

/** Waits until `holds`, however slow the machine is; the last thing seen is in the error. */
export async function eventually<Seen>(
  look: () => Promise<Seen> | Seen,
  holds: (seen: Seen) => boolean,
): Promise<Seen> {
  for (const giveUp = Date.now() + 30_000; ;) {
    const seen = await look();
    if (holds(seen)) return seen;
    if (Date.now() > giveUp) throw new Error(`not within 30 s; last seen: ${JSON.stringify(seen)}`);
    await sleep(50);
  }
}
