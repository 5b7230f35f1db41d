/** What of an exported deployment repair and destroy look at. */
export interface StateResource {
  readonly urn: string;
  readonly type: string;
  readonly id?: string | undefined;
  readonly inputs: Readonly<Record<string, unknown>>;
  readonly protect: boolean;
  /** URN of the resource whose deletion is this one's, too. */
  readonly deletedWith?: string | undefined;
}

export interface PendingOperation {
  readonly resource: StateResource;
  /** `creating`, `updating`, `deleting`, `reading`, `importing`. */
  readonly type: string;
}

export interface State {
  readonly resources: readonly StateResource[];
  readonly pending: readonly PendingOperation[];
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const records = (value: unknown): Record<string, unknown>[] => (Array.isArray(value) ? value.filter(isRecord) : []);

function decodeResource(value: Readonly<Record<string, unknown>>): StateResource {
  const { urn, type, id, inputs, protect, deletedWith } = value;
  return {
    urn: typeof urn === "string" ? urn : "",
    type: typeof type === "string" ? type : "",
    id: typeof id === "string" ? id : undefined,
    inputs: isRecord(inputs) ? inputs : {},
    protect: protect === true,
    ...(typeof deletedWith === "string" && deletedWith !== "" ? { deletedWith } : {}),
  };
}

/** Reads a deployment; parts that are missing are empty. */
export function decodeState(deployment: Readonly<Record<string, unknown>>): State {
  return {
    resources: records(deployment["resources"]).map(decodeResource),
    pending: records(deployment["pending_operations"]).map((entry) => ({
      resource: decodeResource(isRecord(entry["resource"]) ? entry["resource"] : {}),
      type: typeof entry["type"] === "string" ? entry["type"] : "",
    })),
  };
}

/** The deployment without its pending operations. */
export function withoutPending(deployment: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { pending_operations: _resolved, ...rest } = deployment;
  return rest;
}

/** The deployment with the protection of exactly these URNs lifted. */
export function withoutProtection(
  deployment: Readonly<Record<string, unknown>>,
  urns: ReadonlySet<string>,
): Record<string, unknown> {
  return {
    ...deployment,
    resources: records(deployment["resources"]).map((resource) =>
      typeof resource["urn"] === "string" && urns.has(resource["urn"]) ? { ...resource, protect: false } : resource,
    ),
  };
}

/** The deployment without these resources, and without others' dependencies on them. */
export function withoutResources(
  deployment: Readonly<Record<string, unknown>>,
  urns: ReadonlySet<string>,
): Record<string, unknown> {
  const stays = (urn: unknown): boolean => typeof urn !== "string" || !urns.has(urn);
  const rest = (list: unknown): unknown => (Array.isArray(list) ? list.filter(stays) : list);
  return {
    ...deployment,
    resources: records(deployment["resources"])
      .filter(({ urn }) => stays(urn))
      .map((resource) => {
        const { dependencies, propertyDependencies, ...others } = resource;
        return {
          ...others,
          ...(dependencies === undefined ? {} : { dependencies: rest(dependencies) }),
          ...(isRecord(propertyDependencies)
            ? {
                propertyDependencies: Object.fromEntries(
                  Object.entries(propertyDependencies).map(([property, list]) => [property, rest(list)]),
                ),
              }
            : {}),
        };
      }),
  };
}
