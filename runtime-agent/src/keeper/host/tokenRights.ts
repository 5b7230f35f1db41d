/**
 * Whether the token may do what the host side has to. Asked before the first list is believed, and again whenever a list
 * lacks other guests than the one before: a guest that is not shown is either not there or not to be seen.
 */
import type { Clock } from "../../shared/clock.ts";
import type { Need } from "../../shared/proxmox/rights.ts";
import { rightsInWords } from "../../shared/proxmox/rights.ts";

export interface TokenRights {
  /** Takes the guests that Proxmox has just listed. Ends when what had to be asked is answered; never rejects. */
  listed(vmids: readonly number[]): Promise<void>;
  /** Other guests or another card may be configured now: asked anew at the next list. */
  reconfigured(): void;
  /** What the token lacks; empty when nothing, or when nobody could say yet. */
  missing(): readonly Need[];
  /** In words; undefined when nothing is known to be missing. */
  fault(): string | undefined;
}

export interface TokenRightsOptions {
  readonly token: string;
  /** Guests of the configuration in force. */
  readonly configured: () => readonly number[];
  /** What the token lacks now. */
  readonly ask: () => Promise<readonly Need[]>;
  readonly clock: Pick<Clock, "monotonicMs">;
  /** Told when a fault begins, changes, or ends (undefined). */
  readonly onFault: (fault: string | undefined) => void;
  /** It could not be asked: told at each try. */
  readonly onError: (error: unknown) => void;
}

/** Time between two askings while something is missing, or could not be asked, ms. */
const againMs = 30_000;

export function createTokenRights(options: TokenRightsOptions): TokenRights {
  const { token, configured, ask, clock } = options;
  let missing: readonly Need[] = [];
  let fault: string | undefined;
  /** Guests that the last list lacked when it was asked; undefined until the first answer. */
  let lacked: string | undefined;
  let askedMs = Number.NEGATIVE_INFINITY;
  return {
    async listed(vmids) {
      const lacks = configured()
        .filter((vmid) => !vmids.includes(vmid))
        .join();
      const settled = lacked !== undefined && fault === undefined;
      const now = clock.monotonicMs();
      if (settled ? lacks === lacked : now - askedMs < againMs) return;
      askedMs = now;
      try {
        missing = await ask();
        lacked = lacks;
        const words = rightsInWords(token, missing);
        if (words !== fault) options.onFault(words);
        fault = words;
      } catch (error) {
        options.onError(error);
      }
    },
    reconfigured() {
      lacked = undefined;
      askedMs = Number.NEGATIVE_INFINITY;
    },
    missing: () => missing,
    fault: () => fault,
  };
}
