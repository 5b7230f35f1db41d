import { asAdopted, declaredIn } from "../adopt/declared.ts";
import { executeAdoption } from "../adopt/execute.ts";
import { declaredFields, differences, foundFields } from "../adopt/fields.ts";
import { adoptionHazards } from "../adopt/hazards.ts";
import { type AdoptPlan, planAdoption, renderAdoption, stateIdOf } from "../adopt/plan.ts";
import { type FoundObject, bridgeNames, readObject } from "../adopt/read.ts";
import type { Invocation } from "../args/parse.ts";
import { CommandFailure } from "../output/failure.ts";
import { ask, print, printJson, progress } from "../output/terminal.ts";
import { settingsOf } from "../preflight/check.ts";
import { ProxmoxApi } from "../proxmox/api.ts";
import { decodeState } from "../repair/deployment.ts";
import { clearLocks } from "../repair/execute.ts";
import { type HostObject, objectOf } from "../repair/objects.ts";
import { observeHost } from "../repair/observe.ts";
import { failureOf } from "./bringUp.ts";
import { withContext } from "./context.ts";
import { hostOf } from "./host.ts";

/** `hive adopt`: imports what the host has and the stack declares, after showing it. Strangers stay untouched. */
export async function adopt(invocation: Invocation): Promise<number> {
  return withContext(
    invocation,
    async (context) => {
      await clearLocks(context.target);
      const session = await context.open();
      const host = await hostOf(context, session);
      if (host === undefined)
        throw new CommandFailure("endpoint and apiToken are needed: pulumi config set --secret hive:apiToken");
      const settings = await settingsOf(context.target, session);
      progress("adopt: asking the engine what the stack declares");
      const outcome = await session.run("preview");
      if (!outcome.succeeded) throw failureOf(outcome, "the preview that adopt compares with");
      const estate = declaredIn(outcome.events);
      const { resources } = decodeState((await session.exportState()).deployment);
      progress(`adopt: asking ${host.endpoint} what is there`);
      const api = new ProxmoxApi(host);
      const bridges = await bridgeNames(api);
      const objects = (await observeHost(api)).filter(({ kind, id }) => kind !== "bridge" || bridges.has(id));
      const keyOf = ({ kind, id }: Pick<HostObject, "kind" | "id">): string => `${kind} ${id}`;
      const claimed = new Set(estate.resources.map(({ object }) => keyOf(object)));
      const found = new Map<string, FoundObject>();
      for (const object of objects)
        if (claimed.has(keyOf(object))) found.set(keyOf(object), await readObject(api, object));
      const configOf = (object: Pick<HostObject, "kind" | "id">): FoundObject["config"] =>
        found.get(keyOf(object))?.config ?? {};
      const plan = planAdoption({
        declared: estate.resources.map((each) => asAdopted(each, configOf(each.object))),
        host: objects,
        known: resources.flatMap(({ type, inputs }) => objectOf(type, inputs) ?? []),
        references: referencesOf(settings, objects),
        pools: settings === undefined ? [] : [settings.storage.pool],
        only: invocation.only,
        differencesOf: ({ type, inputs }, object) =>
          differences(declaredFields(type, inputs), foundFields(object.kind, configOf(object))),
        hazardsOf: (declared, object) =>
          adoptionHazards(declared, { guestType: object.guestType, running: object.running, config: configOf(object) }),
      });
      if (!invocation.json) await print(renderAdoption(plan));
      const document = describe(context.target.stack, plan, host.nodeName);
      if (plan.faults.length > 0)
        throw new CommandFailure("nothing was adopted", { faults: plan.faults, details: document });
      if (invocation.dryRun || plan.adoptable.length === 0) {
        if (invocation.json) await printJson({ ...document, result: "planned" });
        return 0;
      }
      await confirm(invocation, plan.adoptable.length);
      const guestsWithRules = new Set(
        [...found.values()].filter(({ rules }) => rules > 0).map(({ object }) => object.id),
      );
      await executeAdoption(session, host.nodeName, plan.adoptable, estate, guestsWithRules);
      progress(`adopted ${String(plan.adoptable.length)} object(s); hive up changes them in place to what is declared`);
      if (invocation.json) await printJson({ ...document, result: "succeeded" });
      return 0;
    },
    { withPolicies: false },
  );
}

async function confirm(invocation: Invocation, count: number): Promise<void> {
  if (invocation.yes) return;
  const answer = await ask(`Adopt ${String(count)} object(s)? The next hive up changes them as shown. Type yes: `);
  if (answer === undefined) throw new CommandFailure("there is no terminal to confirm on: add --yes", { exitCode: 2 });
  if (answer !== "yes") throw new CommandFailure("not confirmed; nothing was adopted", { exitCode: 2 });
}

/** What the stack builds on without managing it: the LAN's bridge and every storage that is not its own. */
function referencesOf(
  settings: Awaited<ReturnType<typeof settingsOf>>,
  objects: readonly HostObject[],
): Pick<HostObject, "kind" | "id">[] {
  if (settings === undefined) return [];
  const { storage, networks } = settings;
  const onPool = objects.filter(
    ({ kind, pool, id }) => kind === "storage" && id !== storage.id && pool?.split("/")[0] === storage.pool,
  );
  return [{ kind: "bridge", id: networks.lan.bridge }, { kind: "storage", id: storage.files }, ...onPool];
}

/** The document of `--json`. */
function describe(stack: string, plan: AdoptPlan, node: string): Readonly<Record<string, unknown>> {
  return {
    stack,
    adopt: plan.adoptable.map(({ object, declared, differences: changes }) => ({
      kind: object.kind,
      id: object.id,
      urn: declared.urn,
      stateId: stateIdOf(object, node),
      changes,
    })),
    references: plan.references,
    missing: plan.missing.map(({ object }) => object),
    strangers: plan.strangers.map(({ kind, id }) => ({ kind, id })),
  };
}
