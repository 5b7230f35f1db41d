/**
 * The contract of the host side's pure core. As in the arbiter's: `monotonicMs` measures durations, `wallMs` (Unix
 * milliseconds) is for calendars only, and the same observations give the same decisions.
 */

/** What the configuration says of one guest. */
export interface GuestRule {
  readonly vmid: number;
  /** Free text; roles in `HostPolicy.marketRoles` are paused while the market is open. */
  readonly role: string;
  /** 1 is the most important: started first, stopped last. */
  readonly priority: number;
  /** Kept running, and never stopped to make room. */
  readonly essential: boolean;
  /** Floor of its balloon, MiB; its whole memory when it must not shrink. */
  readonly balloonMinMiB: number;
  /** Whether the GPU may be handed to it. */
  readonly gpuContender: boolean;
}

/** One guest as Proxmox shows it now. */
export interface GuestSeen {
  readonly vmid: number;
  readonly kind: "qemu" | "lxc";
  readonly status: "running" | "paused" | "stopped";
  /** Memory it may have, MiB. */
  readonly maxMiB: number;
  /** Memory that its balloon leaves it now, MiB. */
  readonly balloonMiB: number;
  readonly usedMiB: number;
  /** Load as a fraction of its own CPUs. */
  readonly cpu: number;
  /** Lock that another operation holds, such as `backup` or `migrate`. */
  readonly lock?: string;
  /** Passed-through PCI devices by slot: `{ hostpci0: "mapping=gpu,pcie=1" }`. What is pending counts. */
  readonly devices: Readonly<Record<string, string>>;
  /** Whether its balloon device exists: `balloon: 0` removes it. */
  readonly ballooning: boolean;
  /** Whether the guest agent answers; undefined when none is configured or nobody asked. */
  readonly agent?: boolean;
}

export interface MemorySeen {
  readonly totalMiB: number;
  /** MemAvailable. */
  readonly availableMiB: number;
  /** Share of the last 10 s in which some task waited for memory, percent (/proc/pressure/memory). */
  readonly stalledPercent?: number;
}

/** What the link says now. */
export interface ArbiterSeen {
  /** The VM whose arbiter this is. */
  /** The VM that it lives in; null where it is on this host: no card can be moved then. */
  readonly vmid: number | null;
  /** Whether it answered within the last seconds. */
  readonly heard: boolean;
  readonly answer?:
    | { readonly id: string; readonly token: number; readonly untilMs: number }
    | { readonly id: string; readonly refused: string };
  /** Handoffs whose release it has confirmed as taken back. @default none */
  readonly takenBack?: readonly string[];
}

/** What somebody asked for, or how an action ended. */
export type HostEvent =
  | { readonly kind: "done"; readonly action: string; readonly ok: boolean; readonly reason?: string }
  /** The administrator's wish; `none` gives the guest back to the policy. */
  | { readonly kind: "want"; readonly vmid: number; readonly state: "running" | "stopped" | "paused" | "none" }
  | { readonly kind: "kill"; readonly vmid: number }
  | { readonly kind: "handoff"; readonly id: string; readonly toVmid: number };

export interface HostObservation {
  readonly monotonicMs: number;
  readonly wallMs: number;
  readonly marketOpen: boolean;
  /** Time until the market opens, ms; 0 while it is open, Infinity when that is further away than anybody looked. */
  readonly marketOpensInMs: number;
  /** Undefined while Proxmox does not answer: then nothing is decided about guests. */
  readonly guests: readonly GuestSeen[] | undefined;
  readonly memory: MemorySeen | undefined;
  readonly arbiter: ArbiterSeen | undefined;
  readonly events: readonly HostEvent[];
}

/** What the shell must do. Every action may be asked again after a crash: carrying it out twice does no harm. */
export type HostAction = { readonly id: string; readonly vmid: number; readonly reason: string } & (
  | { readonly kind: "start" }
  /** Asks the guest to power off; never ends it by force. */
  | { readonly kind: "shutdown"; readonly timeoutSec: number }
  /** Ends it at once, as pulling the plug does. */
  | { readonly kind: "stop" }
  | { readonly kind: "suspend" }
  | { readonly kind: "resume" }
  | { readonly kind: "balloon"; readonly targetMiB: number }
  | { readonly kind: "detach"; readonly slot: string; readonly device: string }
  | { readonly kind: "attach"; readonly slot: string; readonly device: string }
  /** Asks the arbiter of this VM for the GPU. */
  | { readonly kind: "ask"; readonly plan: string }
);

/** One line of the journal: what was decided and why. */
export interface HostDecision {
  readonly what: string;
  readonly vmid?: number;
  readonly reason: string;
}
