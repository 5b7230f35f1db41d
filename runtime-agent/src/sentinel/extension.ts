/**
 * The port by which watchdogs, schedule, reaper and OOM bookkeeping stand beside the delivery of signals: observations
 * go in, actions come out. An extension does its own I/O and never waits inside `turn`.
 */
import type { JSONType } from "zod";
import type { SentinelConfig } from "../../../components/shared/agent/sentinelConfig.ts";
import type { Route } from "../shared/localApi/index.ts";
import type { AgentRecord, Heard, RunReport, SizeProposal } from "./core/types.ts";

/** An agent as extensions see it: its keys are only named. */
export type AgentView = Omit<AgentRecord, "key" | "pending"> & {
  /** Of the key in use: see `keyId`. */
  readonly keyId: string;
  /** Of the key for the server that is to take the present one's place, until when it is good, Unix ms, and its place. */
  readonly pending?: Omit<NonNullable<AgentRecord["pending"]>, "key"> & { readonly keyId: string };
  /** Whether its lease holds: it registered, and was heard within `leases.validSec`. */
  readonly alive: boolean;
  /** What its runner said last, with the monotonic time; undefined when it said nothing since this start. */
  readonly heard?: Heard;
};

/** What happened since the last turn, oldest first. */
export type News =
  | { readonly kind: "registered"; readonly agent: string }
  | { readonly kind: "heartbeat"; readonly agent: string; readonly heard: Heard }
  /** The runner's report of a run that is at its end; told once for each run. */
  | { readonly kind: "result"; readonly agent: string; readonly report: RunReport }
  | { readonly kind: "farewell"; readonly agent: string }
  | { readonly kind: "dead-letter"; readonly agent: string; readonly runId: string; readonly reason: string }
  /** The agent left the registry: by its stack, or by the reaper. */
  | { readonly kind: "removed"; readonly agent: string };

export interface ExtensionView {
  readonly monotonicMs: number;
  readonly wallMs: number;
  readonly agents: readonly AgentView[];
  readonly news: readonly News[];
}

/** What an extension asks of the Sentinel. Journaled before it takes effect; asking twice does no harm. */
export type ExtensionAction =
  /** `undefined` takes a proposal back. A person applies it: `hive agent resize`. */
  | { readonly kind: "propose-size"; readonly agent: string; readonly proposal: SizeProposal | undefined }
  /** As `POST /agents/:name/signals`: the same key is the same run. What is refused is logged. */
  | { readonly kind: "signal"; readonly agent: string; readonly key: string; readonly payload: JSONType }
  /** The server that was handed over (`handedOver` is set) is gone: the agent leaves the registry. */
  | { readonly kind: "reaped"; readonly agent: string; readonly life: number }
  /** Replaces what this extension is given back after a restart. Small: it is part of every snapshot. */
  | { readonly kind: "keep"; readonly value: JSONType };

export interface Extension {
  /** Unique; names what it keeps, and its part of the status. */
  readonly name: string;
  /** Called once, before the first turn, with what it kept. */
  start(kept: JSONType | undefined): void;
  /** Called once a second at least, and soon after news. Throws nothing; must return at once. */
  turn(view: ExtensionView): readonly ExtensionAction[];
  /**
   * Called once for each action with the status of its answer: below 300 what it asked for is on the disk, so that what
   * only may be done then can be begun; from 500 on it may be asked for again; else it was refused.
   */
  settled?(action: ExtensionAction, status: number): void;
  /** Its part of `GET /status`. */
  status(): unknown;
  /** What is wrong with it; makes the Sentinel unhealthy. */
  fault?(): string | undefined;
  /**
   * Opens what another configuration needs, all of it or it rejects; what it gives takes it over, at once and without
   * fail. Only what {@link SentinelConfig} may change while the Sentinel runs is looked at.
   */
  prepare?(config: SentinelConfig): Promise<() => void>;
  /** Somebody called a heartbeat from outside; false when there is none of this name. */
  beat?(name: string): boolean;
  /** Routes beside the Sentinel's own, for example `GET /watchdogs`. */
  readonly routes?: readonly Route[];
  close(): Promise<void>;
}
