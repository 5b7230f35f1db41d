/** A host in memory for tests of the pure core: it carries actions out late, fails some, and notes what must not be. */
import type { GuestSeen, HostAction, HostEvent } from "../../runtime-agent/src/keeper/host/core/types.ts";

export interface WorldGuest {
  status: "running" | "paused" | "stopped";
  maxMiB: number;
  balloonMiB: number;
  usedMiB: number;
  cpu: number;
  devices: Record<string, string>;
  /** Whether it obeys a shutdown. */
  obeys: boolean;
  /** Whether its agent answers once it runs. */
  healthy: boolean;
}

export function worldGuest(changes: Partial<WorldGuest> = {}): WorldGuest {
  return {
    status: "running",
    maxMiB: 8192,
    balloonMiB: 8192,
    usedMiB: 2048,
    cpu: 0.01,
    devices: {},
    obeys: true,
    healthy: true,
    ...changes,
  };
}

export class World {
  readonly guests = new Map<number, WorldGuest>();
  readonly wrongs: string[] = [];
  readonly done: HostAction[] = [];
  totalMiB = 131_072;
  /** Whether an action fails now. */
  fails: (action: HostAction) => boolean = () => false;

  seen(): GuestSeen[] {
    return [...this.guests].map(([vmid, guest]) => ({
      vmid,
      kind: "qemu",
      status: guest.status,
      maxMiB: guest.maxMiB,
      balloonMiB: guest.balloonMiB,
      usedMiB: guest.usedMiB,
      cpu: guest.cpu,
      devices: { ...guest.devices },
      ballooning: true,
      agent: guest.status === "running" && guest.healthy,
    }));
  }

  availableMiB(): number {
    let used = 4096;
    for (const guest of this.guests.values()) if (guest.status !== "stopped") used += guest.balloonMiB;
    return this.totalMiB - used;
  }

  /** Carries one action out, as Proxmox would. */
  perform(action: HostAction): HostEvent {
    this.done.push(action);
    const end = (reason?: string): HostEvent =>
      reason === undefined
        ? { kind: "done", action: action.id, ok: true }
        : { kind: "done", action: action.id, ok: false, reason };
    const guest = this.guests.get(action.vmid);
    if (guest === undefined) return end("no such guest");
    if (this.fails(action)) return end("injected");
    switch (action.kind) {
      case "start": {
        if (guest.status !== "stopped") return end();
        const clash = [...this.guests].find(
          ([vmid, other]) =>
            vmid !== action.vmid &&
            other.status !== "stopped" &&
            Object.values(other.devices).some((device) => Object.values(guest.devices).includes(device)),
        );
        if (clash !== undefined) {
          this.wrongs.push(`VM ${String(action.vmid)} started while ${String(clash[0])} holds its device`);
          return end("PCI device already in use");
        }
        guest.status = "running";
        guest.balloonMiB = guest.maxMiB;
        return end();
      }
      case "shutdown":
        if (guest.status !== "stopped" && !guest.obeys) return end("it does not power off");
        guest.status = "stopped";
        return end();
      case "stop":
        guest.status = "stopped";
        return end();
      case "suspend":
        guest.status = "paused";
        return end();
      case "resume":
        guest.status = "running";
        return end();
      case "balloon":
        guest.balloonMiB = action.targetMiB;
        return end();
      case "detach":
        if (guest.status !== "stopped") this.wrongs.push(`detach from running ${String(action.vmid)}`);
        if (guest.devices[action.slot] === action.device) delete guest.devices[action.slot];
        return end();
      case "attach":
        for (const [vmid, other] of this.guests) {
          if (vmid !== action.vmid && Object.values(other.devices).includes(action.device))
            this.wrongs.push(`attached to ${String(action.vmid)} while ${String(vmid)} has it`);
        }
        guest.devices[action.slot] = action.device;
        return end();
      case "ask":
        return end();
    }
  }
}
