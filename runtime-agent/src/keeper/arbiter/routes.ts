/** The local API of the arbiter: leases for services, the rest for the administrator. */
import { randomBytes } from "node:crypto";
import { healthReply } from "../../shared/health.ts";
import type { ApiContext, ApiReply, Route } from "../../shared/localApi/index.ts";
import { ApiError } from "../../shared/localApi/index.ts";
import type { ArbiterState, Hold } from "./core/state.ts";
import type { Event } from "./core/types.ts";
import { decisionsReply, sinceOf } from "../replies.ts";
import type { LeaseNews, Leases } from "./leases.ts";
import type { ArbiterStatusDocument, NumberedDecision } from "./statusDocument.ts";

export interface RoutePorts {
  readonly leases: Leases;
  readonly state: () => ArbiterState;
  readonly leaseMsOf: (service: string) => number | undefined;
  readonly push: (event: Event) => Promise<void>;
  /** Why nothing can be written; undefined while it can. */
  readonly fault: () => string | undefined;
  readonly full: () => boolean;
  readonly monotonicMs: () => number;
  readonly status: () => ArbiterStatusDocument;
  readonly decisionsSince: (number: number) => readonly NumberedDecision[];
  /** Since the last completed turn, ms; undefined before the first. */
  readonly loopAgeMs: () => number | undefined;
}

const leaseForm = /^[\w.-]{8,64}$/;
/** Longest that a call may be held open, s. */
const longestWaitSec = 3_600;
/** Requests of one service that may wait: no service may take all places of the queue. */
const mostOfOne = 16;

interface Asked {
  readonly service: string;
  /** Whether the loop keeps it for when it can write again. */
  kept: boolean;
}

/** A lease as its client sees it. `remainingMs` is null while it does not run down: waiting, or paused for another. */
function held(service: string, lease: string, hold: Hold, now: number): ApiReply {
  const running = hold.phase === "running" && hold.granted;
  const state = running ? "held" : hold.granted ? "paused" : "waiting";
  const remainingMs = running && hold.untilMs !== null ? Math.max(0, Math.round(hold.untilMs - now)) : null;
  return { status: state === "waiting" ? 202 : 200, json: { lease, service, state, token: hold.token, remainingMs } };
}

function waitOf({ query }: ApiContext): number | undefined {
  const text = query.get("wait");
  if (text === null) return undefined;
  const seconds = Number(text);
  if (/^\d{1,4}(?:\.\d{1,3})?$/.test(text) && seconds <= longestWaitSec) return seconds * 1000;
  throw new ApiError(400, "wait cannot be read", {
    property: "wait",
    limit: `0 to ${String(longestWaitSec)} seconds`,
    fix: "Write seconds, or leave it out to wait for as long as it takes.",
  });
}

function requestOf({ body, caller }: ApiContext): { readonly service: string; readonly id: string } {
  const given: Readonly<Record<string, unknown>> =
    typeof body === "object" && body !== null && !Array.isArray(body) ? { ...body } : {};
  const known = ["service", "id"];
  const strange = Object.keys(given).find((key) => !known.includes(key));
  if (strange !== undefined) {
    const fix = "Remove it.";
    throw new ApiError(400, "unknown property", { property: strange.slice(0, 64), limit: known.join(", "), fix });
  }
  const { service = caller.service, id = randomBytes(12).toString("base64url") } = given;
  if (typeof service !== "string" || service.length > 63) {
    throw new ApiError(400, "no service is named", {
      property: "service",
      limit: "a configured service",
      fix: "Name it.",
    });
  }
  if (typeof id !== "string" || !leaseForm.test(id)) {
    const limit = "8 to 64 letters, digits, dots, dashes and underscores";
    throw new ApiError(400, "the lease's id cannot be used", { property: "id", limit, fix: "Leave it out." });
  }
  if (caller.role === "service" && caller.service !== service) throw new ApiError(403, "not your service");
  return { service, id };
}

export function arbiterRoutes(ports: RoutePorts): readonly Route[] {
  const { leases, state } = ports;
  /** Requests handed in and not yet known to the state, by id. */
  const asked = new Map<string, Asked>();
  /** Calls that wait for their grant, by lease; `made` while none of them was told anything and the lease began here. */
  const calls = new Map<string, { open: number; made: boolean }>();

  /** What a full disk holds up is kept by the loop, and stays asked until it can be written. */
  function askedFor(id: string): Asked | undefined {
    const found = asked.get(id);
    if (found?.kept === true && ports.fault() === undefined) asked.delete(id);
    return asked.get(id);
  }

  function ask(id: string, service: string): void {
    const one: Asked = { service, kept: false };
    asked.set(id, one);
    void ports.push({ kind: "request", id, service }).then(() => {
      if (ports.fault() !== undefined) one.kept = true;
      else if (asked.get(id) === one) asked.delete(id);
    });
  }

  /** Follows its request, even where the loop still keeps that. */
  function giveBack(id: string): Promise<void> {
    asked.delete(id);
    return ports.push({ kind: "release", id });
  }

  function waitingOf(service: string): number {
    const queued = state().queue.filter((each) => each.service === service);
    const fresh = [...asked].filter(([id, each]) => each.service === service && askedFor(id) !== undefined);
    return queued.length + fresh.filter(([id]) => !queued.some(({ lease }) => lease === id)).length;
  }

  /** Whose a lease is; undefined when nobody waits for it and nobody holds it. */
  function find(id: string): { readonly service: string; readonly hold: Hold | undefined } | undefined {
    const waiting = state().queue.find(({ lease }) => lease === id);
    if (waiting !== undefined) return { service: waiting.service, hold: undefined };
    const entry = Object.entries(state().holds).find(([, hold]) => hold.lease === id);
    if (entry !== undefined) return { service: entry[0], hold: entry[1] };
    const fresh = leases.endOf(id) === undefined ? askedFor(id) : undefined;
    return fresh === undefined ? undefined : { service: fresh.service, hold: undefined };
  }

  function assertRoom(): void {
    if (ports.full()) throw new ApiError(503, "too many events wait", { fix: "Ask again later." });
  }

  /** Another service's lease does not exist for a caller. */
  function mine(context: ApiContext): { readonly id: string; readonly found: ReturnType<typeof find> } {
    const id = context.params.id ?? "";
    const found = find(id);
    const { caller } = context;
    if (found !== undefined && caller.role === "service" && caller.service !== found.service) {
      throw new ApiError(404, "no such lease");
    }
    return { id, found };
  }

  function view(id: string): ApiReply {
    const found = find(id);
    if (found?.hold !== undefined) return held(found.service, id, found.hold, ports.monotonicMs());
    if (found !== undefined) {
      return {
        status: 202,
        json: { lease: id, service: found.service, state: "waiting", token: null, remainingMs: null },
      };
    }
    return gone(id, leases.endOf(id));
  }

  function gone(id: string, news: LeaseNews | undefined): ApiReply {
    if (news === undefined || news.kind === "held") return { status: 404, json: { error: "no such lease" } };
    return { status: news.kind === "refused" ? 409 : 410, json: { error: news.reason, lease: id, state: news.kind } };
  }

  async function request(context: ApiContext): Promise<ApiReply> {
    const waitMs = waitOf(context);
    const { service, id } = requestOf(context);
    const other = find(id);
    if (other !== undefined && other.service !== service) throw new ApiError(409, "the lease's id is in use");
    assertRoom();
    if (other === undefined && waitingOf(service) >= mostOfOne) {
      const limit = `${String(mostOfOne)} requests of a service`;
      throw new ApiError(429, "too many requests of this service wait", { limit, fix: "Release some, or ask later." });
    }
    leases.renewed(id);
    const timeout = waitMs === undefined ? [] : [AbortSignal.timeout(Math.ceil(waitMs))];
    const news = leases.next(id, AbortSignal.any([context.signal, ...timeout]));
    const call = calls.get(id) ?? { open: 0, made: false };
    calls.set(id, call);
    call.open += 1;
    call.made ||= other === undefined;
    ask(id, service);
    const end = await news;
    call.open -= 1;
    if (call.open === 0) calls.delete(id);
    if (context.signal.aborted) {
      // Its client hung up: what it waited for is for the next one. One that held it before, or asks elsewhere, keeps it.
      if (call.made && call.open === 0) void giveBack(id);
      return view(id);
    }
    // Told how it stands, its client may come back for it.
    call.made = false;
    if (end?.kind === "held") {
      const leaseMs = ports.leaseMsOf(service) ?? null;
      return { json: { lease: id, service, state: "held", token: end.token, remainingMs: leaseMs } };
    }
    return end === undefined ? view(id) : gone(id, end);
  }

  async function renew(context: ApiContext): Promise<ApiReply> {
    const { id, found } = mine(context);
    if (found === undefined) return gone(id, leases.endOf(id));
    assertRoom();
    const taken = ports.push({ kind: "renew", id });
    // While nothing can be written no lease runs out either.
    if (ports.fault() === undefined) await taken;
    return view(id);
  }

  async function release(context: ApiContext): Promise<ApiReply> {
    const { id, found } = mine(context);
    assertRoom();
    const taken = found === undefined ? undefined : giveBack(id);
    if (ports.fault() === undefined) await taken;
    return { json: { lease: id, state: "released" } };
  }

  async function look(context: ApiContext): Promise<ApiReply> {
    const waitMs = waitOf(context);
    const { id, found } = mine(context);
    if (waitMs !== undefined && found !== undefined) {
      await leases.next(id, AbortSignal.any([context.signal, AbortSignal.timeout(Math.ceil(waitMs))]));
    }
    return view(id);
  }

  function decisions({ query }: ApiContext): ApiReply {
    const since = sinceOf(query);
    return decisionsReply(ports.decisionsSince(since), since);
  }

  return [
    { method: "POST", path: "/v1/leases", role: "service", handle: request },
    { method: "GET", path: "/v1/leases/:id", role: "service", handle: look },
    { method: "PUT", path: "/v1/leases/:id", role: "service", handle: renew },
    { method: "DELETE", path: "/v1/leases/:id", role: "service", handle: release },
    { method: "GET", path: "/status", role: "admin", handle: () => ({ json: ports.status() }) },
    { method: "GET", path: "/decisions", role: "admin", handle: decisions },
    { method: "GET", path: "/health", role: "admin", handle: () => healthReply(ports.status(), ports.loopAgeMs()) },
  ];
}
