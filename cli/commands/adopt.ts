import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Declared, planAdoption, renderAdoption } from "../adopt/plan.ts";
import type { Invocation } from "../args/parse.ts";
import type { Outcome } from "../engine/session.ts";
import { parseUrn } from "../engine/urn.ts";
import { CommandFailure } from "../output/failure.ts";
import { ask, print, printJson, progress } from "../output/terminal.ts";
import { ProxmoxApi } from "../proxmox/api.ts";
import { decodeState } from "../repair/deployment.ts";
import { clearLocks } from "../repair/execute.ts";
import { objectOf } from "../repair/objects.ts";
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
      const outcome = await session.run("preview");
      if (!outcome.succeeded) throw failureOf(outcome, "the preview that adopt compares with");
      const { resources } = decodeState((await session.exportState()).deployment);
      const known = resources.flatMap(({ type, inputs }) => objectOf(type, inputs) ?? []);
      const objects = await observeHost(new ProxmoxApi(host));
      const plan = planAdoption({
        declared: declaredIn(outcome),
        host: objects,
        known,
        node: host.nodeName,
        only: invocation.only,
      });
      if (plan.faults.length > 0) throw new CommandFailure("nothing was adopted", { faults: plan.faults });
      const document = {
        stack: context.target.stack,
        adopt: plan.adoptable.map(({ object, declared, importId }) => ({
          kind: object.kind,
          id: object.id,
          urn: declared.urn,
          importId,
        })),
        missing: plan.missing.map(({ object }) => object),
        strangers: plan.strangers.map(({ kind, id }) => ({ kind, id })),
      };
      if (!invocation.json) await print(renderAdoption(plan));
      if (invocation.dryRun || plan.adoptable.length === 0) {
        if (invocation.json) await printJson({ ...document, result: "planned" });
        return 0;
      }
      if (!invocation.yes && (await ask(`Adopt ${String(plan.adoptable.length)} object(s)? Type yes: `)) !== "yes")
        throw new CommandFailure("not confirmed; nothing was adopted (--yes confirms)", { exitCode: 2 });
      const folder = mkdtempSync(join(tmpdir(), "hive-adopt-"));
      try {
        const file = join(folder, "import.json");
        const list = plan.adoptable.map(({ declared, importId }) => ({
          type: declared.type,
          name: declared.name,
          id: importId,
        }));
        writeFileSync(file, JSON.stringify({ resources: list }), { mode: 0o600 });
        await session.engine([
          "import",
          "--yes",
          "--skip-preview",
          "--generate-code=false",
          "--protect=false",
          "--file",
          file,
          "--stack",
          session.target.stack,
        ]);
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
      progress(`adopted ${String(plan.adoptable.length)} object(s); hive preview shows what differs from the plan`);
      if (invocation.json) await printJson({ ...document, result: "succeeded" });
      return 0;
    },
    { withPolicies: false },
  );
}

/** What the preview would create and where it would be on the host. */
function declaredIn(outcome: Outcome): Declared[] {
  return outcome.events.flatMap((event) => {
    const metadata = event.resourcePreEvent?.metadata;
    if (metadata?.op !== "create") return [];
    const inputs: Record<string, unknown> = { ...metadata.new?.inputs };
    const object = objectOf(metadata.type, inputs);
    const name = parseUrn(metadata.urn)?.name;
    if (object === undefined || object.kind === "file" || name === undefined) return [];
    return [{ urn: metadata.urn, type: metadata.type, name, parent: metadata.new?.parent, object }];
  });
}
