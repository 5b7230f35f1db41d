import { crc32 } from "node:zlib";
import type { Fault } from "../../components/shared/faults.ts";
import { failureOf } from "../commands/bringUp.ts";
import type { Outcome, Session } from "../engine/session.ts";
import { describeUrn, parseUrn } from "../engine/urn.ts";
import { CommandFailure } from "../output/failure.ts";
import { progress } from "../output/terminal.ts";
import type { DeclaredEstate } from "./declared.ts";
import { type Adoption, stateIdOf } from "./plan.ts";
import { type Entry, providerReference, withAdopted } from "./state.ts";

/** Id of a guest's firewall rules: a checksum of their path (bpg 0.111.1 `GetRulesID`, terraform-plugin-sdk `HashString`). */
export function rulesId(node: string, guestType: "qemu" | "lxc", id: string): string {
  return `rule-${String(crc32(`nodes/${node}/${guestType}/${id}/firewall/rules`))}`;
}

/**
 * Enters the objects into the state under the URNs that the program gives them, reads them from the host, and asks the
 * engine what the next `up` would do with them. When it would replace or delete one, the state is put back as it was.
 * The host itself is only read. Killed at any point it leaves a state that the next command's refresh makes true.
 * @throws CommandFailure naming what would be replaced, and by which field
 */
export async function executeAdoption(
  session: Session,
  node: string,
  adoptions: readonly Adoption[],
  estate: DeclaredEstate,
  guestsWithRules: ReadonlySet<string>,
): Promise<void> {
  const provider = await ensureProvider(session);
  const before = await session.exportState();
  const reference = providerReference(before.deployment, provider);
  if (reference === undefined) throw new CommandFailure("the engine did not keep the provider; nothing was adopted");
  const entries: Entry[] = adoptions.flatMap(({ declared, object }) => {
    const own = { declared, id: stateIdOf(object, node) };
    const rules = object.kind === "guest" ? estate.guestRules.get(object.id) : undefined;
    if (rules === undefined || !guestsWithRules.has(object.id)) return [own];
    return [own, { declared: rules, id: rulesId(node, object.guestType ?? "qemu", object.id) }];
  });
  await session.importState({
    ...before,
    deployment: withAdopted(before.deployment, entries, estate.components, reference),
  });
  const urns = entries.map(({ declared }) => declared.urn);
  let reason: CommandFailure | undefined;
  progress(`adopt: reading ${String(urns.length)} object(s) from the host through the provider`);
  const read = await session.run("refresh", { target: urns });
  if (read.succeeded) {
    progress("adopt: asking the engine what the next up would do with them");
    const preview = await session.run("preview");
    const faults = losses(preview, new Set(urns));
    if (!preview.succeeded) reason = failureOf(preview, "the preview after the adoption");
    else if (faults.length > 0)
      reason = new CommandFailure("nothing was adopted: the next up would not leave it in place", { faults });
  } else reason = failureOf(read, "reading the adopted objects");
  if (reason === undefined) return;
  await session.importState(before);
  throw reason;
}

/** The explicit provider's URN; it is made by itself when the state does not hold it yet. */
async function ensureProvider(session: Session): Promise<string> {
  const { project, stack } = session.target;
  const urn = `urn:pulumi:${stack}::${project}::pulumi:providers:proxmoxve::proxmox`;
  if (providerReference((await session.exportState()).deployment, urn) !== undefined) return urn;
  progress("adopt: the stack is new; its provider is entered first");
  const outcome = await session.run("up", { target: [urn] });
  if (!outcome.succeeded) throw failureOf(outcome, "entering the provider");
  return urn;
}

/** Adopted objects that the next `up` would replace or delete, each with the fields that force it. Pure. */
export function losses(preview: Pick<Outcome, "events">, urns: ReadonlySet<string>): Fault[] {
  const found = new Map<string, Fault>();
  for (const { resourcePreEvent } of preview.events) {
    const metadata = resourcePreEvent?.metadata;
    if (metadata === undefined || !urns.has(metadata.urn) || !/replace|delete/.test(metadata.op)) continue;
    const details = Object.entries(metadata.detailedDiff ?? {});
    const forcing = details.filter(([, { diffKind }]) => /replace/.test(diffKind)).map(([path]) => path);
    const keys = forcing.length > 0 ? forcing : (metadata.keys ?? []);
    found.set(metadata.urn, {
      property: describeUrn(metadata.urn),
      value: `to be ${/replace/.test(metadata.op) ? "replaced" : "deleted"}${keys.length === 0 ? "" : ` because of ${keys.join(", ")}`}`,
      limit: "an object that is changed in place at most",
      fix: `Make the object and the declaration of ${parseUrn(metadata.urn)?.name ?? "it"} agree in these fields, then run hive adopt again.`,
    });
  }
  return [...found.values()];
}
