import { dirname, join } from "node:path";
import { appendFileSync, mkdirSync } from "node:fs";
import type { Invocation } from "../args/parse.ts";
import { agentOfStack } from "../args/stacks.ts";
import { planRelease, type ReleasePlan } from "../destroy/protection.ts";
import { describeChanges } from "../engine/changes.ts";
import type { Deployment, Session } from "../engine/session.ts";
import { describeUrn } from "../engine/urn.ts";
import { CommandFailure } from "../output/failure.ts";
import { ask, print, printJson, progress } from "../output/terminal.ts";
import { ProxmoxApi } from "../proxmox/api.ts";
import { type StateResource, decodeState, withoutProtection } from "../repair/deployment.ts";
import { clearLocks, repairStack } from "../repair/execute.ts";
import { observeHost } from "../repair/observe.ts";
import { forgetRunning, rememberRunning } from "../repair/runState.ts";
import type { HostConnection, Target } from "../targets/target.ts";
import { labStateFolder } from "../targets/stateFolder.ts";
import { failureOf } from "./bringUp.ts";
import { stackOf, withContext } from "./context.ts";
import { hostOf } from "./host.ts";
import { readyForChange } from "./ready.ts";

/** `hive destroy`: takes a stack down, but never a protected guest that was not named. */
export async function destroy(invocation: Invocation): Promise<number> {
  const agent = agentOfStack(stackOf(invocation));
  // Its registration goes with it.
  if (agent !== undefined)
    return (await import("./agent/destroy.ts")).destroyAgent({ ...invocation, positionals: [agent] });
  return withContext(
    invocation,
    async (context) => {
      const session = await context.open();
      const stack = session.target.stack;
      const first = await planDestroy(session, invocation);
      if (invocation.dryRun) {
        const { custom, plan } = first;
        await clearLocks(context.target, { dryRun: true });
        await repairStack(session, await hostOf(context, session), { dryRun: true });
        const document = {
          stack,
          result: "planned",
          delete: custom.map(({ urn }) => urn),
          unprotect: plan.released.map(({ id }) => id),
        };
        if (invocation.json) await printJson(document);
        else await print(custom.map(({ urn }) => `delete ${describeUrn(urn)}`).join("\n") || "nothing to delete");
        return 0;
      }
      if (first.custom.length > 0) await confirm(invocation, stack, first.custom.length, first.plan);
      await readyForChange(context, { ...invocation, skipPreflight: true }, session);
      // Repair, or an update that was waited for, has changed the state.
      const { exported, plan, custom } = await planDestroy(session, invocation);
      if (custom.some(({ urn }) => !first.custom.some((known) => known.urn === urn)))
        throw new CommandFailure(`${stack} has grown since it was confirmed; nothing was destroyed. Run it again.`);
      const host = await hostOf(context, session);
      await release(session, host, plan, exported);
      if (host !== undefined) await rememberRunning(context.target, host);
      const outcome = await session.run("destroy");
      if (!outcome.succeeded) throw failureOf(outcome, `destroy of ${stack}`, { stack });
      forgetRunning(context.target);
      const { changes } = outcome.progress;
      progress(`${stack}: ${describeChanges(changes, false)}`);
      if (invocation.json)
        await printJson({
          stack,
          result: "succeeded",
          changes,
          unprotected: plan.released.map(({ id }) => id),
          seconds: Math.round(process.uptime() * 10) / 10,
        });
      return 0;
    },
    { withPolicies: false },
  );
}

interface DestroyPlan {
  readonly exported: Deployment;
  readonly plan: ReleasePlan;
  /** What lies on the host or beside it; components and providers do not. */
  readonly custom: readonly StateResource[];
}

/** What would be destroyed. Changes nothing. @throws CommandFailure while a protected guest was not let go */
async function planDestroy(session: Session, { unprotect }: Invocation): Promise<DestroyPlan> {
  const exported = await session.exportState();
  const { resources } = decodeState(exported.deployment);
  const plan = planRelease(resources, unprotect);
  refuseHeld(plan, session.target.stack, unprotect);
  const custom = resources.filter(({ type }) => !type.startsWith("pulumi:") && !type.startsWith("hive:"));
  return { exported, plan, custom };
}

/** Refuses while a protected guest was not let go, naming each. */
function refuseHeld(plan: ReleasePlan, stack: string, unprotect: readonly string[]): void {
  if (plan.unknown.length > 0)
    throw new CommandFailure(
      `--unprotect names ${plan.unknown.join(", ")}, which ${plan.unknown.length === 1 ? "is no protected guest" : "are no protected guests"} of ${stack}; protected: ${plan.guests.map(({ id }) => id).join(", ") || "none"}`,
      { exitCode: 2 },
    );
  if (plan.held.length === 0 && (plan.others.length === 0 || unprotect.includes("all"))) return;
  const names = plan.held.map(({ id, name }) => `${id} (${name})`);
  throw new CommandFailure(
    `${stack} holds protected guests, nothing was destroyed: ${[...names, ...plan.others.map(describeUrn)].join(", ")}. ` +
      `Let them go, with all their data: hive destroy ${stack} --unprotect ${plan.guests.map(({ id }) => id).join(",")}`,
    { details: { stack, protected: plan.held.map(({ id, name }) => ({ id: Number(id), name })) } },
  );
}

async function confirm(invocation: Invocation, stack: string, count: number, plan: ReleasePlan): Promise<void> {
  if (invocation.yes) return;
  const guests = plan.released.map(({ id, name }) => `${id} (${name})`).join(", ");
  const answer = await ask(
    `${String(count)} objects will be deleted${guests === "" ? "" : `, the protected guests ${guests} among them`}. Type the stack's name to go on: `,
  );
  if (answer === undefined) throw new CommandFailure("there is no terminal to confirm on: add --yes", { exitCode: 2 });
  if (answer !== stack) throw new CommandFailure("not confirmed; nothing was destroyed");
}

/**
 * Lifts the protection, written down first: Proxmox's own flag, with which it refuses the deletion, then the state's.
 * In this order, because the state's is the one that is asked for by name: a run killed in between is completed by the
 * same command, and taken back by the next `up`.
 */
async function release(
  session: Session,
  host: HostConnection | undefined,
  plan: ReleasePlan,
  exported: Awaited<ReturnType<Session["exportState"]>>,
): Promise<void> {
  const urns = new Set([...plan.released.flatMap((guest) => guest.urns), ...plan.others]);
  if (urns.size === 0) return;
  const journal = join(
    session.target.kind === "lab" ? labStateFolder().root : join(session.target.workDir, ".hive"),
    "journal.jsonl",
  );
  mkdirSync(dirname(journal), { recursive: true, mode: 0o700 });
  for (const guest of plan.released) {
    appendFileSync(
      journal,
      `${JSON.stringify({ at: new Date().toISOString(), action: "unprotect", stack: session.target.stack, guest: Number(guest.id), reason: "hive destroy --unprotect" })}\n`,
      { mode: 0o600 },
    );
    progress(`guest ${guest.id} (${guest.name}): protection lifted, as --unprotect asks`);
  }
  if (host !== undefined) await releaseOnHost(session.target, host, plan);
  await session.importState({ ...exported, deployment: withoutProtection(exported.deployment, urns) });
}

async function releaseOnHost(target: Target, host: HostConnection, plan: ReleasePlan): Promise<void> {
  const api = new ProxmoxApi(host);
  const wanted = new Set(plan.released.map(({ id }) => id));
  for (const object of await observeHost(api)) {
    if (object.kind !== "guest" || object.protected !== true || !wanted.has(object.id)) continue;
    const { project, stack } = target;
    if (object.mark?.project !== project || object.mark.stack !== stack)
      throw new CommandFailure(
        `guest ${object.id} on the host does not carry the mark of ${stack}: it is not ours to delete`,
      );
    await api.change("PUT", `/nodes/${api.node}/${object.guestType ?? "qemu"}/${object.id}/config`, { protection: 0 });
  }
}
