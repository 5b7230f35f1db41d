/**
 * Watchdogs, alerts, schedules, the reaper and the books on memory as one extension of the Sentinel's loop.
 *
 * A turn only decides. What may be done only once it is remembered (a message, a deletion) is begun when the journal
 * holds what this extension keeps; one `keep` at a time is under way.
 */
import { setMaxListeners } from "node:events";
import { hostname } from "node:os";
import type { JSONType } from "zod";
import type { SentinelWatchConfig } from "../../../../components/shared/agent/sentinelWatchConfig.ts";
import type { Log } from "../../shared/log.ts";
import type { Extension, ExtensionAction, ExtensionView, News } from "../extension.ts";
import { createBookkeeper } from "../oom/bookkeeper.ts";
import { openProviders } from "../reaper/open.ts";
import { createReaper } from "../reaper/reaper.ts";
import type { ServerProvider } from "../reaper/types.ts";
import { createScheduler } from "../schedule/scheduler.ts";
import { openChannel, type Sender } from "./alerts/senders.ts";
import { emptyKept, readKept, type Kept } from "./kept.ts";
import { openLooks } from "./looks/look.ts";
import type { PartAlert } from "./part.ts";
import { createPost } from "./post.ts";
import { watchRoutes } from "./routes.ts";
import { createWatchdogs, type Looker } from "./watchdogs.ts";

export interface WatchOptions {
  readonly config: SentinelWatchConfig;
  readonly log: Log;
  /** How long a server may be there until an agent answers for it, ms; `leases.registerWithinMin`. */
  readonly registerWithinMs: number;
  readonly wallMs: () => number;
  /** @default real connections and the system's ping */
  readonly look?: Looker;
  /** @default those of the configuration */
  readonly providers?: readonly ServerProvider[];
  /** @default those of the configuration's channels */
  readonly senders?: ReadonlyMap<string, Sender>;
  /** In [0, 1). @default Math.random */
  readonly random?: () => number;
}

/** The extension, and what its tests wait for. */
export interface WatchExtension extends Extension {
  /** Ends when nothing is under way. */
  idle(): Promise<void>;
}

/** While signals flow the loop turns a thousand times a second; nothing here is in such a hurry, ms. */
const leastMs = 250;

function deadLetters(news: readonly News[], wallMs: number): PartAlert[] {
  return news.flatMap((one) => {
    if (one.kind !== "dead-letter") return [];
    const text = `${one.runId} is a dead letter: ${one.reason}`;
    return [{ alert: { atMs: wallMs, subject: `agent ${one.agent}`, kind: "problem", text } }];
  });
}

/**
 * Reads secrets and authorities, and puts the parts together.
 * @throws SecretFileError, and when an authority cannot be read
 */
export async function startWatch(options: WatchOptions): Promise<WatchExtension> {
  const { config, log, wallMs } = options;
  const stop = new AbortController();
  // Each look under way listens.
  setMaxListeners(0, stop.signal);
  const sendersOf = async ({ channels }: SentinelWatchConfig): Promise<ReadonlyMap<string, Sender>> =>
    options.senders ??
    new Map(await Promise.all(channels.map(async (one) => [one.name, await openChannel(one)] as const)));
  const looksOf = async (given: SentinelWatchConfig): Promise<Looker> =>
    options.look ?? openLooks(given.watchdogs, wallMs, stop.signal);
  const senders = await sendersOf(config);
  const providers = options.providers ?? (await openProviders(config.reaper));
  const look = await looksOf(config);

  const { alerts: told, reaper: reap } = config;
  const watchdogs = createWatchdogs({ configs: config.watchdogs, look, reminderMs: told.reminderSec * 1000 });
  const post = createPost({
    senders,
    policy: { mostPerHour: told.mostPerHour, giveUpMs: told.giveUpSec * 1000 },
    log,
    stop: stop.signal,
    random: options.random ?? Math.random,
  });
  const scheduler = createScheduler(config.schedules);
  const reaper = createReaper({
    providers,
    policy: {
      estate: reap.estate,
      registerWithinMs: options.registerWithinMs,
      graceMs: reap.graceSec * 1000,
      pauseMs: reap.pauseSec * 1000,
      mostPerHour: reap.mostPerHour,
      // The machine that this runs on, by the name that its provider gave it.
      never: [...reap.never, hostname()],
    },
    everyMs: reap.everySec * 1000,
    log,
  });
  const books = createBookkeeper({
    pressurePercent: config.oom.pressurePercent,
    pressureMs: config.oom.pressureSec * 1000,
  });

  let sinceMs: number | undefined;
  let turnedMs = Number.NEGATIVE_INFINITY;
  let news: News[] = [];
  let safe: Kept | undefined;
  let underWay: Kept | undefined;

  function keep(since: number): ExtensionAction[] {
    const now: Kept = {
      sinceMs: since,
      down: watchdogs.kept(),
      outbox: post.kept(),
      schedules: scheduler.kept(),
      ...reaper.kept(),
      books: books.kept(),
    };
    const same =
      safe?.down === now.down &&
      safe.outbox === now.outbox &&
      safe.schedules === now.schedules &&
      safe.begunMs === now.begunMs &&
      safe.seenMs === now.seenMs &&
      safe.books === now.books;
    if (same || underWay !== undefined) return [];
    underWay = now;
    const value: JSONType = JSON.parse(JSON.stringify(now));
    return [{ kind: "keep", value }];
  }

  return {
    name: "watch",
    start(value) {
      const kept = value === undefined ? emptyKept(wallMs()) : readKept(value);
      if (kept === undefined) log.error("what the watch kept cannot be read; it begins anew");
      const known = kept ?? emptyKept(wallMs());
      sinceMs = known.sinceMs;
      watchdogs.restore(known.down);
      post.restore(known.outbox);
      scheduler.restore(known.schedules);
      reaper.restore({ begunMs: known.begunMs, seenMs: known.seenMs });
      books.restore(known.books);
    },
    turn(now: ExtensionView) {
      news.push(...now.news);
      if (now.monotonicMs - turnedMs < leastMs) return [];
      turnedMs = now.monotonicMs;
      const view = { ...now, news };
      news = [];
      const since = (sinceMs ??= view.wallMs);
      const schedules = scheduler.turn(view);
      const reaped = reaper.turn(view);
      const sizes = books.turn(view, since);
      const changes = watchdogs.turn(view, reaped.findings);
      post.turn(view, [
        ...changes,
        ...schedules.alerts,
        ...reaped.alerts,
        ...sizes.alerts,
        ...deadLetters(view.news, view.wallMs),
      ]);
      return [...schedules.actions, ...reaped.actions, ...sizes.actions, ...keep(since)];
    },
    settled(action, status) {
      if (action.kind === "signal") scheduler.settled(action, status);
      else if (action.kind === "propose-size") books.settled(action, status);
      else if (action.kind === "keep") {
        if (status < 300 && underWay !== undefined) {
          safe = underWay;
          post.committed(underWay.outbox);
          reaper.committed(underWay.begunMs);
        }
        underWay = undefined;
      }
    },
    status: () => ({
      down: Object.keys(watchdogs.kept()),
      watchdogs: watchdogs.views().length,
      schedules: scheduler.count(),
      undelivered: post.faults(),
      reaper: reaper.status(),
    }),
    routes: watchRoutes({
      watchdogs: watchdogs.views,
      schedules: () => scheduler.views(wallMs()),
      reaper: reaper.status,
      beat: watchdogs.beat,
    }),
    beat: watchdogs.beat,
    async prepare({ watch: next }) {
      const [nextSenders, nextLook] = [await sendersOf(next), await looksOf(next)];
      return () => {
        watchdogs.configure(next.watchdogs, nextLook);
        scheduler.configure(next.schedules);
        post.configure(nextSenders);
      };
    },
    async idle() {
      await Promise.all([watchdogs.settled(), post.settled(), reaper.settled()]);
    },
    async close() {
      stop.abort();
      reaper.close();
      await Promise.all([watchdogs.settled(), post.settled(), reaper.settled()]);
    },
  };
}
