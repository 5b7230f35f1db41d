import { FaultsError } from "../../components/shared/faults.ts";
import type { Deployment, Session } from "../engine/session.ts";
import { CommandFailure } from "../output/failure.ts";
import { progress } from "../output/terminal.ts";
import { ProxmoxApi } from "../proxmox/api.ts";
import { sshRun } from "../proxmox/ssh.ts";
import type { HostConnection, Target } from "../targets/target.ts";
import { decodeState, withoutPending, withoutResources } from "./deployment.ts";
import { tellMended } from "./attributes.ts";
import { type LockInfo, breakLock, judgeLock, observeHolder, readLocks } from "./lock.ts";
import { clearRules, deleteObject, observeHost } from "./observe.ts";
import { endOrphanedPlugins } from "./plugins.ts";
import { undoSteps } from "./undo.ts";
import { type RepairPlan, planRepair } from "./plan.ts";

/** How long a live engine whose parent may have died is given to end by itself, in seconds. */
const patienceSec = 120;

/**
 * Clears the locks of dead holders and the files they left half-made. Waits a while for a live holder.
 * @returns what was cleared, a line each
 * @throws CommandFailure naming a holder that stays
 */
export async function clearLocks(
  target: Target,
  options: { readonly dryRun?: boolean; readonly patienceSec?: number } = {},
): Promise<string[]> {
  if (target.backendFolder === undefined) return [];
  const { backendFolder, project, stack } = target;
  const broken: string[] = [];
  const giveUp = Date.now() + (options.patienceSec ?? patienceSec) * 1000;
  let told = false;
  for (;;) {
    const live: { lock: LockInfo; why: string }[] = [];
    for (const lock of readLocks(backendFolder, project, stack)) {
      const verdict = judgeLock(lock, observeHolder(lock));
      if (verdict.kind === "dead") {
        progress(`repair: the stack's lock is broken: ${verdict.why}`);
        broken.push(verdict.why);
        if (options.dryRun !== true) breakLock(lock);
      } else live.push({ lock, why: verdict.why });
    }
    const [first] = live;
    if (options.dryRun === true) return broken;
    if (first === undefined) {
      endOrphanedPlugins(`file://${backendFolder}`);
      return [...broken, ...(await tellMended(backendFolder))];
    }
    if (Date.now() >= giveUp)
      throw new CommandFailure(
        `the stack is locked: ${first.why}. Wait for it to end; a lock of a live process is never broken.`,
      );
    if (!told) progress(`waiting up to ${String(patienceSec)} s for another update: the stack's lock is ${first.why}`);
    told = true;
    await new Promise((done) => setTimeout(done, 500));
  }
}

export interface Repaired {
  readonly plan: RepairPlan;
  readonly done: readonly string[];
}

/**
 * Resolves what a killed run left on the host and in the state. @throws FaultsError when an object stands in the way
 * that is not ours; nothing is changed then.
 */
export async function repairStack(
  session: Session,
  host: HostConnection | undefined,
  options: {
    readonly dryRun?: boolean;
    /** The state, where it was just read: each look starts the engine. */
    readonly exported?: Deployment | undefined;
  } = {},
): Promise<Repaired> {
  const exported = options.exported ?? (await session.exportState());
  const state = decodeState(exported.deployment);
  const api = host === undefined ? undefined : new ProxmoxApi(host);
  const { project, stack } = session.target;
  const objects = api === undefined ? [] : await observeHost(api, `hive-${stack}-`);
  const plan = planRepair({ project, stack, state, host: objects });
  if (plan.faults.length > 0) throw new FaultsError("repair stops, nothing was changed", plan.faults);
  const undone =
    host === undefined
      ? { done: [], forget: [] }
      : await undoSteps(host, { project, stack, state }, options.dryRun === true);
  const done = [...undone.done];
  for (const step of plan.steps) {
    const what = "object" in step ? `${step.object.kind} ${step.object.id}` : step.urn;
    const line = `${step.kind} ${what}: ${step.why}`;
    progress(`repair: ${options.dryRun === true ? "would " : ""}${line}`);
    done.push(line);
    if (options.dryRun === true || api === undefined || host === undefined) continue;
    if (step.kind === "unlock-guest") await unlockGuest(host, step.object.id, step.object.guestType);
    if (step.kind === "clear-rules") await clearRules(api, step.object);
    if (step.kind === "delete") await deleteObject(api, step.object);
  }
  if (options.dryRun === true) return { plan, done };
  const forget = new Set(undone.forget);
  if (state.pending.length + forget.size > 0)
    await session.importState({
      ...exported,
      deployment: withoutResources(withoutPending(exported.deployment), forget),
    });
  const again = plan.steps.flatMap((step) => (step.kind === "refresh" && !forget.has(step.urn) ? [step.urn] : []));
  if (again.length > 0) {
    const outcome = await session.run("refresh", { target: again });
    if (!outcome.succeeded)
      throw new CommandFailure(`repair: the state could not be read again: ${outcome.message ?? ""}`);
  }
  return { plan, done };
}

/** Only root may lift a guest's lock. */
async function unlockGuest(host: HostConnection, id: string, guestType: "qemu" | "lxc" | undefined): Promise<void> {
  if (!/^\d+$/.test(id)) return;
  const result = await sshRun(host.ssh, `${guestType === "lxc" ? "pct" : "qm"} unlock ${id}`);
  if (result.code !== 0) throw new CommandFailure(`guest ${id} could not be unlocked: ${result.stderr.trim()}`);
}
