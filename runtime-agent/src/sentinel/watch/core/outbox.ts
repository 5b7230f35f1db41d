/**
 * Alerts on their way to people: each channel has one message under way and the alerts that wait for the next one. A
 * message keeps its id and its content through all its retries; what comes while it is under way, or while the channel
 * has had its share of the hour, goes together as the next. Pure; times are Unix ms.
 */

export interface Alert {
  readonly atMs: number;
  /** What it is about: `watchdog site`, `server 812 at proxmox`. */
  readonly subject: string;
  readonly kind: "problem" | "solved" | "notice";
  readonly text: string;
}

/** What one channel gets at a time. */
export interface Message {
  /** The same for each try: a receiver that has seen it may drop it. */
  readonly id: string;
  readonly alerts: readonly Alert[];
  /** Alerts that are not in it, nor ever will be: too many waited, or an earlier message was given up. */
  readonly lost: number;
  readonly firstMs: number;
  readonly attempts: number;
  /** Not tried before. */
  readonly nextMs: number;
}

export interface ChannelBox {
  readonly waiting: readonly Alert[];
  readonly lost: number;
  readonly message?: Message;
  /** When the messages of the last hour were begun. */
  readonly begunMs: readonly number[];
}

export interface Outbox {
  /** Number of the next message. */
  readonly sequence: number;
  readonly channels: Readonly<Record<string, ChannelBox>>;
}

export interface OutboxPolicy {
  readonly channels: readonly string[];
  readonly mostPerHour: number;
  readonly giveUpMs: number;
}

export const emptyOutbox: Outbox = { sequence: 1, channels: {} };
const emptyBox: ChannelBox = { waiting: [], lost: 0, begunMs: [] };
/** Alerts that may wait at one channel; the oldest go first, for the newest say how things stand. */
export const mostWaiting = 100;
const hourMs = 3_600_000;
const firstRetryMs = 5000;
const mostRetryMs = 15 * 60_000;

function boxOf(outbox: Outbox, channel: string): ChannelBox {
  return outbox.channels[channel] ?? emptyBox;
}

function put(outbox: Outbox, channel: string, box: ChannelBox): Outbox {
  return { ...outbox, channels: { ...outbox.channels, [channel]: box } };
}

/** Adds alerts to the channels named; those that are not configured are left out. */
export function post(
  outbox: Outbox,
  alerts: readonly Alert[],
  channels: readonly string[],
  policy: OutboxPolicy,
): Outbox {
  if (alerts.length === 0) return outbox;
  return channels
    .filter((channel) => policy.channels.includes(channel))
    .reduce((sofar, channel) => {
      const box = boxOf(sofar, channel);
      const all = [...box.waiting, ...alerts];
      const over = Math.max(0, all.length - mostWaiting);
      return put(sofar, channel, { ...box, waiting: all.slice(over), lost: box.lost + over });
    }, outbox);
}

/** Begins the messages that may go: of each channel that has something to say, nothing under way, and room in its hour. */
function begin(outbox: Outbox, channel: string, wallMs: number, policy: OutboxPolicy): Outbox {
  const box = boxOf(outbox, channel);
  // What lies in the future was begun before the clock was set back.
  const begunMs = box.begunMs.map((at) => Math.min(at, wallMs)).filter((at) => at > wallMs - hourMs);
  const mayNot = box.message !== undefined || box.waiting.length === 0 || begunMs.length >= policy.mostPerHour;
  if (mayNot) return outbox;
  const message: Message = {
    id: `alert_${String(wallMs)}_${String(outbox.sequence)}`,
    alerts: box.waiting,
    lost: box.lost,
    firstMs: wallMs,
    attempts: 0,
    nextMs: wallMs,
  };
  const next: ChannelBox = { waiting: [], lost: 0, message, begunMs: [...begunMs, wallMs] };
  return { ...put(outbox, channel, next), sequence: outbox.sequence + 1 };
}

/** Full jitter: somewhere between half the bound and the bound, which doubles from 5 s to 15 min. */
function retryMs(attempts: number, random: () => number): number {
  return Math.min(mostRetryMs, firstRetryMs * 2 ** Math.min(20, attempts - 1)) * (0.5 + random() / 2);
}

/** Drops what is of channels that are configured no more, begins new messages, and gives up those that are too old. */
export function advance(
  outbox: Outbox,
  wallMs: number,
  policy: OutboxPolicy,
): { readonly outbox: Outbox; readonly givenUp: readonly { readonly channel: string; readonly message: Message }[] } {
  const givenUp: { channel: string; message: Message }[] = [];
  const known = Object.entries(outbox.channels).filter(([channel]) => policy.channels.includes(channel));
  let next: Outbox =
    known.length === Object.keys(outbox.channels).length ? outbox : { ...outbox, channels: Object.fromEntries(known) };
  for (const [channel, box] of known) {
    const { message } = box;
    if (message !== undefined && message.attempts > 0 && wallMs - message.firstMs >= policy.giveUpMs) {
      givenUp.push({ channel, message });
      const { message: _gone, ...rest } = box;
      next = put(next, channel, { ...rest, lost: rest.lost + message.lost + message.alerts.length });
    }
    next = begin(next, channel, wallMs, policy);
  }
  return { outbox: next, givenUp };
}

/** The messages that are due. Whoever sends them says so with {@link tried} before the next one is asked for. */
export function due(
  outbox: Outbox,
  wallMs: number,
): readonly { readonly channel: string; readonly message: Message }[] {
  return Object.entries(outbox.channels).flatMap(([channel, { message }]) => {
    if (message === undefined) return [];
    // A wait that is longer than any can be was begun before the clock was set back.
    const waits = message.nextMs > wallMs && message.nextMs - wallMs <= mostRetryMs;
    return waits ? [] : [{ channel, message }];
  });
}

/** What follows from a try. A message that is under way no more is left alone: its end was known already. */
export function tried(
  outbox: Outbox,
  channel: string,
  id: string,
  ok: boolean,
  wallMs: number,
  random: () => number,
): Outbox {
  const box = boxOf(outbox, channel);
  const { message, ...rest } = box;
  if (message === undefined || message.id !== id) return outbox;
  if (ok) return put(outbox, channel, rest);
  const attempts = message.attempts + 1;
  return put(outbox, channel, {
    ...rest,
    message: { ...message, attempts, nextMs: Math.ceil(wallMs + retryMs(attempts, random)) },
  });
}
