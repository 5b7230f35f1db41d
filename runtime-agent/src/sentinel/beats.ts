/**
 * Heartbeats from other machines: `POST /beats/NAME` with a token of the watchdog's own, on the address of the webhooks.
 * Nobody learns which heartbeats there are, nor whose token it was.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { WatchdogConfig } from "../../../components/shared/agent/sentinelWatchConfig.ts";
import { readSecretFile } from "../shared/secretFile.ts";
import type { Reply } from "./core/events.ts";
import { refusal } from "./core/events.ts";

/** Tokens by watchdog: one, or two while one takes the place of the other. */
export type BeatTokens = ReadonlyMap<string, readonly string[]>;

/** A body says nothing here; longer ones are refused, bytes. */
export const mostBeatBytes = 1024;
/** Calls of one watchdog that come faster than this change nothing, ms. */
const leastGapMs = 1000;
const tokenForm = /^[\w.~+/=-]{32,200}$/;
/** No token is spelled like it. */
const nobodys: readonly string[] = [""];

/** @throws SecretFileError */
export async function readBeatTokens(watchdogs: readonly WatchdogConfig[]): Promise<BeatTokens> {
  const decode = (text: string): readonly string[] | undefined => {
    const tokens = text.split(/\s+/);
    return tokens.length <= 2 && tokens.every((token) => tokenForm.test(token)) ? tokens : undefined;
  };
  const otherwise =
    "is not one or two tokens of 32 to 200 letters, digits and ._~+/=-, each on a line. Write it with `openssl rand -hex 32`.";
  const read = watchdogs.map(async (one) =>
    one.type !== "heartbeat" || one.tokenFile === undefined
      ? undefined
      : ([one.name, await readSecretFile(one.tokenFile, decode, otherwise)] as const),
  );
  return new Map((await Promise.all(read)).filter((one) => one !== undefined));
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

/** Answers calls; those of one watchdog count once a second. */
export function createBeats(options: {
  readonly tokens: () => BeatTokens;
  /** False when there is no such heartbeat any more. */
  readonly beat: (name: string) => boolean;
  readonly monotonicMs: () => number;
}): (name: string, authorization: string | undefined) => Reply {
  const lastMs = new Map<string, number>();
  return (name, authorization = "") => {
    const shown = digest(/^Bearer ([^\s]{1,300})$/i.exec(authorization)?.[1] ?? "-");
    // Each is compared: the time tells nothing of which one it was, nor whether there is one.
    const fits = (options.tokens().get(name) ?? nobodys).map((token) => timingSafeEqual(digest(token), shown));
    if (!fits.includes(true))
      return refusal(401, "no token of this heartbeat", "Show it: Authorization: Bearer TOKEN.");
    const nowMs = options.monotonicMs();
    if (nowMs - (lastMs.get(name) ?? Number.NEGATIVE_INFINITY) < leastGapMs)
      return refusal(429, "it has just been called", "Call less often.", "once a second");
    if (!options.beat(name)) return refusal(404, "no such heartbeat", "Name one of the configuration.");
    lastMs.set(name, nowMs);
    return { status: 202, json: { name } };
  };
}
