/** Turns what zod found into faults: property, value (never a secret), limit and fix. */
import type * as z from "zod";
import { show } from "../check.ts";
import type { Fault } from "../faults.ts";
import { nearestName } from "../nearestName.ts";

/** Keys whose values are not shown: somebody may have written the secret where its file's path belongs. */
const secretKey = /token|psk|key|secret|pass|credential/i;
const hidden = "a value (not shown)";

/** `arbiter.services[2].vram`; the root is `(file)`. */
export function propertyPath(path: readonly PropertyKey[]): string {
  let property = "";
  for (const part of path) {
    if (typeof part === "number") property += `[${String(part)}]`;
    else property += property === "" ? String(part) : `.${String(part)}`;
  }
  return property === "" ? "(file)" : property;
}

function shown(path: readonly PropertyKey[], value: unknown): string | undefined {
  if (value === undefined) return undefined;
  return path.some((part) => typeof part === "string" && secretKey.test(part)) ? hidden : show(value);
}

function unknownKey(path: readonly PropertyKey[], key: string, known: readonly string[]): Fault {
  const nearest = nearestName(key, known);
  // A key that nobody knows may be anything, a pasted secret too: show what looks like a key, and cut it.
  const name = /^[\w-]{1,40}$/.test(key) ? key : "(a key)";
  return {
    property: propertyPath([...path, name]),
    value: "an unknown key",
    limit: known.join(", "),
    fix: nearest === undefined ? "Remove it." : `Did you mean ${nearest}?`,
  };
}

/** The faults of one issue. */
function faultsOf(issue: z.core.$ZodIssue): readonly Fault[] {
  const [limit = "", fix = "Correct it."] = issue.message.split("\n");
  if (issue.code === "unrecognized_keys") {
    const known = limit.split(", ");
    return issue.keys.map((key) => unknownKey(issue.path, key, known));
  }
  return [{ property: propertyPath(issue.path), value: shown(issue.path, issue.input), limit, fix }];
}

/** The faults of all issues; the same property with the same limit is told once. */
export function configFaults(issues: readonly z.core.$ZodIssue[]): readonly Fault[] {
  const faults = new Map<string, Fault>();
  for (const fault of issues.flatMap(faultsOf)) {
    const id = `${fault.property}\n${fault.limit}`;
    if (!faults.has(id)) faults.set(id, fault);
  }
  return [...faults.values()];
}
