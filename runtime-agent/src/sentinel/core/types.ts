/**
 * What the Sentinel remembers, and the words of its pure core. Instants named `…Ms` are Unix milliseconds unless they say
 * monotonic; durations are milliseconds.
 */
import type { Heartbeat, RunReport, RunState } from "../../../../components/shared/signals/protocol.ts";
import type { JSONType } from "zod";
import type { AgentKind, SizeProposal, VpsSize } from "../../../../components/shared/vps/sizing.ts";

/** Where an agent's server was made, for whoever is to delete it. */
export interface Provider {
  readonly kind: "proxmox" | "lightsail";
  /** The provider's own name of the server: a VM's number, an instance's name. */
  readonly id: string;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** How to reach an agent's server when HTTP does not. */
export interface SshTarget {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** Its public host key, `ssh-ed25519 AAAA…`: another one is refused. */
  readonly hostKey: string;
}

/** Why an agent's server is to be deleted. */
export type HandOver = "unregistered" | "expired" | "farewell";

/** One agent of the registry. */
export interface AgentRecord {
  readonly name: string;
  /** Of this registration, 32 hexadecimal digits: a later agent of the same name has another. Empty in older journals. */
  readonly id: string;
  readonly kind: AgentKind;
  readonly size: VpsSize;
  readonly mode: "job" | "resident";
  readonly idempotent: boolean;
  readonly address?: Address;
  readonly provider?: Provider;
  readonly createdMs: number;
  /** When its server's time to live ends. */
  readonly expiresMs: number;
  /** The key of this life: 64 hexadecimal digits. It never leaves the Sentinel but in the answer that minted it. */
  readonly key: string;
  /** Counts the keys that were the agent's: a new server of the same agent is a new life. */
  readonly life: number;
  /** A key that is not used by then is void. */
  readonly registerBeforeMs: number;
  /**
   * Minted for the server that is to take the registered one's place: the first registration with it makes it the
   * agent's key. Until then `key` is good as ever, so that one that is never used changes nothing.
   */
  readonly pending?: {
    readonly key: string;
    readonly registerBeforeMs: number;
    /** Where that server will be; as `provider`, where nobody said it. Until it registers both places are the agent's. */
    readonly provider?: Provider;
  };
  /** The one instance that this life's key is bound to. */
  readonly registered?: {
    readonly instance: string;
    readonly address: Address;
    /** The way that the server itself named, by the channel that its key secures: its host key is pinned by it. */
    readonly ssh?: SshTarget;
    readonly idempotent: boolean;
    readonly version: string;
    readonly atMs: number;
  };
  /** A larger server, proposed and not yet applied. */
  readonly proposal?: SizeProposal;
  /** Set once and for this life: from here on its server is the reaper's. */
  readonly handedOver?: { readonly why: HandOver; readonly atMs: number };
}

/** A JSON text that the state holds itself when it is short, or that lies in a file of its own; `bytes` either way. */
export type Body = { readonly bytes: number } & ({ readonly json: string } | { readonly file: string });

export type EndState = Exclude<RunState, "queued" | "running">;

/** The end of a run as it is remembered; the whole report is a `Body`. */
export interface RunEnd {
  readonly state: EndState;
  readonly reason: string | null;
  readonly atMs: number;
  /** The runner's report; undefined for an end that the Sentinel itself declared. */
  readonly report?: Body;
}

/**
 * One signal and its run.
 *
 * `waiting` for its turn or for an answer → `handed` (the runner has answered for it) → `ended`. `dead`: given up, until a
 * person asks again.
 */
export interface Run {
  readonly runId: string;
  readonly agent: string;
  readonly key: string;
  /** SHA-256 of the payload's JSON, hex. */
  readonly digest: string;
  readonly payload?: Body;
  readonly acceptedMs: number;
  /** Place in its agent's line. */
  readonly order: number;
  readonly phase: "waiting" | "handed" | "ended" | "dead";
  /** Tries to deliver it since it was accepted or asked for again. */
  readonly attempts: number;
  /** Time of the newest signature, Unix seconds: the next one is strictly newer. */
  readonly sentSec: number;
  /** Tries whose outcome nobody knows: while there is one, an instance may have begun it. */
  readonly doubts: number;
  /** Why it is dead, or why the last try failed. */
  readonly reason?: string;
  readonly end?: RunEnd;
}

/** What a runner said last, and when by the monotonic clock. Not journaled: it is worth nothing after a restart. */
export interface Heard {
  readonly atMs: number;
  readonly heartbeat?: Heartbeat;
}

export type { Heartbeat, RunReport, SizeProposal };

/** What is journaled. Each line says how something is, not what is added to it: reading one twice does no harm. */
export type Line =
  | { readonly kind: "agent"; readonly agent: AgentRecord }
  | { readonly kind: "agent-gone"; readonly name: string }
  | { readonly kind: "run"; readonly run: Run }
  /** What changed of a run; all of it but its payload may. */
  | { readonly kind: "step"; readonly runId: string; readonly step: RunStep }
  | { readonly kind: "run-gone"; readonly runId: string }
  | { readonly kind: "kept"; readonly extension: string; readonly value: JSONType };

export type RunStep = Partial<Pick<Run, "order" | "phase" | "attempts" | "sentSec" | "doubts" | "reason" | "end">>;
