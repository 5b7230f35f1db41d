/** The outbox at work: a message goes out once the journal holds it, one at a time for each channel. */
import { failpoint } from "../../shared/failpoints.ts";
import type { Log } from "../../shared/log.ts";
import type { ExtensionView } from "../extension.ts";
import type { Sender } from "./alerts/senders.ts";
import { advance, due, emptyOutbox, post, tried, type Message, type Outbox, type OutboxPolicy } from "./core/outbox.ts";
import { wordsOf } from "./exchange.ts";
import type { PartAlert } from "./part.ts";

export interface Post {
  restore(outbox: Outbox): void;
  /** Other channels from now on; what waits for one that is gone is dropped. */
  configure(senders: ReadonlyMap<string, Sender>): void;
  turn(view: ExtensionView, alerts: readonly PartAlert[]): void;
  /** This much is on the disk: what is in it may be sent. */
  committed(outbox: Outbox): void;
  kept(): Outbox;
  /** Why a channel takes nothing, by its name. */
  faults(): Readonly<Record<string, string>>;
  settled(): Promise<void>;
}

export function createPost(options: {
  readonly senders: ReadonlyMap<string, Sender>;
  readonly policy: Omit<OutboxPolicy, "channels">;
  readonly log: Log;
  readonly stop: AbortSignal;
  /** In [0, 1). */
  readonly random: () => number;
}): Post {
  const { log, random, stop } = options;
  let { senders } = options;
  let policy: OutboxPolicy = { ...options.policy, channels: [...senders.keys()] };
  const flying = new Map<string, Promise<void>>();
  const faults = new Map<string, string>();
  let outbox = emptyOutbox;
  let safe: ReadonlySet<string> = new Set();
  let ends: { readonly channel: string; readonly id: string; readonly ok: boolean }[] = [];

  const ids = (of: Outbox): Set<string> =>
    new Set(Object.values(of.channels).flatMap(({ message }) => message?.id ?? []));

  async function send(channel: string, message: Message, wallMs: number): Promise<void> {
    let ok = false;
    try {
      await failpoint("watch.before-send");
      await senders.get(channel)?.(message, wallMs, stop);
      await failpoint("watch.after-send");
      ok = true;
      faults.delete(channel);
    } catch (error) {
      faults.set(channel, wordsOf(error));
      log.warning("alert not delivered", { channel, id: message.id, reason: wordsOf(error) });
    }
    flying.delete(channel);
    ends.push({ channel, id: message.id, ok });
  }

  return {
    restore(kept) {
      outbox = kept;
      safe = ids(kept);
    },
    configure(next) {
      senders = next;
      policy = { ...options.policy, channels: [...next.keys()] };
      for (const channel of [...faults.keys()]) if (!next.has(channel)) faults.delete(channel);
    },
    turn({ wallMs }, alerts) {
      const ended = ends;
      ends = [];
      for (const { channel, id, ok } of ended) outbox = tried(outbox, channel, id, ok, wallMs, random);
      for (const { alert, tell } of alerts) outbox = post(outbox, [alert], tell ?? policy.channels, policy);
      const next = advance(outbox, wallMs, policy);
      outbox = next.outbox;
      for (const { channel, message } of next.givenUp)
        log.error("alert given up", { channel, id: message.id, alerts: message.alerts.length });
      for (const { channel, message } of due(outbox, wallMs))
        if (safe.has(message.id) && !flying.has(channel)) flying.set(channel, send(channel, message, wallMs));
    },
    committed(kept) {
      safe = ids(kept);
    },
    kept: () => outbox,
    faults: () => Object.fromEntries(faults),
    async settled() {
      await Promise.all(flying.values());
    },
  };
}
