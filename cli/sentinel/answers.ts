/** What the Sentinel's admin API answers, checked before it is believed; what is not needed here is let be. Pure. */
import * as z from "zod";
import { runId, runReport } from "../../components/shared/signals/protocol.ts";

const size = z.enum(["XS", "S", "M", "L"]);
const atMs = z.number();
/** A server, by its provider's own name. */
const place = z.object({ kind: z.enum(["proxmox", "lightsail"]), id: z.string() });

/** The answer that mints a key. */
export const minted = z.object({
  /** Of the registration: a later agent of the same name has another. */
  id: z.string(),
  key: z.string().regex(/^[0-9a-f]{64}$/),
  registerBeforeMs: atMs,
  expiresMs: atMs,
});
export type Minted = z.infer<typeof minted>;

/** One agent of the registry. */
export const agentSeen = z.object({
  name: z.string(),
  kind: z.enum(["micro-service", "browser-light", "browser-heavy", "batch", "experimental"]),
  size,
  mode: z.enum(["job", "resident"]),
  idempotent: z.boolean(),
  createdMs: atMs,
  expiresMs: atMs,
  provider: place.optional(),
  /** While it moves: where its next server will be. */
  pending: z.object({ provider: place.optional() }).optional(),
  /** When its server registered; none before it did. */
  registered: z.object({ atMs }).optional(),
  /** Whether its lease holds. */
  alive: z.boolean(),
  /** What its runner said last, since the Sentinel's start. */
  heard: z
    .object({
      heartbeat: z
        .object({ ready: z.boolean(), running: z.string().nullable(), queued: z.number(), crashLoop: z.boolean() })
        .optional(),
    })
    .optional(),
  proposal: z.object({ from: size, to: size, kills: z.number() }).optional(),
  handedOver: z.object({ why: z.string(), atMs }).optional(),
});
export type AgentSeen = z.infer<typeof agentSeen>;

/** Which keys of an agent are good, and for whom. Keys are only named. */
export const registrationSeen = z.object({
  id: z.string(),
  keyId: z.string(),
  /** Counts the keys that were the agent's. */
  life: z.number(),
  /** Until then the key is to be used by a first server. */
  registerBeforeMs: atMs,
  registered: z.object({ atMs }).optional(),
  /** Where its server is, or will be. */
  provider: place.optional(),
  /** The key for the server that is to take the present one's place, and where that will be if elsewhere. */
  pending: z.object({ keyId: z.string(), registerBeforeMs: atMs, provider: place.optional() }).optional(),
  handedOver: z.object({ why: z.string(), atMs }).optional(),
});
export type RegistrationSeen = z.infer<typeof registrationSeen>;

/** What the reaper says of itself. */
export const reaperSeen = z.object({
  /** Name of the Hive, which its servers' tags carry. */
  estate: z.string().optional(),
  /** Agents whose servers it is to delete and cannot. */
  stranded: z.array(z.string()).default([]),
  providers: z
    .array(
      z.object({
        kind: place.shape.kind,
        /** The one that it looks at. */
        region: z.string().optional(),
        servers: z
          .array(
            z.object({
              id: z.string(),
              agent: z.string(),
              /** The registry does not know it, and it was there before: only the end in its tags deletes it. */
              held: z.boolean().default(false),
            }),
          )
          .default([]),
      }),
    )
    .default([]),
});

/** `waiting` for its turn or an answer, `handed` to the runner, `dead`: given up until a person asks again; or its end. */
const standing = z.enum(["waiting", "handed", "dead", "completed", "failed", "interrupted"]);

/** The answer to a signal. */
export const taken = z.object({ runId, state: standing });

/** How a run stands, as the Sentinel knows it. */
export const runSeen = taken.extend({
  agent: z.string(),
  key: z.string(),
  acceptedMs: atMs,
  /** Tries to deliver it. */
  attempts: z.number(),
  reason: z.string().nullable(),
  /** The runner's own report of its end, where there is one. */
  report: runReport.nullish(),
});
export type RunSeen = z.infer<typeof runSeen>;

/** States that a run does not leave by itself. */
export const runIsOver = (state: RunSeen["state"]): boolean => state !== "waiting" && state !== "handed";

/** A piece of a run's log. */
export const logPiece = z.object({
  text: z.string(),
  /** Where to go on, bytes. */
  next: z.number(),
  /** Whether nothing comes after it. */
  end: z.boolean(),
});
export type LogPiece = z.infer<typeof logPiece>;

/** A refusal in the Sentinel's own words. */
export const refused = z.object({
  error: z.string(),
  property: z.string().nullish(),
  limit: z.string().nullish(),
  fix: z.string().nullish(),
});
