import type { EngineEvent } from "@pulumi/pulumi/automation/index.js";
import { parseUrn } from "../engine/urn.ts";
import { type HostObject, objectOf } from "../repair/objects.ts";

/** A resource that the program declares and the state does not hold yet. */
export interface Declared {
  readonly urn: string;
  readonly type: string;
  readonly name: string;
  readonly parent?: string | undefined;
  /** Whether Pulumi protects it from deletion. */
  readonly protect: boolean;
  /** Its inputs, without what is secret and what is known only when other resources are there. */
  readonly inputs: Readonly<Record<string, unknown>>;
  readonly object: Pick<HostObject, "kind" | "id">;
}

/** A component that `up` would make: the parents of what is adopted. */
export interface DeclaredComponent {
  readonly urn: string;
  readonly type: string;
  readonly parent?: string | undefined;
  readonly inputs: Readonly<Record<string, unknown>>;
}

/** What a preview would create. */
export interface DeclaredEstate {
  /** What has an object of its own on the host. */
  readonly resources: readonly Declared[];
  readonly components: readonly DeclaredComponent[];
  /** Firewall rules of guests, by guest id: the provider adds none beside existing ones, so they are adopted with the guest. */
  readonly guestRules: ReadonlyMap<string, Omit<Declared, "object">>;
}

/** Stands for a value that the engine knows only later (pulumi/pulumi sdk/go/common/resource/plugin/rpc.go, UnknownStringValue). */
const unknownValue = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

/** Marks a secret's envelope (pulumi/pulumi sdk/go/common/resource/sig, Key). */
const signatureKey = "4dabf18193072939515e22adb298388d";

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * An input without its unknown, secret and bookkeeping parts. `later` gives the value that an unknown property of this
 * name will have, where it follows from what else is declared.
 */
function settled(value: unknown, name: string, later: (name: string) => string | undefined): unknown {
  if (value === unknownValue) return later(name);
  if (value === "[secret]") return undefined;
  if (Array.isArray(value)) return value.map((item) => settled(item, name, later)).filter((item) => item !== undefined);
  if (!isRecord(value)) return value;
  if (signatureKey in value) return undefined;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => !key.startsWith("__"))
      .map(([key, item]) => [key, settled(item, key, later)] as const)
      .filter(([, item]) => item !== undefined),
  );
}

/** Reads out of a preview's events what it would create. Pure. */
export function declaredIn(events: readonly EngineEvent[]): DeclaredEstate {
  const created = events.flatMap((event) => {
    const metadata = event.resourcePreEvent?.metadata;
    return metadata?.op === "create" && metadata.new !== undefined ? [metadata] : [];
  });
  const later = laterValues(created.map(({ type, new: state }) => ({ type, inputs: { ...state?.inputs } })));
  const resources: Declared[] = [];
  const components: DeclaredComponent[] = [];
  const guestRules = new Map<string, Omit<Declared, "object">>();
  for (const { urn, type, new: state } of created) {
    const name = parseUrn(urn)?.name;
    const inputs = settled({ ...state?.inputs }, "", later);
    if (state === undefined || name === undefined || !isRecord(inputs)) continue;
    const parent = state.parent === "" ? undefined : state.parent;
    if (state.custom !== true) {
      if (!type.startsWith("pulumi:")) components.push({ urn, type, parent, inputs });
      continue;
    }
    const declared = { urn, type, name, parent, protect: state.protect === true, inputs };
    const object = objectOf(type, inputs);
    if (object !== undefined && object.kind !== "file") resources.push({ ...declared, object });
    const guest = inputs["vmId"] ?? inputs["containerId"];
    if (type.endsWith(":RulesLegacy") && guest !== undefined) guestRules.set(String(guest), declared);
  }
  return { resources, components, guestRules };
}

/** Unknown references that follow from the estate: the storage's id, and the volume of the one container template. */
function laterValues(
  created: readonly { readonly type: string; readonly inputs: Readonly<Record<string, unknown>> }[],
): (name: string) => string | undefined {
  const storage = created.find(({ type }) => type.endsWith(":Zfspool"))?.inputs["resourceId"];
  const templates = created.filter(({ inputs }) => inputs["contentType"] === "vztmpl");
  const [template] = templates.length === 1 ? templates : [];
  return (name) => {
    if (name === "datastoreId") return typeof storage === "string" ? storage : undefined;
    if (name !== "templateFileId" || template === undefined) return undefined;
    const { datastoreId, fileName } = template.inputs;
    return `${String(datastoreId)}:vztmpl/${String(fileName)}`;
  };
}

/**
 * What is declared for an object that is there already: first-boot data is not, when the VM has no cloud-init drive
 * (see `components/shared/ownership.ts`). Pure.
 */
export function asAdopted(declared: Declared, config: Readonly<Record<string, unknown>>): Declared {
  const hasDrive = Object.values(config).some((value) => /cloudinit/.test(String(value)));
  if (!declared.type.endsWith(":VmLegacy") || hasDrive) return declared;
  const { initialization: _firstBoot, ...inputs } = declared.inputs;
  return { ...declared, inputs };
}
