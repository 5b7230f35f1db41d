/**
 * Named places where a test makes the agent die, stall or fail: `HIVE_FAILPOINTS=journal.before-fsync=kill:3`.
 *
 * `name=kill:N` kills this process with SIGKILL at its Nth passage (1 when left out), `name=delay:MS` holds every
 * passage up, `name=error[:N[-M]]` fails the passages from the Nth on, to the Mth. Without the variable a passage costs one
 * comparison. The variable is read once, at start: nothing outside the process can arm a failpoint later.
 */
type Effect =
  | { readonly kind: "kill"; readonly at: number }
  | { readonly kind: "delay"; readonly ms: number }
  | { readonly kind: "error"; readonly from: number; readonly to: number };

/** What a failpoint of kind `error` throws. */
export class FailpointError extends Error {
  constructor(name: string) {
    super(`failpoint ${name}`);
    this.name = "FailpointError";
  }
}

/** Reads a failpoint specification; throws a `RangeError` that names the part it cannot read. */
export function parseFailpoints(text: string): ReadonlyMap<string, Effect> {
  const effects = new Map<string, Effect>();
  for (const part of text.split(",").map((piece) => piece.trim())) {
    if (part === "") continue;
    const [, name, kind, number, last] =
      /^([\w.-]+)=(kill|delay|error)(?::(\d{1,9})(?:-(\d{1,9}))?)?$/.exec(part) ?? [];
    if (name === undefined || (last !== undefined && kind !== "error"))
      throw new RangeError(`failpoint "${part}": write name=kill:N, name=delay:MS or name=error`);
    const amount = Number(number ?? 1);
    if (kind === "kill") effects.set(name, { kind, at: Math.max(1, amount) });
    else if (kind === "delay") effects.set(name, { kind, ms: amount });
    else effects.set(name, { kind: "error", from: Math.max(1, amount), to: Number(last ?? Infinity) });
  }
  return effects;
}

const effects = parseFailpoints(process.env.HIVE_FAILPOINTS ?? "");
const armed = effects.size > 0;
const passages = new Map<string, number>();
const passed = Promise.resolve();

async function trip(name: string): Promise<void> {
  const effect = effects.get(name);
  if (effect === undefined) return;
  const count = (passages.get(name) ?? 0) + 1;
  passages.set(name, count);
  if (effect.kind === "delay") await new Promise((resolve) => setTimeout(resolve, effect.ms));
  else if (effect.kind === "error" && count >= effect.from && count <= effect.to) throw new FailpointError(name);
  else if (effect.kind === "kill" && count === effect.at) {
    process.kill(process.pid, "SIGKILL");
    // The signal is delivered on the way out of the system call; nothing after this point may run.
    await new Promise(() => undefined);
  }
}

/** A place where a test may strike. Inert unless `HIVE_FAILPOINTS` names it. */
export function failpoint(name: string): Promise<void> {
  return armed ? trip(name) : passed;
}
