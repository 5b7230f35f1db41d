import type { Fault } from "../../components/shared/faults.ts";
import { describeUrn } from "../engine/urn.ts";
import type { State } from "./deployment.ts";
import { type HostObject, objectOf } from "./objects.ts";

/** One thing that repair does, in this order: unlock, delete, then the state. */
export type RepairStep =
  | { readonly kind: "unlock-guest"; readonly object: HostObject; readonly why: string }
  | { readonly kind: "delete"; readonly object: HostObject; readonly urn: string; readonly why: string }
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
  /** Every object on the host of the kinds that we make. */
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
 * - The same without our mark: a fault that names it. Files carry no mark; creating one overwrites it, so it stays.
 * - Pending updates and deletes: the resource is read again from the host.
 * - An object with the mark of our stack that the state does not know (killed between create and state write): deleted
 *   too, unless Proxmox protects it or a running guest is in it; those are for `hive adopt`.
 * - A lock on a guest of ours that a killed task left is lifted.
 */
export function planRepair(input: RepairInput): RepairPlan {
  const { state, host, project, stack } = input;
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
        if (object.kind === "file") handled.add(keyOf(object));
        else if (object.kind === "storage" && object.pool !== undefined && object.pool === resource.inputs["zfsPool"])
          remove(object, resource.urn, `its creation for ${what} was cut off; the definition goes, no data`);
        else if (ours(object) && object.mark?.urn === resource.urn)
          remove(object, resource.urn, `its creation for ${what} was cut off`);
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

  for (const object of host) {
    if (!ours(object) || handled.has(keyOf(object)) || object.mark === undefined) continue;
    if (!known.has(keyOf(object))) orphan(object, object.mark.urn);
    else if (object.lock !== undefined && /^(create|clone|disk|rollback)$/.test(object.lock)) {
      handled.add(keyOf(object));
      steps.push({ kind: "unlock-guest", object, why: `a killed task left its lock "${object.lock}"` });
    }
  }
  return { steps, faults };

  function orphan(object: HostObject, urn: string): void {
    if (object.protected === true || object.running === true) {
      handled.add(keyOf(object));
      faults.push({
        property: `${noun[object.kind]} ${object.id}`,
        value: `${object.protected === true ? "protected" : "running"}, marked as ${describeUrn(urn)}, but not in the state`,
        limit: "an object that the state knows, or one that nobody uses yet",
        fix: `Take it in: hive adopt --only ${object.id}. Or delete it yourself if nothing in it is needed.`,
      });
    } else
      remove(
        object,
        urn,
        `it carries the mark of ${describeUrn(urn)}, but the state does not know it: a run was killed in between`,
      );
  }
}
