import type { Fault } from "../../components/shared/faults.ts";
import { describeUrn } from "../engine/urn.ts";
import type { State } from "./deployment.ts";
import { type HostObject, guestOf, objectOf } from "./objects.ts";

/** One thing that repair does, in this order: the host, then the state. */
export type RepairStep =
  | { readonly kind: "unlock-guest"; readonly object: HostObject; readonly why: string }
  | { readonly kind: "delete"; readonly object: HostObject; readonly urn: string; readonly why: string }
  | { readonly kind: "clear-rules"; readonly object: HostObject; readonly why: string }
  | { readonly kind: "forget"; readonly urn: string; readonly operation: string; readonly why: string }
  | { readonly kind: "refresh"; readonly urn: string; readonly why: string };

export interface RepairPlan {
  readonly steps: readonly RepairStep[];
  /** What only a person can decide; anything here stops the run. */
  readonly faults: readonly Fault[];
}

export interface RepairInput {
  readonly project: string;
  readonly stack: string;
  readonly state: State;
  /** Every object on the host of the kinds that we make; of files, only those with our prefix. */
  readonly host: readonly HostObject[];
}

const noun: Readonly<Record<HostObject["kind"], string>> = {
  guest: "guest",
  bridge: "bridge",
  mapping: "resource mapping",
  storage: "storage",
  file: "file",
  group: "security group",
};
const keyOf = (object: Pick<HostObject, "kind" | "id">): string => `${object.kind} ${object.id}`;

/**
 * What must be done so that the next `up` converges after a run was killed. Pure.
 * - A pending create whose object is on the host and carries our mark with the same URN: the half-made object is
 *   deleted (nothing acknowledged it, so nothing was built on it) and `up` makes it again.
 * - The same without our mark: a fault that names it. Files carry no mark: their name, which begins with
 *   `hive-STACK-`, tells that they are ours, and the state that nothing refers to them.
 * - Pending updates and deletes: the resource is read again from the host.
 * - An object with the mark of our stack that the state does not know (killed between create and state write): deleted
 *   too, unless somebody may use it ({@link usedAs}); that is for `hive adopt`.
 * - A lock on a guest of ours that a killed task left is lifted.
 * - Firewall rules of a guest of ours, when the state has neither its rules nor its firewall's options (which come after
 *   the rules): the creation of the rules was cut off. They are cleared, because the provider adds none to existing ones.
 */
export function planRepair(input: RepairInput): RepairPlan {
  const { state, host, project, stack } = input;
  const astray = emptyBackend(input);
  if (astray !== undefined) return { steps: [], faults: [astray] };
  const steps: RepairStep[] = [];
  const faults: Fault[] = [];
  const byKey = new Map(host.map((object) => [keyOf(object), object]));
  const handled = new Set<string>();
  const ours = (object: HostObject): boolean => object.mark?.project === project && object.mark.stack === stack;
  const remove = (object: HostObject, urn: string, why: string): void => {
    if (handled.has(keyOf(object))) return;
    handled.add(keyOf(object));
    if (object.lock !== undefined)
      steps.push({ kind: "unlock-guest", object, why: `a killed task left its lock "${object.lock}"` });
    steps.push({ kind: "delete", object, urn, why });
  };
  const known = new Set<string>();
  for (const resource of state.resources) {
    const place = objectOf(resource.type, resource.inputs);
    if (place !== undefined) known.add(keyOf(place));
  }

  for (const { resource, type } of state.pending) {
    const place = objectOf(resource.type, resource.inputs);
    const object = place === undefined ? undefined : byKey.get(keyOf(place));
    const inState = state.resources.some((each) => each.urn === resource.urn);
    const what = describeUrn(resource.urn);
    if (type === "creating" || type === "importing") {
      if (object !== undefined && !(inState && known.has(keyOf(object)))) {
        if (object.kind === "file") remove(object, resource.urn, `its creation for ${what} was cut off`);
        else if (object.kind === "storage" && object.pool !== undefined && object.pool === resource.inputs["zfsPool"])
          remove(object, resource.urn, `its creation for ${what} was cut off; the definition goes, no data`);
        else if (ours(object) && object.mark?.urn === resource.urn)
          removeUnlessUsed(object, resource.urn, true, `its creation for ${what} was cut off`);
        else {
          handled.add(keyOf(object));
          faults.push({
            property: `${noun[object.kind]} ${object.id}`,
            value:
              object.mark === undefined
                ? "without our mark"
                : `marked for ${object.mark.stack} ${describeUrn(object.mark.urn)}`,
            limit: `an object that carries the mark of ${what} in stack ${stack}`,
            fix: `It is not ours to change. Remove or rename it on the host, or take it in: hive adopt --only ${object.id}`,
          });
          continue;
        }
      }
      steps.push({ kind: "forget", urn: resource.urn, operation: type, why: `${what}: creation was cut off` });
    } else {
      steps.push({ kind: "forget", urn: resource.urn, operation: type, why: `${what}: ${type} was cut off` });
      if (inState)
        steps.push({ kind: "refresh", urn: resource.urn, why: `${what}: its real state is read from the host` });
    }
  }

  const walled = new Set(state.resources.map(({ type, inputs }) => guestOf(type, inputs)));
  for (const object of host) {
    if (object.kind === "file" && !known.has(keyOf(object)))
      remove(object, "", `its name is ours (hive-${stack}-), but the state does not know it`);
    if (!ours(object) || handled.has(keyOf(object)) || object.mark === undefined) continue;
    if (!known.has(keyOf(object))) {
      const { urn } = object.mark;
      const why = `it carries the mark of ${describeUrn(urn)}, but the state does not know it: a run was killed in between`;
      removeUnlessUsed(object, urn, hasParent(urn, state), why);
    }
    if (known.has(keyOf(object)) && object.lock !== undefined && /^(create|clone|disk|rollback)$/.test(object.lock)) {
      handled.add(keyOf(object));
      steps.push({ kind: "unlock-guest", object, why: `a killed task left its lock "${object.lock}"` });
    }
    if (known.has(keyOf(object)) && (object.rules ?? 0) > 0 && !walled.has(object.id))
      steps.push({ kind: "clear-rules", object, why: "the creation of its firewall rules was cut off" });
  }
  return { steps, faults };

  function removeUnlessUsed(object: HostObject, urn: string, parentInState: boolean, why: string): void {
    const used = usedAs(object, parentInState);
    if (used === undefined) {
      remove(object, urn, why);
      return;
    }
    handled.add(keyOf(object));
    faults.push({
      property: `${noun[object.kind]} ${object.id}`,
      value: `${used}, marked as ${describeUrn(urn)}, but not in the state`,
      limit: "an object that the state knows, or one that nobody uses yet",
      fix: `Take it in: hive adopt --only ${object.id}. Or delete it yourself if nothing in it is needed.`,
    });
  }
}

/**
 * An empty state beside guests of ours that run: somebody is logged in to another backend than the one that made them.
 * Nothing that the host holds may be taken for half-made then.
 */
function emptyBackend({ state, host, project, stack }: RepairInput): Fault | undefined {
  if (state.resources.length + state.pending.length > 0) return undefined;
  const running = host.filter(
    ({ kind, mark, running: runs }) =>
      kind === "guest" && runs === true && mark?.project === project && mark.stack === stack,
  );
  if (running.length === 0) return undefined;
  return {
    property: `state of stack ${stack}`,
    value: `empty, while the host runs its guests ${running.map(({ id }) => id).join(", ")}`,
    limit: "the state that made them: this backend does not hold it",
    fix: `Log in to the backend with that state: pulumi login URL. If it is lost for good, take the guests in: hive adopt ${stack}`,
  };
}

/** How long after its making a guest that runs still counts as half-made, in seconds. */
const freshSec = 3600;

/**
 * Why an object must not be deleted although the state does not know it; `undefined` when it may be. A guest that
 * was never started holds nothing. One that runs may go only when the run that made it was the last word on it: its
 * component is in the state, and it is not older than an hour.
 */
function usedAs(object: HostObject, parentInState: boolean): string | undefined {
  if (object.inUse === true) return "in use by the host's firewall";
  if (object.kind !== "guest" || object.neverStarted === true) return undefined;
  const fresh = parentInState && object.madeSecAgo !== undefined && object.madeSecAgo < freshSec;
  if (fresh) return undefined;
  return object.running === true ? "running" : object.protected === true ? "protected" : undefined;
}

/** Whether the component that a resource belongs to is in the state. Children are named `COMPONENT-ROLE`. */
function hasParent(urn: string, state: State): boolean {
  const split = (text: string): readonly [types: string, name: string] => {
    const parts = text.split("::");
    return [parts[2] ?? "", parts.slice(3).join("::")];
  };
  const [types, name] = split(urn);
  const parentTypes = types.split("$").slice(0, -1).join("$");
  return (
    parentTypes !== "" &&
    state.resources.some((resource) => {
      const [type, parent] = split(resource.urn);
      return type === parentTypes && name.startsWith(`${parent}-`);
    })
  );
}
