/** What comes to the pure core, and what it answers. */
import type { JSONType } from "zod";
import type { Farewell, Heartbeat, Registration } from "../../../../components/shared/signals/protocol.ts";
import type { ExtensionAction, News } from "../extension.ts";
import type { AgentRecord, Body, EndState, Line, Provider, Run, RunReport } from "./types.ts";

/** The configuration as the core needs it; durations in ms. */
export interface Policy {
  readonly leaseMs: number;
  readonly heartbeatMs: number;
  readonly registerWithinMs: number;
  readonly graceMs: number;
  readonly firstMs: number;
  readonly mostMs: number;
  readonly attempts: number;
  readonly askAfterMs: number;
  readonly mostWaiting: number;
  readonly mostWaitingBytes: number;
  readonly historyRuns: number;
  readonly historyMs: number;
  readonly keyMs: number;
  readonly mostKeys: number;
}

/** When, and whatever chance is needed. */
export interface Now {
  readonly monotonicMs: number;
  readonly wallMs: number;
  /** In [0, 1): spreads the tries. */
  readonly random: () => number;
}

export type NewAgent = Omit<AgentRecord, "id" | "createdMs" | "key" | "life" | "registerBeforeMs" | "expiresMs"> & {
  readonly ttlMs: number;
};

/** What the store of keys knows of a run that the state has forgotten. */
export interface KnownKey {
  readonly runId: string;
  /** The first digits of the payload's digest. */
  readonly digest: string;
  readonly state: EndState;
}

export interface NewSignal {
  readonly agent: string;
  readonly key: string;
  readonly digest: string;
  readonly payload: Body;
  /** A new id, from a CSPRNG: taken when the key is new. */
  readonly runId: string;
  readonly known: KnownKey | undefined;
  /** Keys in the store. */
  readonly keys: number;
  /** When the caller made the key, where it says so. */
  readonly issuedMs?: number | undefined;
}

/** How a try to deliver ended. `body` is where the report of an end is kept. But for `taken` and `unknown`, this try has begun nothing at the runner. */
export type Delivery =
  | { readonly kind: "taken"; readonly report: RunReport; readonly body: Body | undefined }
  | { readonly kind: "later" | "unknown" | "never"; readonly reason: string };

/** What a runner says of a run when it is asked. `nothing`: it did not answer. */
export type Answer =
  | { readonly kind: "report"; readonly report: RunReport; readonly body: Body | undefined }
  | { readonly kind: "no-such-run" }
  | { readonly kind: "nothing" };

export type Event =
  /** Key and id are new, 64 and 32 hexadecimal digits from a CSPRNG; a repeated call gets the first ones. */
  | { readonly kind: "new"; readonly agent: NewAgent; readonly key: string; readonly id: string }
  /** `provider`: where the next server will be. @default where the present one is */
  | { readonly kind: "mint"; readonly name: string; readonly key: string; readonly provider?: Provider }
  | { readonly kind: "renew"; readonly name: string; readonly ttlMs: number }
  | { readonly kind: "resize"; readonly name: string; readonly size: string }
  /** With `id` that registration alone: not a later one of the same name. */
  | { readonly kind: "remove"; readonly name: string; readonly id?: string | undefined }
  /** `key`: the one that the caller has proven to know. */
  | { readonly kind: "register"; readonly name: string; readonly key: string; readonly registration: Registration }
  | { readonly kind: "heartbeat"; readonly name: string; readonly heartbeat: Heartbeat }
  | { readonly kind: "farewell"; readonly name: string; readonly key: string; readonly farewell: Farewell }
  /** Sent by the server of the life `life`. */
  | {
      readonly kind: "result";
      readonly name: string;
      readonly life: number;
      readonly report: RunReport;
      readonly body: Body | undefined;
    }
  | { readonly kind: "signal"; readonly signal: NewSignal }
  | { readonly kind: "retry"; readonly runId: string }
  | { readonly kind: "give-up"; readonly runId: string }
  /** How the try that was signed at `sentSec` ended. */
  | {
      readonly kind: "delivered";
      readonly runId: string;
      readonly life: number;
      readonly sentSec: number;
      readonly outcome: Delivery;
    }
  | { readonly kind: "asked"; readonly runId: string; readonly life: number; readonly answer: Answer }
  /** Their keys are in the store. */
  | { readonly kind: "forgotten"; readonly runIds: readonly string[] }
  | {
      readonly kind: "extension";
      readonly name: string;
      readonly action: Exclude<ExtensionAction, { readonly kind: "signal" }>;
    }
  | { readonly kind: "tick"; readonly handOver: boolean };

/** What the shell must do once the lines are on the disk; `cut-off` at once. */
export type Action =
  | { readonly kind: "deliver"; readonly run: Run; readonly agent: AgentRecord }
  | { readonly kind: "ask"; readonly runId: string; readonly agent: AgentRecord }
  /** Write the keys of these runs into the store, then say `forgotten`. */
  | { readonly kind: "forget"; readonly runs: readonly Run[] }
  /** Whoever is connected by an older key of this agent is to be cut off. */
  | { readonly kind: "cut-off"; readonly agent: string };

export interface Reply {
  readonly status: number;
  readonly json: { readonly [key: string]: JSONType | undefined };
}

export interface Outcome {
  readonly lines: readonly Line[];
  readonly actions: readonly Action[];
  readonly news: readonly News[];
  readonly reply: Reply;
}

/** Collects an outcome; lines take effect at once. */
export interface Draft {
  say(line: Line): void;
  do(action: Action): void;
  tell(news: News): void;
}

export function refusal(status: number, error: string, fix: string, limit?: string): Reply {
  return { status, json: { error, ...(limit === undefined ? {} : { limit }), fix } };
}

export const done: Reply = { status: 204, json: {} };
