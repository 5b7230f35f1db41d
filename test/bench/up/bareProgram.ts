/**
 * The bare program: the custom resources of a deployment, declared straight on the providers with literal inputs, as
 * somebody would write them who has neither components nor planners.
 */

/** A resource as an exported deployment holds it, secrets shown. */
export interface StateResource {
  readonly urn: string;
  readonly type: string;
  readonly custom?: boolean;
  readonly inputs?: Readonly<Record<string, unknown>>;
  readonly dependencies?: readonly string[];
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const nameOf = (urn: string): string => urn.split("::").at(-1) ?? urn;
const isProvider = ({ type }: StateResource): boolean => type.startsWith("pulumi:providers:");

/** The marker of a secret in a deployment (pulumi/pulumi, `sdk/go/common/resource/sig`). */
const signatureKey = "4dabf18193072939515e22adb298388d";

/** The custom resources that the program declares: without components, the stack, and providers. */
export function declaredResources(resources: readonly StateResource[]): readonly StateResource[] {
  return resources.filter((resource) => resource.custom === true && !isProvider(resource));
}

/** How many of each type, components and providers left out. */
export function countByType(resources: readonly StateResource[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { type } of declaredResources(resources)) counts[type] = (counts[type] ?? 0) + 1;
  return Object.fromEntries(Object.entries(counts).sort(([a], [b]) => a.localeCompare(b)));
}

/** A value as it was declared: without the provider's defaults, a secret by its plain text. */
function declared(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(declared);
  if (!isRecord(value)) return value;
  if (signatureKey in value)
    return typeof value["plaintext"] === "string" ? declared(JSON.parse(value["plaintext"]) as unknown) : undefined;
  const defaults = new Set(Array.isArray(value["__defaults"]) ? value["__defaults"] : []);
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => !key.startsWith("__") && !defaults.has(key))
      .map(([key, item]) => [key, declared(item)]),
  );
}

const isSecret = (value: unknown): boolean => isRecord(value) && signatureKey in value;

/** Inputs as the text of an object, secrets marked as such. */
function inputsText(inputs: Readonly<Record<string, unknown>>): string {
  const plain = declared(inputs);
  if (!isRecord(plain)) return "{}";
  const rows = Object.entries(plain).map(([key, value]) => {
    const text = JSON.stringify(value);
    return `    ${key}: ${isSecret(inputs[key]) ? `pulumi.secret(${text})` : text},`;
  });
  return `{\n${rows.join("\n")}\n  }`;
}

/** `proxmoxve:network/linux/bridge:Bridge` → `proxmox.network.linux.Bridge`. */
export function classOf(type: string): string {
  const [pkg = "", module = "", name = ""] = type.split(":");
  const folders = module.split("/");
  // The last part of a module's path repeats the resource's name.
  const path = folders.at(-1)?.toLowerCase() === name.toLowerCase() ? folders.slice(0, -1) : folders;
  return [pkg === "proxmoxve" ? "proxmox" : pkg, ...path.filter((part) => part !== "index"), name].join(".");
}

/** Provider settings travel as JSON text, but for those that are strings themselves. */
function providerInputs(resource: StateResource): Readonly<Record<string, unknown>> {
  const plain = declared(resource.inputs ?? {});
  if (!isRecord(plain)) return {};
  const { version: _version, ...rest } = plain;
  return Object.fromEntries(
    Object.entries(rest).map(([key, value]) => [
      key,
      typeof value === "string" && /^(true|false|[[{].*)$/s.test(value) ? (JSON.parse(value) as unknown) : value,
    ]),
  );
}

/** Whether a resource's inputs name what another one makes: a bridge, a mapping. */
function names(inputs: unknown, key: string, name: string): boolean {
  if (Array.isArray(inputs)) return inputs.some((item) => names(item, key, name));
  if (!isRecord(inputs)) return false;
  return Object.entries(inputs).some(
    ([at, value]) => (at === key && value === name) || (typeof value === "object" && names(value, key, name)),
  );
}

/**
 * What a resource must wait for in a program of literals: what its inputs referred to in the deployment, and the
 * bridges and mappings that it names. Order that only the components add (a guest after every device and bridge, a
 * guest's firewall after its rules) is left out; bridges stay one after the other, for each reloads the host's network.
 */
export function needsOf(resource: StateResource, all: readonly StateResource[]): readonly string[] {
  const needed = new Set<string>();
  for (const urn of resource.dependencies ?? []) {
    const other = all.find((each) => each.urn === urn);
    if (other !== undefined && !(resource.type.endsWith(":OptionsLegacy") && other.type.endsWith(":RulesLegacy")))
      needed.add(nameOf(urn));
  }
  for (const other of all) {
    const made = other.inputs?.["name"];
    if (typeof made !== "string" || other.urn === resource.urn) continue;
    const key = other.type.endsWith(":Bridge") ? "bridge" : /:hardware\/mapping\//.test(other.type) ? "mapping" : "";
    if (key !== "" && names(resource.inputs, key, made)) needed.add(nameOf(other.urn));
  }
  return [...needed].sort();
}

/** The text of the bare program; its only export is `program`. */
export function bareProgram(resources: readonly StateResource[]): string {
  const all = declaredResources(resources);
  const provider = resources.find(({ type }) => type === "pulumi:providers:proxmoxve");
  if (provider === undefined) throw new Error("the deployment has no proxmoxve provider");
  const done = new Set<string>();
  const blocks: string[] = [];
  const place = (resource: StateResource): void => {
    const name = nameOf(resource.urn);
    if (done.has(name)) return;
    done.add(name);
    const needs = needsOf(resource, all);
    for (const need of needs) {
      const other = all.find(({ urn }) => nameOf(urn) === need);
      if (other !== undefined) place(other);
    }
    const options = [
      ...(resource.type.startsWith("proxmoxve:") ? ["provider"] : []),
      ...(needs.length === 0 ? [] : [`dependsOn: [${needs.map(variable).join(", ")}]`]),
    ];
    blocks.push(
      `  const ${variable(name)} = new ${classOf(resource.type)}(${JSON.stringify(name)}, ${inputsText(resource.inputs ?? {})}, { ${options.join(", ")} });`,
    );
  };
  for (const resource of all) place(resource);
  return `import * as proxmox from "@muhlba91/pulumi-proxmoxve";
import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";

export const program = async () => {
  const provider = new proxmox.Provider("proxmox", ${JSON.stringify(providerInputs(provider), undefined, 2)});
${blocks.join("\n")}
};
`;
}

const variable = (name: string): string => `_${name.replace(/[^A-Za-z0-9]/g, "_")}`;
