import { unprotects } from "./collect.ts";
import type { ReviewOp, ReviewStep } from "./model.ts";

export type RiskKind = "deletion" | "replacement" | "passthrough" | "protection";

/** A change that a reviewer should read first. */
export interface Risk {
  readonly kind: RiskKind;
  /** The resource's name, or the device's. */
  readonly subject: string;
  /** Type token of the resource; absent for a device. */
  readonly type?: string | undefined;
  readonly what: string;
}

/** Steps in the order in which a reviewer reads them. */
export interface Classified {
  readonly risks: readonly Risk[];
  readonly groups: readonly { readonly op: ReviewOp; readonly steps: readonly ReviewStep[] }[];
}

const order: readonly ReviewOp[] = ["delete", "replace", "update", "create", "import", "read"];

/** Sorts steps by what they do, and picks out what cannot be taken back or what takes a device away. */
export function classify(steps: readonly ReviewStep[]): Classified {
  const risks = [...steps.flatMap(destructions), ...passthroughs(steps), ...steps.flatMap(protections)];
  const groups = order.flatMap((op) => {
    const own = steps.filter((step) => step.op === op);
    return own.length === 0 ? [] : [{ op, steps: own }];
  });
  return { risks, groups };
}

function destructions({ op, name, type, changes }: ReviewStep): readonly Risk[] {
  if (op === "delete") return [{ kind: "deletion", subject: name, type, what: "is deleted" }];
  if (op !== "replace") return [];
  const forcing = changes.filter((change) => change.replaces).map((change) => change.path);
  const why = forcing.length === 0 ? "" : `, forced by ${forcing.join(", ")}`;
  return [{ kind: "replacement", subject: name, type, what: `is deleted and created anew${why}` }];
}

function passthroughs(steps: readonly ReviewStep[]): readonly Risk[] {
  const losers = new Map<string, string[]>();
  const winners = new Map<string, string[]>();
  const arrivals = new Set<string>();
  for (const { name, op, devices } of steps) {
    const before = new Set(devices.before);
    const after = new Set(devices.after);
    for (const device of before) if (!after.has(device)) losers.set(device, [...(losers.get(device) ?? []), name]);
    for (const device of after) {
      if (before.has(device)) continue;
      winners.set(device, [...(winners.get(device) ?? []), name]);
      if (op !== "create") arrivals.add(device);
    }
  }
  // A new guest that is made with a device takes it from nobody, unless another one loses it.
  const moved = [...new Set([...losers.keys(), ...arrivals])];
  return moved.map((device) => {
    const from = losers.get(device);
    const to = winners.get(device);
    const what =
      from === undefined
        ? `is given to ${to?.join(", ") ?? ""}`
        : to === undefined
          ? `is taken from ${from.join(", ")}`
          : `moves from ${from.join(", ")} to ${to.join(", ")}`;
    return { kind: "passthrough", subject: device, what };
  });
}

function protections(step: ReviewStep): readonly Risk[] {
  if (!unprotects(step)) return [];
  const lost = [
    ...(step.protect.before === true && step.protect.after === false ? ["Pulumi's protection"] : []),
    ...(step.protection.before === true && step.protection.after === false ? ["Proxmox's protection"] : []),
  ];
  return [{ kind: "protection", subject: step.name, type: step.type, what: `loses ${lost.join(" and ")}` }];
}
