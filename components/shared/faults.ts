/** One thing wrong with an input, in words that let its owner repair it. */
export interface Fault {
  /** Path of the property in the input, for example `machines[2].ramMiB`. */
  readonly property: string;
  /** What was given, as text; `undefined` when the value is missing or must not be shown (secrets). */
  readonly value?: string | undefined;
  /** The limit or rule that was broken, for example `64 to 131072 MiB`. */
  readonly limit: string;
  /** What to do about it. */
  readonly fix: string;
}

/** One line for people: property, value, limit and fix. */
export function describeFault(fault: Fault): string {
  const value = fault.value === undefined ? "is missing" : `is ${fault.value}`;
  return `${fault.property} ${value}; allowed: ${fault.limit}. ${fault.fix}`;
}

/** Thrown at a border when an input has faults: carries every one of them, never only the first. */
export class FaultsError extends Error {
  readonly faults: readonly Fault[];

  constructor(subject: string, faults: readonly Fault[]) {
    super(`${subject}: ${String(faults.length)} fault(s)\n${faults.map((f) => `  - ${describeFault(f)}`).join("\n")}`);
    this.name = "FaultsError";
    this.faults = faults;
  }
}

/** The outcome of a planner or a validation: a value, or every fault at once. */
export type Checked<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly faults: readonly Fault[] };

/** The value of a check, or the error that carries all of its faults. */
export function valueOrThrow<T>(subject: string, checked: Checked<T>): T {
  if (checked.ok) return checked.value;
  throw new FaultsError(subject, checked.faults);
}
