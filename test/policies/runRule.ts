import { type PolicyResource, unknownCheckingProxy } from "@pulumi/policy";
import type { Rule } from "../../policies/rule.ts";

/** A resource as a fixture states it. */
export interface FixtureResource {
  readonly type: string;
  readonly name: string;
  readonly props: Readonly<Record<string, unknown>>;
  /** Name of another resource of the same fixture. */
  readonly parent?: string | undefined;
  readonly protect?: boolean | undefined;
  readonly ignoreChanges?: readonly string[] | undefined;
}

/**
 * What Pulumi puts in the place of a value that only the update will know: constants of its wire protocol
 * (`sdk/nodejs/runtime/rpc.ts`). A test asserts that the policy library takes them for unknown.
 */
export const unknown = {
  boolean: "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
  number: "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
  text: "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
  list: "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
  object: "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
};

/** As the engine names them: the types of all that a resource is below are in its URN. */
function typesOf(resource: FixtureResource, all: readonly FixtureResource[]): string {
  const parent = all.find((r) => r.name === resource.parent && r !== resource);
  return parent === undefined ? resource.type : `${typesOf(parent, all)}$${resource.type}`;
}

const urnOf = (resource: FixtureResource, all: readonly FixtureResource[]) =>
  `urn:pulumi:test::hive::${typesOf(resource, all)}::${resource.name}`;

function toPolicyResource(resource: FixtureResource, all: readonly FixtureResource[]): PolicyResource {
  const parent = all.find((r) => r.name === resource.parent && r !== resource);
  return {
    type: resource.type,
    name: resource.name,
    urn: urnOf(resource, all),
    // The same proxy as in a real preview: reading an unknown value throws.
    props: unknownCheckingProxy(structuredClone(resource.props)),
    opts: {
      protect: resource.protect ?? false,
      ignoreChanges: [...(resource.ignoreChanges ?? [])],
      aliases: [],
      customTimeouts: { createSeconds: 0, updateSeconds: 0, deleteSeconds: 0 },
      additionalSecretOutputs: [],
      ...(parent === undefined ? {} : { parent: urnOf(parent, all) }),
    },
    dependencies: [],
    propertyDependencies: {},
    isType: () => false,
    asType: () => undefined,
  };
}

/** Runs a rule as Pulumi does, a resource rule on each resource; returns the messages of its violations. */
export async function runRule(
  rule: Rule,
  resources: readonly FixtureResource[],
  config: Readonly<Record<string, unknown>> = {},
): Promise<readonly string[]> {
  const messages: string[] = [];
  const report = (message: string) => {
    messages.push(message);
  };
  const given = resources.map((resource) => toPolicyResource(resource, resources));
  const common = {
    stackTags: new Map<string, string>(),
    getConfig: <T extends object>() => config as T,
    notApplicable: (reason?: string): never => {
      throw new Error(reason);
    },
  };
  if ("validateStack" in rule) await rule.validateStack({ ...common, resources: given }, report);
  else {
    const checks = [rule.validateResource ?? []].flat();
    for (const { type, name, urn, props, opts } of given) {
      for (const check of checks)
        await check({ ...common, type, name, urn, props, opts, isType: () => false, asType: () => undefined }, report);
    }
  }
  return messages;
}
