/** The machines of the host side's campaign: a simulated Proxmox with one card, two VMs that want it, and a worker. */
import { rm } from "node:fs/promises";
import type { RunningProxmox } from "../../../lab/proxmox/index.ts";
import type { LabClient } from "../../support/lab-client.ts";
import { lab, record, rows } from "../../support/lab-client.ts";

/** The VM with the arbiter, the other contender, and one that rests while the market is open. */
export const vms = { ai: 100, district: 102, worker: 103 } as const;
const device = "mapping=gpu,pcie=1";
const asRoot = { root: true } as const;

export interface Machine {
  readonly vmid: number;
  /** What runs: `paused` is a machine that was suspended. */
  readonly run: string;
  readonly lock: string | undefined;
  /** Whether the card's mapping is in its configuration. */
  readonly hasCard: boolean;
}

export interface LabFault {
  readonly kind: "500" | "drop" | "timeout" | "slow-task";
  readonly path?: string;
  readonly method?: "GET" | "POST" | "PUT";
  readonly phase?: "after";
  /** How many calls it hits; without it every one until the faults end. */
  readonly times?: number;
  readonly delayMs?: number;
}

export class HostWorld {
  readonly pve: RunningProxmox;
  readonly #root: LabClient;
  readonly #folder: string;

  private constructor(pve: RunningProxmox, root: LabClient, folder: string) {
    this.pve = pve;
    this.#root = root;
    this.#folder = folder;
  }

  static async open(): Promise<HostWorld> {
    const { pve, client, stateDir } = await lab({ bootDelayMs: 5 });
    const world = new HostWorld(pve, client, stateDir);
    const run = (path: string, params: Record<string, string | number>) => client.run("POST", path, params, asRoot);
    const pci = rows((await client.call("GET", "/nodes/pve/hardware/pci", {}, asRoot)).data);
    const card = pci.find(({ vendor }) => vendor === "0x10de");
    if (card === undefined) throw new Error("the lab has no card");
    const id = `10de:${String(card["device"]).slice(2)}`;
    const map = `node=pve,path=${String(card["id"])},id=${id},iommugroup=${String(card["iommugroup"])}`;
    await run("/cluster/mapping/pci", { id: "gpu", map });
    for (const vmid of Object.values(vms)) {
      const base = { vmid, memory: 2048, agent: "1", ide2: "file=local-zfs:cloudinit,media=cdrom" };
      await run("/nodes/pve/qemu", vmid === vms.ai ? { ...base, hostpci0: device } : base);
      if (vmid !== vms.district) await run(`/nodes/pve/qemu/${String(vmid)}/status/start`, {});
    }
    return world;
  }

  /** How the machines really are, whatever faults the API has. */
  async machines(): Promise<readonly Machine[]> {
    const state = record((await this.#root.call("GET", "/lab/state", {}, asRoot)).data);
    return rows(state["machines"]).map(({ vmid, run, lock, devices }) => ({
      vmid: Number(vmid),
      run: String(run),
      lock: typeof lock === "string" ? lock : undefined,
      hasCard: Array.isArray(devices) && devices.some((line) => String(line).includes("mapping=gpu")),
    }));
  }

  async machine(vmid: number): Promise<Machine> {
    const found = (await this.machines()).find((machine) => machine.vmid === vmid);
    if (found === undefined) throw new Error(`VM ${String(vmid)} is gone`);
    return found;
  }

  async breakApi({ times = 9_999_999, ...fault }: LabFault): Promise<void> {
    const reply = await this.#root.call("POST", "/lab/faults", { ...fault, times }, asRoot);
    if (reply.status !== 200) throw new Error(`no fault: ${reply.message}`);
  }

  async mendApi(): Promise<void> {
    await this.#root.call("DELETE", "/lab/faults", {}, asRoot);
  }

  async close(): Promise<void> {
    await this.pve.close();
    await rm(this.#folder, { recursive: true, force: true });
  }
}
