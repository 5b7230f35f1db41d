import type { StateResource } from "../repair/deployment.ts";
import { describeUrn } from "../engine/urn.ts";
import { objectOf } from "../repair/objects.ts";

/** A guest that the stack protects. */
export interface ProtectedGuest {
  readonly id: string;
  readonly name: string;
  /** The protected resources whose object is this guest. */
  readonly urns: readonly string[];
}

export interface ReleasePlan {
  readonly guests: readonly ProtectedGuest[];
  /** Protected guests that were not let go: while there is one, nothing is destroyed. */
  readonly held: readonly ProtectedGuest[];
  readonly released: readonly ProtectedGuest[];
  /** Protected resources that belong to no guest, by URN; let go by `all` alone. */
  readonly others: readonly string[];
  /** Ids that were named and are no protected guest here. */
  readonly unknown: readonly string[];
}

/** What a destroy may take, given the names that were let go. Pure. */
export function planRelease(resources: readonly StateResource[], unprotect: readonly string[]): ReleasePlan {
  const protectedOnes = resources.filter((resource) => resource.protect);
  const guests = new Map<string, { name: string; urns: string[] }>();
  const others: string[] = [];
  for (const resource of protectedOnes) {
    const place = objectOf(resource.type, resource.inputs);
    if (place?.kind !== "guest") others.push(resource.urn);
    else {
      const name = resource.inputs["name"] ?? resource.inputs["hostname"];
      const known = guests.get(place.id) ?? {
        name: typeof name === "string" ? name : describeUrn(resource.urn),
        urns: [],
      };
      known.urns.push(resource.urn);
      guests.set(place.id, known);
    }
  }
  const all = unprotect.includes("all");
  const list = [...guests]
    .map(([id, { name, urns }]) => ({ id, name, urns }))
    .sort((a, b) => Number(a.id) - Number(b.id));
  return {
    guests: list,
    held: list.filter((guest) => !all && !unprotect.includes(guest.id)),
    released: list.filter((guest) => all || unprotect.includes(guest.id)),
    others,
    unknown: unprotect.filter((id) => id !== "all" && !guests.has(id)),
  };
}
