/** Number of resources by what happened (or would happen) to them. */
export interface Changes {
  readonly create: number;
  readonly update: number;
  readonly delete: number;
  readonly replace: number;
  readonly same: number;
  readonly import: number;
  readonly refresh: number;
}

/** The engine's counts; every kind is there, and kinds that this version does not know stay. */
export function countChanges(summary: Readonly<Record<string, number | undefined>> | undefined): Changes {
  const counts: Record<string, number> = {};
  for (const [kind, count] of Object.entries(summary ?? {})) if (count !== undefined) counts[kind] = count;
  return { create: 0, update: 0, delete: 0, replace: 0, same: 0, import: 0, refresh: 0, ...counts };
}

/** One line for people: `3 created, 1 replaced, 40 same`. */
export function describeChanges(changes: Changes, planned: boolean): string {
  const words: Readonly<Record<string, string>> = planned
    ? { create: "to create", update: "to update", delete: "to delete", replace: "to replace", same: "same" }
    : { create: "created", update: "updated", delete: "deleted", replace: "replaced", same: "same" };
  const parts = Object.entries(changes)
    .filter(([, count]) => Number(count) > 0)
    .map(([kind, count]) => `${String(count)} ${words[kind] ?? kind}`);
  return parts.length === 0 ? "nothing" : parts.join(", ");
}
