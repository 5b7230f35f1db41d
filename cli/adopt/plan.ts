import type { Fault } from "../../components/shared/faults.ts";
import { describeUrn } from "../engine/urn.ts";
import type { HostObject } from "../repair/objects.ts";
import type { Declared } from "./declared.ts";
import type { Difference } from "./fields.ts";

/** One object of the host beside what is declared for it. */
export interface Adoption {
  readonly declared: Declared;
  readonly object: HostObject;
  readonly differences: readonly Difference[];
}

export interface AdoptPlan {
  /** On the host and declared: can be imported. */
  readonly adoptable: readonly Adoption[];
  /** On the host and not declared: strangers, never touched. */
  readonly strangers: readonly HostObject[];
  /** Declared and not on the host: `up` will make them. */
  readonly missing: readonly Declared[];
  /** What the stack builds on and never manages: the bridge of the LAN, the pools, the storages that were there. */
  readonly references: readonly string[];
  readonly faults: readonly Fault[];
}

const key = (object: Pick<HostObject, "kind" | "id">): string => `${object.kind} ${object.id}`;

/** What a person calls an object: `gpu-rtx3090` for `pci/gpu-rtx3090`. */
const shortId = (id: string): string => id.split("/").at(-1) ?? id;

/** The id under which the provider's state holds an object (bpg 0.111.1: `ImportState` and `Create` of each resource). */
export function stateIdOf(object: Pick<HostObject, "kind" | "id">, node: string): string {
  if (object.kind === "bridge") return `${node}:${object.id}`;
  return object.kind === "mapping" ? shortId(object.id) : object.id;
}

/** What of the host can be taken into the stack. Pure. `only` names ids (`100`, `vmbr1`); empty means all that is declared. */
export function planAdoption(input: {
  readonly declared: readonly Declared[];
  readonly host: readonly HostObject[];
  /** What the state holds. */
  readonly known: readonly Pick<HostObject, "kind" | "id">[];
  readonly references: readonly Pick<HostObject, "kind" | "id">[];
  /** ZFS pools that are built on. */
  readonly pools: readonly string[];
  readonly only: readonly string[];
  readonly differencesOf: (declared: Declared, object: HostObject) => readonly Difference[];
  /** Why an object cannot be taken over. */
  readonly hazardsOf: (declared: Declared, object: HostObject) => readonly Fault[];
}): AdoptPlan {
  const { declared, host, only } = input;
  const known = new Set(input.known.map(key));
  const referenced = new Set(input.references.map(key));
  const byKey = new Map(host.map((object) => [key(object), object]));
  const named = (id: string): boolean => only.includes(id) || only.includes(shortId(id));
  const adoptable: Adoption[] = [];
  const missing: Declared[] = [];
  const faults: Fault[] = [];
  for (const each of declared) {
    if (known.has(key(each.object))) continue;
    const object = byKey.get(key(each.object));
    if (object === undefined) missing.push(each);
    else if (only.length === 0 || named(object.id)) {
      faults.push(...input.hazardsOf(each, object));
      adoptable.push({ declared: each, object, differences: input.differencesOf(each, object) });
    }
  }
  const claimed = new Set(declared.map((each) => key(each.object)));
  const strangers = host.filter(
    (object) => !claimed.has(key(object)) && !known.has(key(object)) && !referenced.has(key(object)),
  );
  for (const id of only) {
    if (adoptable.some(({ object }) => object.id === id || shortId(object.id) === id)) continue;
    faults.push(unknownName(id, { known: input.known, references: input.references, strangers, declared, host }));
  }
  const references = [
    ...input.pools.map((pool) => `pool ${pool}`),
    ...new Set(host.filter((object) => referenced.has(key(object))).map(key)),
  ];
  return { adoptable, strangers, missing, references, faults };
}

function unknownName(
  id: string,
  where: {
    readonly known: readonly Pick<HostObject, "kind" | "id">[];
    readonly references: readonly Pick<HostObject, "kind" | "id">[];
    readonly strangers: readonly HostObject[];
    readonly declared: readonly Declared[];
    readonly host: readonly HostObject[];
  },
): Fault {
  const has = (list: readonly Pick<HostObject, "kind" | "id">[]): boolean =>
    list.some((object) => object.id === id || shortId(object.id) === id);
  const limit = "an object that is on the host and declared, and that the state does not hold yet";
  if (has(where.known))
    return { property: "--only", value: `${id}, which is the stack's already`, limit, fix: "Leave it out." };
  if (has(where.references))
    return {
      property: "--only",
      value: `${id}, which the stack uses and never manages`,
      limit,
      fix: "Leave it out: it is adopted by reference.",
    };
  if (has(where.strangers))
    return {
      property: "--only",
      value: `${id}, which the stack does not declare`,
      limit,
      fix: "Declare it first, or leave it out.",
    };
  return {
    property: "--only",
    value: `${id}, which is not on the host`,
    limit,
    fix: "Run hive adopt --dry-run to see what there is.",
  };
}

/** The plan as lines for people: what is adopted and what the next `up` will change of it. */
export function renderAdoption(plan: AdoptPlan): string {
  const lines = plan.adoptable.flatMap(({ declared, object, differences }) => [
    `adopt     ${object.kind} ${object.id} as ${describeUrn(declared.urn)}`,
    ...differences.map(
      ({ field, found, declared: wanted }) =>
        `            ${field}: found ${found ?? "none"}, ${wanted === undefined ? "the stack says nothing of it" : `declared ${wanted}`}`,
    ),
    ...(differences.length === 0 ? ["            as declared"] : []),
    ...(differences.some(({ field, declared: wanted }) => field === "agent" && wanted === "1")
      ? [
          "            note: install qemu-guest-agent in the guest first: without it every operation waits for it, up to agentTimeoutSec",
        ]
      : []),
  ]);
  lines.push(
    ...plan.references.map((each) => `reference ${each} (adopted by reference, never managed)`),
    ...plan.missing.map((each) => `missing   ${each.object.kind} ${each.object.id} (hive up makes it)`),
    ...plan.strangers.map((object) => `stranger  ${object.kind} ${object.id} (stays untouched)`),
  );
  return plan.adoptable.length === 0 ? ["nothing to adopt", ...lines].join("\n") : lines.join("\n");
}
