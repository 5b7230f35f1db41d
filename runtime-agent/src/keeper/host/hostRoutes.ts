/** What an administrator can see and ask on the host side's local socket. */
import { z } from "zod";
import type { Route } from "../../shared/localApi/index.ts";
import { ApiError } from "../../shared/localApi/index.ts";
import { healthReply, type Health } from "../../shared/health.ts";
import { decisionsReply, sinceOf } from "../replies.ts";
import type { HostDecision, HostEvent } from "./core/types.ts";

export interface RecordedDecision extends HostDecision {
  readonly number: number;
  /** ISO 8601 in UTC, as the arbiter's. */
  readonly time: string;
}

export interface HostView {
  /** Healthy: a completed turn is young, and Proxmox has accepted the token since the start. */
  status(): object & Health;
  /** Since the last completed turn, ms; undefined before the first. */
  loopAgeMs(): number | undefined;
  decisions(): readonly RecordedDecision[];
  tell(event: HostEvent): void;
  knows(vmid: number): boolean;
}

const wishes = ["running", "stopped", "paused", "none", "kill"] as const;
const wish = z.strictObject({ state: z.enum(wishes) });
const handoff = z.strictObject({ id: z.string().regex(/^[\w.:-]{1,64}$/), to: z.number().int().min(100) });

export function hostRoutes(view: HostView): Route[] {
  const known = (text: string | undefined): number => {
    const vmid = Number(text);
    if (view.knows(vmid)) return vmid;
    throw new ApiError(404, "no such guest", { property: "vmid", fix: "Name a guest of the configuration." });
  };
  return [
    {
      method: "GET",
      path: "/health",
      role: "service",
      handle: () => healthReply(view.status(), view.loopAgeMs()),
    },
    { method: "GET", path: "/status", role: "service", handle: () => ({ json: view.status() }) },
    {
      method: "GET",
      path: "/decisions",
      role: "admin",
      handle({ query }) {
        const since = sinceOf(query);
        return decisionsReply(
          view.decisions().filter(({ number }) => number > since),
          since,
        );
      },
    },
    {
      method: "PUT",
      path: "/guests/:vmid",
      role: "admin",
      handle({ params, body }) {
        const vmid = known(params.vmid);
        const parsed = wish.safeParse(body);
        if (!parsed.success)
          throw new ApiError(400, "no such state", { property: "state", limit: wishes.join(", "), fix: "Name one." });
        const { state } = parsed.data;
        view.tell(state === "kill" ? { kind: "kill", vmid } : { kind: "want", vmid, state });
        return { status: 202, json: { vmid, state } };
      },
    },
    {
      method: "POST",
      path: "/handoff",
      role: "admin",
      handle({ body }) {
        const parsed = handoff.safeParse(body);
        if (!parsed.success)
          throw new ApiError(400, "not a handoff", { limit: "{id, to}", fix: "Send an id of your own and the VM." });
        view.tell({ kind: "handoff", id: parsed.data.id, toVmid: known(String(parsed.data.to)) });
        return { status: 202, json: { id: parsed.data.id } };
      },
    },
  ];
}
