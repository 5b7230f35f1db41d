/** What Proxmox shows of the guests, and the host side's actions carried out on them: each may be asked twice. */
import { z } from "zod";
import type { GuestSeen, HostAction } from "../core/types.ts";
import type { PveClient } from "../../../shared/proxmox/client.ts";
import { sameDevice } from "../core/handoffPlan.ts";
import { PveError } from "../../../shared/proxmox/errors.ts";

const mib = 1024 * 1024;
const number = z.number().finite();
const row = z.object({
  vmid: z.coerce.number().int(),
  status: z.string(),
  lock: z.string().optional(),
  cpu: number.optional(),
  mem: number.optional(),
  maxmem: number.optional(),
});
const current = z.object({ qmpstatus: z.string().optional(), balloon: number.optional() });
const config = z.record(z.string(), z.unknown());

type Row = z.infer<typeof row>;

/** Longer than any graceful end that is asked for, ms. */
const taskGraceMs = 30_000;

export interface Guests {
  /**
   * The guests named, those that exist. `ask` names the one whose agent is asked. Throws `PveError` when Proxmox does
   * not answer: half a view would be worse than none.
   */
  observe(vmids: readonly number[], ask?: number): Promise<GuestSeen[]>;
  /** Ends when Proxmox says that it is done; throws `PveError` when not. */
  perform(action: HostAction): Promise<void>;
}

function parse<T>(schema: z.core.$ZodType<T>, where: string, data: unknown): T {
  const parsed = z.safeParse(schema, data);
  if (parsed.success) return parsed.data;
  throw new PveError("nonsense", where, "an answer of another form");
}

export function pveGuests(client: PveClient): Guests {
  const path = (kind: GuestSeen["kind"], vmid: number, rest: string): string =>
    client.node(`/${kind}/${String(vmid)}${rest}`);
  const rows = async (kind: GuestSeen["kind"]): Promise<Row[]> =>
    parse(z.array(row), `list of ${kind}`, await client.call("GET", client.node(`/${kind}`)));
  const configOf = async (kind: GuestSeen["kind"], vmid: number): Promise<Record<string, unknown>> =>
    parse(config, `configuration of ${String(vmid)}`, await client.call("GET", path(kind, vmid, "/config")));
  const kinds = new Map<number, GuestSeen["kind"]>();

  async function agentAnswers(vmid: number): Promise<boolean> {
    try {
      await client.call("POST", path("qemu", vmid, "/agent/ping"));
      return true;
    } catch (error) {
      // "QEMU guest agent is not running" is an answer; no answer at all is none.
      if (error instanceof PveError && error.kind === "refused") return false;
      throw error;
    }
  }

  async function see(kind: GuestSeen["kind"], seen: Row, ask: boolean): Promise<GuestSeen> {
    const { vmid } = seen;
    const maxMiB = (seen.maxmem ?? 0) / mib;
    const settings = await configOf(kind, vmid);
    const running = seen.status === "running";
    const now =
      running && kind === "qemu"
        ? parse(current, `status of ${String(vmid)}`, await client.call("GET", path(kind, vmid, "/status/current")))
        : {};
    const devices = Object.entries(settings).flatMap(([key, value]): [string, string][] =>
      /^hostpci\d+$/.test(key) && typeof value === "string" ? [[key, value]] : [],
    );
    return {
      vmid,
      kind,
      status: running ? (now.qmpstatus === "paused" ? "paused" : "running") : "stopped",
      maxMiB,
      balloonMiB: now.balloon === undefined ? maxMiB : now.balloon / mib,
      usedMiB: (seen.mem ?? 0) / mib,
      cpu: seen.cpu ?? 0,
      ...(seen.lock === undefined ? {} : { lock: seen.lock }),
      devices: Object.fromEntries(devices),
      ballooning: kind === "qemu" && String(settings["balloon"] ?? "") !== "0",
      ...(ask ? { agent: running && (await agentAnswers(vmid)) } : {}),
    };
  }

  /** Runs a task that says "already done" in words when there is nothing to do. */
  async function power(vmid: number, verb: string, params: Record<string, number>, taskMs: number, already: RegExp) {
    const kind = kinds.get(vmid) ?? "qemu";
    try {
      await client.run("POST", path(kind, vmid, `/status/${verb}`), params, taskMs);
    } catch (error) {
      if (!(error instanceof PveError) || !already.test(error.said)) throw error;
    }
  }

  async function set(vmid: number, params: Record<string, string | number>): Promise<void> {
    await client.call("PUT", path("qemu", vmid, "/config"), params);
  }

  return {
    async observe(vmids, ask) {
      const [vms, containers] = [await rows("qemu"), await rows("lxc")];
      const all = [...vms.map((seen) => ["qemu", seen] as const), ...containers.map((seen) => ["lxc", seen] as const)];
      const guests: GuestSeen[] = [];
      for (const [kind, seen] of all) {
        if (!vmids.includes(seen.vmid)) continue;
        kinds.set(seen.vmid, kind);
        guests.push(await see(kind, seen, seen.vmid === ask));
      }
      return guests;
    },
    async perform(action) {
      const { vmid } = action;
      switch (action.kind) {
        case "start":
          return power(vmid, "start", {}, 300_000, /already running/);
        case "shutdown": {
          const { timeoutSec } = action;
          return power(vmid, "shutdown", { timeout: timeoutSec }, timeoutSec * 1000 + taskGraceMs, /not running/);
        }
        case "stop":
          // A shutdown that waits for the guest holds the guest's lock; this ends it first.
          return power(vmid, "stop", { "overrule-shutdown": 1 }, 60_000, /not running/);
        case "suspend":
          return power(vmid, "suspend", {}, 60_000, /^$/);
        case "resume":
          return power(vmid, "resume", {}, 60_000, /already running/);
        case "balloon": {
          const settings = await configOf("qemu", vmid);
          // With shares above 0 Proxmox moves 100 MiB every 10 s; with 0, and only then, a target applies at once.
          if (String(settings["shares"] ?? "") !== "0") await set(vmid, { shares: 0 });
          return set(vmid, { balloon: Math.round(action.targetMiB) });
        }
        case "detach": {
          const before = (await configOf("qemu", vmid))[action.slot];
          if (typeof before !== "string" || !sameDevice(before, action.device)) return;
          return set(vmid, { delete: action.slot });
        }
        case "attach": {
          const before = (await configOf("qemu", vmid))[action.slot];
          if (typeof before === "string" && sameDevice(before, action.device)) return;
          if (before !== undefined)
            throw new PveError("refused", `VM ${String(vmid)}`, `${action.slot} holds another device`);
          return set(vmid, { [action.slot]: action.device });
        }
        case "ask":
          return;
      }
    },
  };
}
