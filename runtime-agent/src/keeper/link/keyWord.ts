/**
 * What handshakes say of the link's key. A wrong one is told to people and is no fault of either side's health: while a
 * key is changed, one side has the new one before the other.
 */
import type { LinkEvent } from "./arbiterLink.ts";

export interface KeyWord {
  take(event: LinkEvent): void;
  /** Undefined when the last handshake succeeded, or failed for another reason. */
  fault(): string | undefined;
}

/** How OpenSSL names a peer that has another key, at the end that notices and at the end that is told. */
const anotherKey = /BAD_RECORD_MAC|DECRYPT/;
const words = "the other side has another key of the link: give both the same pskFile and restart them";

/** `onFault` is told once, when it begins. */
export function createKeyWord(onFault: (fault: string) => void): KeyWord {
  let wrong = false;
  return {
    take(event) {
      const was = wrong;
      // The arbiter says "handshake: …" of a host side that it refuses, the host side that the connection was lost.
      wrong = event.kind !== "connected" && anotherKey.test(event.reason);
      if (wrong && !was) onFault(words);
    },
    fault: () => (wrong ? words : undefined),
  };
}
