import type { Fault } from "./faults.ts";
import { fault } from "./check.ts";
import { nearestName } from "./nearestName.ts";
import { SecretText } from "./secretText.ts";
import { parseMiB } from "./units.ts";

/** What a field without a usable value holds, so that the planners refuse it too and no default hides it. */
export const hole = { text: "", number: Number.NaN } as const;

const secretHere = "Store it without --secret: it is shown in previews. Secrets have keys of their own.";

/** The value behind a text of JSON; any other value is itself. */
function decoded(value: unknown): unknown {
  if (typeof value !== "string" || !/^\s*[[{"]|^\s*null\s*$/.test(value)) return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}

/**
 * Reads one object of raw configuration, field by field, and notes every fault on the way. Numbers and truth values
 * may come as text, structured values as JSON text, since Pulumi stores configuration as text.
 */
export class RawReader {
  readonly #fields: ReadonlyMap<string, unknown>;
  readonly #path: string;
  readonly #faults: Fault[];
  readonly #known: string[] = [];
  /** Whether the object itself was wrong: then its fields are holes and their faults not worth telling. */
  readonly #blind: boolean;

  constructor(fields: Readonly<Record<string, unknown>>, path: string, faults: Fault[], blind = false) {
    this.#blind = blind;
    this.#fields = new Map(Object.entries(fields));
    this.#path = path;
    this.#faults = faults;
  }

  /** Path of a field, for example `hive:networks.lan.cidr`. */
  path(name: string): string {
    return this.#path.endsWith(":") ? `${this.#path}${name}` : `${this.#path}.${name}`;
  }

  /** Whether there is nothing to read because the object itself was wrong, which has been noted. */
  get blind(): boolean {
    return this.#blind;
  }

  note(name: string, value: unknown, limit: string, fix: string): void {
    this.#faults.push(fault(this.path(name), value, limit, fix));
  }

  /** The raw value; undefined when it is absent, or a secret where none belongs (which is a fault). */
  raw(name: string): unknown {
    this.#known.push(name);
    if (this.#blind) return hole;
    const value = this.#fields.get(name);
    if (!(value instanceof SecretText)) return value;
    this.note(name, "stored as a secret (not shown)", "a plain value", secretHere);
    return hole;
  }

  /** The value behind a field that a schema of its own checks, whatever it is. A secret stays wrapped. */
  json(name: string): unknown {
    this.#known.push(name);
    return decoded(this.#fields.get(name));
  }

  /** The value of a key that must be stored as a secret. */
  secret(name: string): unknown {
    this.#known.push(name);
    return this.#fields.get(name);
  }

  /** Whether a field is given at all. */
  has(name: string): boolean {
    this.#known.push(name);
    return this.#fields.get(name) !== undefined;
  }

  /** Whether a field is given as null: the word for "there is none". */
  isNull(name: string): boolean {
    this.#known.push(name);
    return decoded(this.#fields.get(name)) === null;
  }

  text(name: string, missing: string | { readonly fix: string }): string {
    const value = this.raw(name);
    if (value === hole) return hole.text;
    if (typeof value === "string" && value !== "") return value;
    if (value === undefined && typeof missing === "string") return missing;
    const fix = typeof missing === "string" ? "Write a text, or leave it out for the default." : missing.fix;
    this.note(name, value, "a text that is not empty", fix);
    return hole.text;
  }

  optionalText(name: string): string | undefined {
    return this.has(name) && !this.isNull(name) ? this.text(name, "") : undefined;
  }

  number(name: string, missing: number | { readonly fix: string }): number {
    const value = this.raw(name);
    if (value === hole) return hole.number;
    if (value === undefined && typeof missing === "number") return missing;
    const number = typeof value === "string" && /^-?\d{1,15}(?:\.\d{1,6})?$/.test(value.trim()) ? Number(value) : value;
    if (typeof number === "number" && Number.isFinite(number)) return number;
    const fix = typeof missing === "number" ? `Write digits, or leave it out for ${String(missing)}.` : missing.fix;
    this.note(name, value, "a number", fix);
    return hole.number;
  }

  optionalNumber(name: string): number | undefined {
    return this.has(name) && !this.isNull(name) ? this.number(name, 0) : undefined;
  }

  /** An amount of memory in MiB, such as `128 GB`. */
  mib(name: string, missing: number): number {
    const value = this.raw(name);
    if (value === hole) return hole.number;
    if (value === undefined) return missing;
    const text = typeof value === "string" || typeof value === "number" ? value : hole.text;
    const parsed = parseMiB(this.path(name), text);
    if (parsed.ok) return parsed.value;
    const [first] = parsed.faults;
    this.note(name, value, first?.limit ?? "an amount of memory", first?.fix ?? "Write a number and a unit.");
    return hole.number;
  }

  boolean(name: string, missing: boolean): boolean {
    const value = this.raw(name);
    if (value === hole) return missing;
    if (value === undefined) return missing;
    if (value === true || value === "true") return true;
    if (value === false || value === "false") return false;
    this.note(name, value, "true or false", `Write true or false, or leave it out for ${String(missing)}.`);
    return missing;
  }

  choice<T extends string | number>(name: string, choices: readonly T[], missing: T): T {
    const value = this.raw(name);
    if (value === hole) return missing;
    if (value === undefined) return missing;
    const found = choices.find((choice) => String(choice) === String(value));
    if (found !== undefined && typeof value !== "object") return found;
    this.note(name, value, choices.join(" or "), `Choose one, or leave it out for ${String(missing)}.`);
    return missing;
  }

  texts(name: string, missing: readonly string[] | { readonly fix: string }): readonly string[] {
    const raw = this.raw(name);
    if (raw === hole) return [];
    const value = decoded(raw);
    if (value === undefined && "length" in missing) return missing;
    const fix = "fix" in missing ? missing.fix : "Write a list, or leave it out for the default.";
    if (!Array.isArray(value)) {
      this.note(name, value, "a list of texts", fix);
      return [];
    }
    return (value as readonly unknown[]).map((entry, index) => {
      if (typeof entry === "string") return entry;
      this.note(`${name}[${String(index)}]`, entry, "a text", "Write a text.");
      return hole.text;
    });
  }

  /** A reader of a nested object; of an empty one when the field is absent or no object. */
  object(name: string): RawReader {
    const value = decoded(this.raw(name));
    const blind = new RawReader({}, this.path(name), [], true);
    if (value === hole) return blind;
    if (value === undefined) return new RawReader({}, this.path(name), this.#faults);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      return new RawReader({ ...value }, this.path(name), this.#faults);
    }
    this.note(name, value, "an object", "Write keys and values below it.");
    return blind;
  }

  /** Names of the fields that are given. */
  names(): readonly string[] {
    return [...this.#fields.keys()];
  }

  /** Notes every field that nobody asked for. Values are not shown: a mistyped key can hold a secret. */
  finish(): void {
    const known = [...new Set(this.#known)];
    for (const name of this.#fields.keys()) {
      if (known.includes(name)) continue;
      const near = nearestName(name, known);
      const fix = near === undefined ? "Remove it." : `Did you mean ${this.path(near)}?`;
      this.#faults.push({
        property: this.path(name),
        value: "an unknown key",
        limit: `one of ${known.toSorted().join(", ")}`,
        fix,
      });
    }
  }
}
