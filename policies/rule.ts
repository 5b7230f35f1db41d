import type {
  EnforcementLevel,
  PolicyConfigSchema,
  PolicyResource,
  ResourceValidationArgs,
  ResourceValidationPolicy,
  StackValidationPolicy,
} from "@pulumi/policy";
import { type Estate, readEstate } from "./estate.ts";
import { type HostFacts, seedHost } from "./host.ts";

type PolicyConfigJSONSchema = PolicyConfigSchema["properties"][string];

/** What every rule says of itself, beside what Pulumi asks of a policy. */
export interface RuleText {
  /** `<noun>-<rule>`, the file's name. */
  readonly name: string;
  /** One sentence: what must hold. */
  readonly description: string;
  /** What goes wrong otherwise, and where the rule comes from. */
  readonly reason: string;
  /** What to change so that it holds. */
  readonly fix: string;
  /** @default "mandatory" */
  readonly enforcementLevel?: EnforcementLevel;
}

/** The settings of a rule: every one has a default, and a person may set it in the policy pack's configuration file. */
export interface RuleConfig<C extends object> {
  readonly defaults: C;
  readonly schema: { readonly [K in keyof C]: PolicyConfigJSONSchema };
}

/**
 * The settings of a rule that judges by the host. Where the configuration file says nothing, they are those of the host
 * that the stack declares, so they have no default of their own: the engine would fill it in as if a person had set it.
 */
export interface HostRuleConfig<C extends object, H extends object> {
  readonly defaults: C;
  readonly schema: { readonly [K in keyof C | keyof H]: PolicyConfigJSONSchema };
  readonly ofHost: (host: HostFacts) => H;
}

export type ResourceRule = ResourceValidationPolicy & Required<RuleText>;
export type StackRule = StackValidationPolicy & Required<RuleText>;
export type Rule = ResourceRule | StackRule;

/** One breach: what was found and the limit it breaks, and the resource to name when the rule sees the whole stack. */
export interface Breach {
  readonly urn?: string | undefined;
  readonly found: string;
}

/** A rule that judges each resource by its inputs, before anything of that resource changes, in preview and in update. */
export function resourceRule<C extends object>(
  spec: RuleText & {
    readonly config: RuleConfig<C>;
    readonly check: (resource: ResourceValidationArgs, config: C) => readonly string[];
  },
): ResourceRule {
  return {
    ...describe(spec),
    configSchema: schemaOf(spec.config),
    validateResource: (args, reportViolation) => {
      const config = { ...spec.config.defaults, ...args.getConfig<Partial<C>>() };
      for (const found of spec.check(args, config)) reportViolation(message(found, spec));
    },
  };
}

/** A rule that judges the stack as a whole, by the state that the preview or the update ends in. */
export function stackRule<C extends object>(
  spec: RuleText & {
    readonly config: RuleConfig<C>;
    readonly check: (estate: Estate, config: C, resources: readonly PolicyResource[]) => readonly Breach[];
  },
): StackRule {
  return hostRule<C, object>({ ...spec, config: { ...spec.config, ofHost: () => ({}) } });
}

/** A stack rule with settings that follow from the declared host. */
export function hostRule<C extends object, H extends object>(
  spec: RuleText & {
    readonly config: HostRuleConfig<C, H>;
    readonly check: (estate: Estate, config: C & H, resources: readonly PolicyResource[]) => readonly Breach[];
  },
): StackRule {
  const { defaults, schema, ofHost } = spec.config;
  return {
    ...describe(spec),
    configSchema: schemaOf({ defaults: { ...ofHost(seedHost), ...defaults }, schema }, Object.keys(ofHost(seedHost))),
    validateStack: (args, reportViolation) => {
      const estate = readEstate(args.resources);
      const config = { ...ofHost(estate.host), ...defaults, ...args.getConfig<Partial<C & H>>() };
      for (const breach of spec.check(estate, config, args.resources)) {
        reportViolation(message(breach.found, spec), breach.urn);
      }
    },
  };
}

function describe({ name, description, reason, fix, enforcementLevel }: RuleText) {
  const level = enforcementLevel ?? "mandatory";
  return { name, description, reason, fix, enforcementLevel: level, remediationSteps: fix };
}

/** The text that the engine prints below the rule's description. */
function message(found: string, { reason, fix }: RuleText): string {
  return `${found}\nWhy: ${reason}\nFix: ${fix}`;
}

function schemaOf<C extends object>(
  { defaults, schema }: RuleConfig<C>,
  ofHost: readonly string[] = [],
): PolicyConfigSchema {
  const properties: Record<string, PolicyConfigJSONSchema> = {};
  for (const [key, property] of Object.entries<PolicyConfigJSONSchema>(schema)) {
    const value: unknown = Reflect.get(defaults, key);
    const plain =
      typeof value === "object" || typeof value === "string" || typeof value === "number" || typeof value === "boolean";
    properties[key] = plain && !ofHost.includes(key) ? { ...property, default: value } : property;
  }
  return { properties };
}
