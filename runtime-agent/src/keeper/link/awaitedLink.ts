/**
 * The arbiter's end of the link, opened beside everything else: its address may belong to a network that is not up yet,
 * and a grant never waits for a network. Until it listens the host is not heard, which is the strict side already.
 */
import type { Clock } from "../../shared/clock.ts";
import { textOf } from "../processes/errors.ts";
import type { ArbiterLink, ArbiterLinkOptions } from "./arbiterLink.ts";
import { listenForHost } from "./arbiterLink.ts";

export interface AwaitedLink {
  /** Undefined until it listens. */
  readonly link: ArbiterLink | undefined;
  /** Why the last try failed; undefined when none did, or when it listens. */
  readonly fault: string | undefined;
  close(): Promise<void>;
}

export interface AwaitedLinkOptions extends ArbiterLinkOptions {
  readonly clock: Clock;
  /** The first try failed. Those after it are told by `fault` alone. */
  readonly onRefused: (reason: string) => void;
  /** It listens, after tries that failed. */
  readonly onListening: () => void;
}

/** Pause after the first try that failed, and the longest one, ms; each is twice the one before. */
const firstPauseMs = 250;
const longestPauseMs = 10_000;

/** Listens for the host side as soon as it can. Returns at once and never fails. */
export function awaitLink(options: AwaitedLinkOptions): AwaitedLink {
  const over = new AbortController();
  let link: ArbiterLink | undefined;
  let fault: string | undefined;

  async function open(): Promise<void> {
    for (let pauseMs = firstPauseMs; !over.signal.aborted; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
      try {
        link = await listenForHost(options);
        if (fault !== undefined) options.onListening();
        fault = undefined;
        return;
      } catch (error) {
        const first = fault === undefined;
        fault = textOf(error);
        if (first) options.onRefused(fault);
      }
      await options.clock.sleep(pauseMs, over.signal);
    }
  }
  const opened = open();

  return {
    get link() {
      return link;
    },
    get fault() {
      return fault;
    },
    async close() {
      over.abort();
      await opened;
      await link?.close();
    },
  };
}
