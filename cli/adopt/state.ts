import type { Declared, DeclaredComponent } from "./declared.ts";

/** A resource to be entered into the state. */
export interface Entry {
  readonly declared: Omit<Declared, "object">;
  /** Its id as the provider knows it. */
  readonly id: string;
}

type Deployment = Readonly<Record<string, unknown>>;

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The URN of the provider instance in a deployment with its id, as resources refer to it; none before it exists. */
export function providerReference(deployment: Deployment, urn: string): string | undefined {
  const found = resourcesOf(deployment).find((resource) => resource["urn"] === urn);
  return typeof found?.["id"] === "string" ? `${urn}::${found["id"]}` : undefined;
}

function resourcesOf(deployment: Deployment): Record<string, unknown>[] {
  const { resources } = deployment;
  return Array.isArray(resources) ? resources.filter(isRecord) : [];
}

/**
 * The deployment with these resources entered under their own URNs, below their components, as if an earlier `up` had
 * made them. What they are really like is read from the host by the refresh that begins every operation. Entries that
 * the deployment knows already are left as they are; parents come before children, as the engine demands. Pure.
 */
export function withAdopted(
  deployment: Deployment,
  entries: readonly Entry[],
  components: readonly DeclaredComponent[],
  provider: string,
): Record<string, unknown> {
  const resources = resourcesOf(deployment);
  const known = new Set(resources.map((resource) => resource["urn"]));
  const byUrn = new Map(components.map((component) => [component.urn, component]));
  const added: Record<string, unknown>[] = [];
  const enterParents = (urn: string | undefined): void => {
    if (urn === undefined || known.has(urn)) return;
    const component = byUrn.get(urn);
    if (component === undefined) return;
    enterParents(component.parent);
    known.add(urn);
    const { type, parent, inputs } = component;
    added.push({ urn, custom: false, type, inputs, outputs: {}, ...(parent === undefined ? {} : { parent }) });
  };
  for (const { declared, id } of entries) {
    if (known.has(declared.urn)) continue;
    const { urn, type, parent, inputs, protect } = declared;
    enterParents(parent);
    known.add(urn);
    added.push({
      urn,
      custom: true,
      id,
      type,
      inputs,
      outputs: { ...inputs, id },
      ...(parent === undefined ? {} : { parent }),
      ...(protect ? { protect } : {}),
      dependencies: [],
      provider,
    });
  }
  return { ...deployment, resources: [...resources, ...added] };
}
