// Parameters of a call, checked by name and kind before anything happens: Lightsail refuses what it does not know.
import { isRecord } from "../host/files.ts";
import { AwsError, invalid } from "./errors.ts";

/** `name` optional, `name!` required, and of which kind. */
export type Kind = "text" | "yes-no" | "number" | "texts" | "objects" | "object";

export class Parameters {
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(values: Readonly<Record<string, unknown>>) {
    this.#values = values;
  }

  /** @param declared kinds by name, a required one with `!` behind its name */
  static read(body: unknown, declared: Readonly<Record<string, Kind>>): Parameters {
    if (!isRecord(body))
      throw new AwsError("SerializationException", "Start of structure or map found where not expected");
    const values: Record<string, unknown> = {};
    for (const [spec, kind] of Object.entries(declared)) {
      const name = spec.replace(/!$/, "");
      const value = body[name];
      if (value === undefined || value === null) {
        if (spec.endsWith("!"))
          invalid(
            `1 validation error detected: Value null at '${name}' failed to satisfy constraint: Member must not be null`,
          );
      } else if (!isOf(kind, value))
        throw new AwsError("SerializationException", `${name} is not of the expected kind`);
      else values[name] = value;
    }
    // Members that the model does not have are ignored by AWS JSON; a wrong name must show in a lab.
    const unknown = Object.keys(body).filter((name) => !(name in declared) && !(`${name}!` in declared));
    if (unknown.length > 0)
      invalid(`the lab: parameters that the published model does not have: ${unknown.join(", ")}`);
    return new Parameters(values);
  }

  text(name: string): string {
    const value = this.#values[name];
    return typeof value === "string" ? value : "";
  }

  isYes(name: string): boolean {
    return this.#values[name] === true;
  }

  texts(name: string): string[] {
    return listOf(this.#values[name]).filter((entry) => typeof entry === "string");
  }

  objects(name: string): Record<string, unknown>[] {
    return listOf(this.#values[name]).filter(isRecord);
  }

  object(name: string): Record<string, unknown> {
    const value = this.#values[name];
    return isRecord(value) ? value : {};
  }
}

export function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function isOf(kind: Kind, value: unknown): boolean {
  switch (kind) {
    case "text":
      return typeof value === "string";
    case "yes-no":
      return typeof value === "boolean";
    case "number":
      return typeof value === "number";
    case "texts":
      return Array.isArray(value) && value.every((entry) => typeof entry === "string");
    case "objects":
      return Array.isArray(value) && value.every(isRecord);
    case "object":
      return isRecord(value);
  }
}
