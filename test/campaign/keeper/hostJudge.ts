/** What must hold of both sides of the Keeper once a fault is over. */
import { setTimeout as sleep } from "node:timers/promises";
import type { HostArena } from "./hostArena.ts";
import { planOf } from "./hostArena.ts";
import type { Machine } from "./hostWorld.ts";
import { vms } from "./hostWorld.ts";

const ended: readonly unknown[] = [undefined, "done", "undone"];

export interface Recovery {
  /** The start of a new host side is part of it, ms. */
  readonly tookMs: number;
  /** How the handoff ended that the fault had asked for; undefined where none was begun. */
  readonly handoff: "done" | "undone" | undefined;
}

/** The fault is over: everything must be well within the bound. @throws Error with everything that is not as promised */
export async function judgeHost(arena: HostArena, withinMs: number): Promise<Recovery> {
  const began = performance.now();
  if (arena.held !== undefined) await arena.arbiter.daemon?.release(arena.held.lease).catch(() => undefined);
  arena.held = undefined;
  for (;;) {
    await arena.running();
    const wrong = await whatIsWrong(arena);
    const tookMs = performance.now() - began;
    const breaches = [...arena.breaches, ...unaskedStops(arena)];
    if (breaches.length > 0) throw new Error(breaches.join("; "));
    if (tookMs > withinMs) {
      const what = wrong.length === 0 ? "recovered" : `wrong: ${wrong.join("; ")}`;
      throw new Error(`${what} after ${tookMs.toFixed(0)} ms\n${arena.log.slice(-2500)}`);
    }
    if (wrong.length === 0) {
      const { id, step } = planOf(await arena.status());
      const isOurs = id !== undefined && id === arena.asked?.id;
      return { tookMs, handoff: isOurs && (step === "done" || step === "undone") ? step : undefined };
    }
    await sleep(25);
  }
}

async function whatIsWrong(arena: HostArena): Promise<string[]> {
  const status = await arena.status();
  if (status === undefined) return ["the host side does not answer"];
  const plan = planOf(status);
  const machines = await arena.world.machines();
  const wrong = wrongMachines(machines, cardBelongs(arena, plan));
  if (status["proxmox"] !== "up") wrong.push(`Proxmox: ${String(status["proxmox"])}`);
  if (!ended.includes(plan["step"])) wrong.push(`the handoff is still at ${String(plan["step"])}`);
  const hasArbiter = machines.some(({ vmid, run }) => vmid === vms.ai && run === "running");
  return hasArbiter ? [...wrong, ...(await wrongLink(arena, status))] : wrong;
}

/** The VM that must have the card now. */
function cardBelongs({ asked, owner }: HostArena, plan: Readonly<Record<string, unknown>>): number {
  return asked !== undefined && plan["id"] === asked.id && plan["step"] === "done" ? asked.to : owner;
}

function wrongMachines(machines: readonly Machine[], owner: number): string[] {
  return machines.flatMap(({ vmid, run, lock, hasCard }) => {
    const name = `VM ${String(vmid)}`;
    const wanted = vmid === owner || vmid === vms.worker ? "running" : "stopped";
    return [
      ...(run === wanted ? [] : [`${name} is ${run}, wanted ${wanted}`]),
      ...(lock === undefined ? [] : [`${name} is locked: ${lock}`]),
      ...(hasCard === (vmid === owner) ? [] : [`${name} ${hasCard ? "has" : "has not"} the card`]),
    ];
  });
}

/** Constraints must flow again, and EVA must be granted the card, unless it is promised to a handoff that was undone. */
async function wrongLink(arena: HostArena, status: Readonly<Record<string, unknown>>): Promise<string[]> {
  if (status["arbiter"] !== "heard") return [`the arbiter is ${String(status["arbiter"])}`];
  const { daemon } = arena.arbiter;
  const told = await daemon?.status().catch(() => undefined);
  if (daemon === undefined || told === undefined) return ["the arbiter does not answer"];
  // Without the host side's word the arbiter takes the market as open.
  if (told.constraint === null || told.constraint.marketOpen) return ["the arbiter knows no constraint"];
  const promised = told.constraint.handoff;
  if (promised && arena.arbiter.releases === 0) return ["the arbiter is told of a handoff that is over"];
  const answer = await daemon.ask("eva", { waitSec: promised ? 0.05 : 1 }).catch(() => undefined);
  // Its VM may be stopped at any moment.
  const released = answer === undefined ? undefined : await daemon.release(answer.lease).catch(() => undefined);
  if (answer === undefined || released === undefined) return ["the arbiter does not answer EVA"];
  if (promised) return answer.state === "held" ? ["EVA was granted a card that is promised away"] : [];
  return answer.state === "held" ? [] : [`EVA is ${answer.state}`];
}

/** Each time a handoff went on to stop VM 100 its arbiter must have released the card to it. */
function unaskedStops({ asked, log, arbiter }: HostArena): string[] {
  if (asked?.from !== vms.ai) return [];
  const passes = log
    .split("\n")
    .filter((line) => /"what":"handoff stop-from"/.test(line) && line.includes(`"${asked.id}"`));
  return passes.length <= arbiter.releases
    ? []
    : [`VM 100 was to be stopped ${String(passes.length)} times, and released ${String(arbiter.releases)} times`];
}
