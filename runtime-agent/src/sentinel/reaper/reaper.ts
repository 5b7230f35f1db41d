/** The reaper at work: looks at the providers beside the loop, and deletes what was decided once the journal holds it. */
import { failpoint } from "../../shared/failpoints.ts";
import type { Log } from "../../shared/log.ts";
import type { ExtensionAction, ExtensionView } from "../extension.ts";
import { durationWords, instantWords, type PartAlert } from "../watch/part.ts";
import { wordsOf } from "../watch/exchange.ts";
import type { ForeignFinding } from "../watch/watchdogs.ts";
import { isOurs, placeKey, serverKey, strandedOf, type ReapPolicy } from "./doom.ts";
import { decideReap, emptyReap, type ReapNews, type ReapState, type Removal, type RemovalEnd } from "./decide.ts";
import { createStranded } from "./stranded.ts";
import type { Look, ProviderKind, ServerProvider, Stranger } from "./types.ts";

/** What outlives a restart. */
export type KeptReap = Pick<ReapState, "begunMs" | "seenMs">;

export interface Reaper {
  restore(kept: KeptReap): void;
  turn(view: ExtensionView): {
    readonly actions: readonly ExtensionAction[];
    readonly alerts: readonly PartAlert[];
    readonly findings: readonly ForeignFinding[];
  };
  /** This much of the brake is on the disk: deletions that it counts may begin. */
  committed(begunMs: ReapState["begunMs"]): void;
  /** Each the same object as before while nothing of it has changed. */
  kept(): KeptReap;
  status(): object;
  settled(): Promise<void>;
  close(): void;
}

interface Eye {
  readonly provider: ServerProvider;
  running?: Promise<void> | undefined;
  startedMs: number;
  look?: Look | undefined;
  strangers: readonly Stranger[];
  found?: ForeignFinding["finding"] | undefined;
}

/** So many looks in a row before people are told that a provider cannot be seen. */
const rule = { failures: 3, successes: 1 };

export function createReaper(options: {
  readonly providers: readonly ServerProvider[];
  readonly policy: Omit<ReapPolicy, "providers">;
  readonly everyMs: number;
  readonly log: Log;
}): Reaper {
  const { providers, everyMs, log } = options;
  const policy: ReapPolicy = { ...options.policy, providers: providers.map(({ kind }) => kind) };
  const eyes = new Map<ProviderKind, Eye>(
    providers.map((provider) => [provider.kind, { provider, startedMs: Number.NEGATIVE_INFINITY, strangers: [] }]),
  );
  const flying = new Map<string, Promise<void>>();
  const stranded = createStranded(log);
  let state = emptyReap;
  let kept: KeptReap = emptyReap;
  /** The brake as it is on the disk. */
  let safe: ReapState["begunMs"] = {};
  let waiting: readonly Removal[] = [];
  let ends: RemovalEnd[] = [];

  function begin(eye: Eye, nowMs: number): void {
    eye.startedMs = nowMs;
    const work = async (): Promise<void> => {
      try {
        const { servers, strangers } = await eye.provider.look();
        // What was seen is as old as when the look began.
        const ours = servers.filter((server) => isOurs(server, policy));
        eye.look = { atMs: nowMs, servers: ours, strangers: strangers.map(({ id }) => id) };
        const others = servers.filter((server) => !ours.includes(server));
        eye.strangers = [
          ...strangers,
          ...others.map(({ id, tags }) => ({ id, why: `it is of the Hive ${tags.estate}` })),
        ];
        eye.found = { ok: true, detail: `${String(ours.length)} servers` };
      } catch (error) {
        eye.found = { ok: false, detail: wordsOf(error) };
        log.warning("reaper", { provider: eye.provider.kind, reason: wordsOf(error) });
      }
      eye.running = undefined;
    };
    eye.running = work();
  }

  async function remove({ key, server, why }: Removal): Promise<void> {
    const fields = { provider: server.provider, id: server.id, agent: server.tags.agent, why };
    try {
      const eye = eyes.get(server.provider);
      if (eye === undefined) throw new Error("its provider is not configured");
      log.notice("a server is deleted", fields);
      await failpoint("reaper.before-remove");
      const outcome = await eye.provider.remove(server);
      await failpoint("reaper.after-remove");
      log.notice(outcome === "gone" ? "it was gone already" : "deleted", fields);
      ends.push({ key, ok: true });
    } catch (error) {
      log.error("a server could not be deleted", { ...fields, reason: wordsOf(error) });
      ends.push({ key, ok: false, reason: wordsOf(error) });
    }
    flying.delete(key);
  }

  /** Begins the deletions that the brake on the disk counts. */
  function release(): void {
    const isSafe = ({ key }: Removal): boolean => safe[key] !== undefined && safe[key] === state.begunMs[key];
    const ready = waiting.filter(isSafe);
    waiting = waiting.filter((removal) => !isSafe(removal));
    for (const removal of ready) flying.set(removal.key, remove(removal));
  }

  function alertOf(news: ReapNews, wallMs: number): PartAlert[] {
    const tell = (subject: string, kind: "problem" | "notice", text: string): PartAlert[] => [
      { alert: { atMs: wallMs, subject, kind, text } },
    ];
    switch (news.kind) {
      case "asked": {
        const { id, provider, tags } = news.server;
        const when = `will be deleted in ${durationWords(policy.pauseMs)} or more`;
        return tell(`server ${id} at ${provider}`, "notice", `${when} (agent ${tags.agent}): ${news.why}`);
      }
      case "begun":
        return [];
      case "held": {
        const { id, provider, tags } = news.server;
        const end = instantWords(tags.expiresSec * 1000);
        const why = `was there before this Sentinel, whose registry does not know the server of ${tags.agent}`;
        const text = `${why}: it is left alone until the end in its tags, ${end}. Was the Sentinel set back? See docs/antigravity.md`;
        return tell(`server ${id} at ${provider}`, "problem", text);
      }
      case "failed":
        return tell(`server ${news.key.split("/").slice(0, 2).toReversed().join(" at ")}`, "problem", news.reason);
      case "braked": {
        const text = `${String(news.waiting)} more servers are to be deleted than ${String(policy.mostPerHour)} an hour`;
        return tell("reaper", "problem", `${text}. Look whether the clock and the registry are right.`);
      }
    }
  }

  return {
    restore(known) {
      kept = known;
      safe = known.begunMs;
      state = { ...emptyReap, ...known };
    },
    turn(view) {
      const { monotonicMs, wallMs, agents } = view;
      const looks: Partial<Record<ProviderKind, Look>> = {};
      const findings: ForeignFinding[] = [];
      for (const [kind, eye] of eyes) {
        if (eye.found !== undefined) findings.push({ subject: `reaper at ${kind}`, finding: eye.found, rule });
        eye.found = undefined;
        if (eye.running === undefined && monotonicMs - eye.startedMs >= everyMs) begin(eye, monotonicMs);
        if (eye.look !== undefined && monotonicMs - eye.look.atMs <= 2 * everyMs + 60_000) looks[kind] = eye.look;
      }
      const ended = ends;
      ends = [];
      const outcome = decideReap(state, { monotonicMs, wallMs, agents, looks, ends: ended }, policy);
      state = outcome.state;
      const { begunMs, seenMs } = state;
      if (JSON.stringify(begunMs) !== JSON.stringify(kept.begunMs)) kept = { ...kept, begunMs };
      if (JSON.stringify(seenMs) !== JSON.stringify(kept.seenMs)) kept = { ...kept, seenMs };
      findings.push(...stranded.turn(strandedOf(agents, policy, looks), policy.providers));
      waiting = [...waiting, ...outcome.removals];
      for (const { key } of waiting.filter((removal) => state.begunMs[removal.key] === undefined))
        ends.push({ key, ok: false, reason: "the journal took nothing for an hour" });
      waiting = waiting.filter(({ key }) => state.begunMs[key] !== undefined);
      // A second try is counted already.
      release();
      return {
        actions: outcome.reaped.map(({ agent, life }) => ({ kind: "reaped", agent, life })),
        alerts: outcome.news.flatMap((news) => alertOf(news, wallMs)),
        findings,
      };
    },
    committed(begunMs) {
      safe = begunMs;
      release();
    },
    kept: () => kept,
    status: () => ({
      estate: policy.estate,
      stranded: stranded.agents(),
      providers: [...eyes].map(([kind, { provider, look, strangers }]) => ({
        kind,
        region: provider.region,
        servers: look?.servers.map((server) => ({
          id: server.id,
          name: server.name,
          agent: server.tags.agent,
          doomed: state.marks[serverKey(server)] !== undefined,
          held: state.held[placeKey(server)] === true,
        })),
        strangers,
      })),
      deletedInTheLastHour: Object.keys(state.begunMs).length,
      mostPerHour: policy.mostPerHour,
      braked: state.braked,
    }),
    async settled() {
      await Promise.all([...flying.values(), ...[...eyes.values()].flatMap(({ running }) => running ?? [])]);
    },
    close() {
      for (const { provider } of eyes.values()) provider.close();
    },
  };
}
