/** The parts of a URN that people know a resource by. */
export interface UrnParts {
  readonly stack: string;
  readonly project: string;
  /** The resource's own type token, without those of its parents. */
  readonly type: string;
  readonly name: string;
}

/** Takes a URN apart; `undefined` for what is none. */
export function parseUrn(urn: string): UrnParts | undefined {
  const match = /^urn:pulumi:([^:]+)::([^:]+)::(.+?)::(.+)$/s.exec(urn);
  const [, stack, project, types, name] = match ?? [];
  if (stack === undefined || project === undefined || types === undefined || name === undefined) return undefined;
  return { stack, project, type: types.split("$").at(-1) ?? types, name };
}

/** A resource as people name it: `VmLegacy brain`. */
export function describeUrn(urn: string): string {
  const parts = parseUrn(urn);
  return parts === undefined ? urn : `${parts.type.split(":").at(-1) ?? parts.type} ${parts.name}`;
}
