/** What the reaper sees and does; each provider has one adapter. */
import type { ServerTags } from "../../../../components/shared/vps/tags.ts";
import type { Provider } from "../core/types.ts";

export type ProviderKind = Provider["kind"];

/** A server with our tags, every one of them in order. */
export interface ServerSeen {
  readonly provider: ProviderKind;
  /** The provider's own name: a VM's number, an instance's name. */
  readonly id: string;
  /** What people call it. */
  readonly name: string;
  readonly tags: ServerTags;
}

/** What is where our servers are, or calls itself one, and lacks a tag: it is told, and never touched. */
export interface Stranger {
  readonly id: string;
  readonly why: string;
}

export interface Seen {
  readonly servers: readonly ServerSeen[];
  readonly strangers: readonly Stranger[];
}

/** A provider's newest complete answer. */
export interface Look {
  /** When it was asked, monotonic ms. */
  readonly atMs: number;
  readonly servers: readonly ServerSeen[];
  /** Ids of what lacks one of our tags: one of them may be an agent's server all the same. */
  readonly strangers: readonly string[];
}

export interface ServerProvider {
  readonly kind: ProviderKind;
  /** Where it looks, where the provider has such: what is elsewhere it cannot see. */
  readonly region?: string;
  /** All of our servers there; throws when it cannot see every one: half a view would be worse than none. */
  look(): Promise<Seen>;
  /**
   * Deletes a server, if it still carries the tags that it was seen with; `gone` when it is there no more. Throws when
   * it is another one by now, or cannot be deleted.
   */
  remove(server: ServerSeen): Promise<"deleted" | "gone">;
  close(): void;
}
