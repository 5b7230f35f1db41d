import type { Fault } from "../../components/shared/faults.ts";
import { describeUrn } from "../engine/urn.ts";
import type { HostObject } from "../repair/objects.ts";

/** A resource that the program declares and the state does not hold yet. */
export interface Declared {
  readonly urn: string;
  readonly type: string;
  readonly name: string;
  readonly parent?: string | undefined;
  readonly object: Pick<HostObject, "kind" | "id">;
}

/** One object of the host beside what is declared for it. */
export interface Adoption {
  readonly declared: Declared;
  readonly object: HostObject;
  /** Identity by which the provider reads it. */
  readonly importId: string;
}

export interface AdoptPlan {
  /** On the host and declared: can be imported. */
  readonly adoptable: readonly Adoption[];
  /** On the host and not declared: strangers, never touched. */
  readonly strangers: readonly HostObject[];
  /** Declared and not on the host: `up` will make them. */
  readonly missing: readonly Declared[];
  readonly faults: readonly Fault[];
}

const key = (object: Pick<HostObject, "kind" | "id">): string => `${object.kind} ${object.id}`;

/** Import ids as bpg's provider reads them: guests and networks by `NODE/ID`, the rest by name. */
export function importIdOf(object: Pick<HostObject, "kind" | "id">, node: string): string {
  switch (object.kind) {
    case "guest":
      return `${node}/${object.id}`;
    case "bridge":
      return `${node}:${object.id}`;
    case "mapping":
      return object.id.split("/").at(-1) ?? object.id;
    default:
      return object.id;
  }
}

/** What of the host can be taken into the stack. Pure. `only` names ids (`100`, `vmbr1`); empty means all that is declared. */
export function planAdoption(input: {
  readonly declared: readonly Declared[];
  readonly host: readonly HostObject[];
  readonly known: readonly Pick<HostObject, "kind" | "id">[];
  readonly node: string;
  readonly only: readonly string[];
}): AdoptPlan {
  const { declared, host, only, node } = input;
  const known = new Set(input.known.map(key));
  const byKey = new Map(host.map((object) => [key(object), object]));
  const wanted = (object: Pick<HostObject, "id">): boolean => only.length === 0 || only.includes(object.id);
  const adoptable: Adoption[] = [];
  const missing: Declared[] = [];
  for (const each of declared) {
    if (known.has(key(each.object))) continue;
    const object = byKey.get(key(each.object));
    if (object === undefined) missing.push(each);
    else if (wanted(object)) adoptable.push({ declared: each, object, importId: importIdOf(object, node) });
  }
  const claimed = new Set(declared.map((each) => key(each.object)));
  const strangers = host.filter((object) => !claimed.has(key(object)) && !known.has(key(object)));
  const faults = only
    .filter((id) => !adoptable.some(({ object }) => object.id === id))
    .map((id): Fault => {
      const stranger = strangers.find((object) => object.id === id);
      return {
        property: "--only",
        value: id,
        limit: `an object that is on the host, declared and not in the state: ${adoptable.map(({ object }) => object.id).join(", ") || "there is none"}`,
        fix:
          stranger === undefined
            ? "Run hive adopt --dry-run to see what there is."
            : `The stack declares no ${stranger.kind} ${id}: declare it first.`,
      };
    });
  return { adoptable, strangers, missing, faults };
}

/** The plan as lines for people. */
export function renderAdoption(plan: AdoptPlan): string {
  const lines = [
    ...plan.adoptable.map(
      ({ declared, object }) => `adopt    ${object.kind} ${object.id} as ${describeUrn(declared.urn)}`,
    ),
    ...plan.missing.map((each) => `missing  ${each.object.kind} ${each.object.id} (hive up makes it)`),
    ...plan.strangers.map((object) => `stranger ${object.kind} ${object.id} (stays untouched)`),
  ];
  return lines.length === 0 ? "nothing to adopt" : lines.join("\n");
}
