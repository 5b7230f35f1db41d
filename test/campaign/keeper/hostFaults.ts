/** The faults of the host side: Proxmox fails, the host side is killed, the link to the arbiter is cut. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Random } from "./faults.ts";
import { pick } from "./faults.ts";
import type { HostArena } from "./hostArena.ts";
import { planOf } from "./hostArena.ts";
import type { LabFault } from "./hostWorld.ts";
import { vms } from "./hostWorld.ts";

/** What a fault did, for the log of the campaign. It leaves the fault ended. */
export type HostFault = (arena: HostArena, random: Random) => Promise<string>;

/** How the API fails, until it is mended or so many calls were hit. */
const outages: Readonly<Record<string, readonly LabFault[]>> = {
  "500 for every call": [{ kind: "500" }],
  "500 for whatever changes something": [
    { kind: "500", method: "POST" },
    { kind: "500", method: "PUT" },
  ],
  "500 for the lists": [{ kind: "500", path: "^/nodes/pve/(qemu|lxc)$" }],
  "connections that drop": [{ kind: "drop" }],
  "answers lost after the work": [
    { kind: "drop", phase: "after", method: "POST", times: 3 },
    { kind: "drop", phase: "after", method: "PUT", times: 2 },
  ],
  "calls that hang": [{ kind: "timeout", delayMs: 400 }],
  "tasks that take long": [{ kind: "slow-task", method: "POST", delayMs: 400, times: 2 }],
};

const failpoints = [
  "host.before-act",
  "host.after-act",
  "host.before-journal",
  "host.before-take-back",
  "journal.before-write",
  "journal.after-fsync",
] as const;

const between = (low: number, high: number, random: Random): number => Math.floor(low + random() * (high - low));

/** EVA holds the card when it happens, or nobody does. */
async function maybeHeld(arena: HostArena, random: Random): Promise<void> {
  const { daemon } = arena.arbiter;
  if (random() < 0.5 || daemon === undefined || daemon.over) return;
  const { state, lease, token } = await daemon.ask("eva", { waitSec: 1 });
  if (state !== "held") throw new Error(`EVA is ${state} before the fault`);
  arena.held = { lease, token };
}

/** While Proxmox fails the card is wanted by another VM, or the market opens and closes, and a VM with it. */
const pveErrors: HostFault = async (arena, random) => {
  await arena.running();
  const outage = pick(Object.keys(outages), random);
  await maybeHeld(arena, random);
  const wanted = random() < 0.6 ? "handoff" : "market";
  const first = random() < 0.5;
  const breakApi = async (): Promise<void> => {
    for (const fault of outages[outage] ?? []) await arena.world.breakApi(fault);
  };
  try {
    if (first) await breakApi();
    if (wanted === "handoff") await arena.handoff();
    else await arena.market(true);
    await sleep(between(0, 1800, random));
    if (!first) await breakApi();
    await sleep(between(100, 900, random));
    if (wanted === "market") await arena.market(false);
  } finally {
    await arena.world.mendApi();
  }
  const { held } = arena;
  if (held !== undefined && wanted === "market") {
    const kept = await arena.arbiter.daemon?.renew(held.lease);
    if (kept?.state !== "held" || kept.token !== held.token)
      throw new Error(`the grant is lost: ${JSON.stringify(kept)}`);
  }
  return `${outage}, ${first ? "before" : "amid"} a ${wanted}`;
};

const hostKilled: HostFault = async (arena, random) => {
  await maybeHeld(arena, random);
  if (random() < 0.4) {
    await arena.running();
    await arena.handoff();
    const afterMs = between(0, 2500, random);
    await sleep(afterMs);
    await arena.kill();
    return `SIGKILL ${String(afterMs)} ms into a handoff`;
  }
  await arena.kill();
  const point = `${pick(failpoints, random)}=kill:${String(between(1, 7, random))}`;
  const host = await arena.start(point);
  const isUp = (status: Readonly<Record<string, unknown>>): boolean =>
    status["proxmox"] === "up" && (!arena.arbiter.up || status["arbiter"] === "heard");
  if (await arena.until(isUp)) {
    const { id } = await arena.handoff();
    await arena.until(
      (status) => planOf(status)["id"] !== id || ["done", "undone"].includes(String(planOf(status)["step"])),
    );
  }
  const fell = host.over;
  await arena.kill();
  return `SIGKILL at ${fell ? point : "the end of a handoff"}`;
};

const linkCut: HostFault = async (arena, random) => {
  await arena.running();
  await maybeHeld(arena, random);
  const { proxy, world } = arena;
  const how = pick(["cut", "held up", "held down"] as const, random);
  const first = random() < 0.4;
  const forMs = between(200, 2500, random);
  const strike = (): void => {
    proxy.refuse = how === "cut";
    proxy.holdUp = how === "held up";
    proxy.holdDown = how === "held down";
    if (how === "cut") proxy.cut();
  };
  try {
    if (first) {
      strike();
      if (arena.arbiter.up && !(await arena.until(({ arbiter }) => arbiter === "silent")))
        throw new Error("a link that is cut is not noticed");
    }
    const { from } = await arena.handoff();
    if (!first) {
      await sleep(between(0, 800, random));
      strike();
    }
    await sleep(forMs);
    const ai = await world.machine(vms.ai);
    if (first && from === vms.ai && (ai.run !== "running" || !ai.hasCard))
      throw new Error("the card was taken from an arbiter that cannot be heard");
  } finally {
    Object.assign(proxy, { refuse: false, holdUp: false, holdDown: false });
  }
  return `the link ${how} for ${String(forMs)} ms, ${first ? "before" : "amid"} a handoff`;
};

/** Every kind of fault of the host side, by name. */
export const hostFaults: Readonly<Record<string, HostFault>> = { pveErrors, hostKilled, linkCut };
