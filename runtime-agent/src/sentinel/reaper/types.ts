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
  /** When it was made, Unix ms, where the provider tells. */
  readonly createdMs?: number;
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

export interface ServerProvider {
  readonly kind: ProviderKind;
  /** All of our servers there; throws when it cannot see every one: half a view would be worse than none. */
  look(): Promise<Seen>;
  /**
   * Deletes a server, if it still carries the tags that it was seen with; `gone` when it is there no more. Throws when
   * it is another one by now, or cannot be deleted.
   */
  remove(server: ServerSeen): Promise<"deleted" | "gone">;
  close(): void;
}
