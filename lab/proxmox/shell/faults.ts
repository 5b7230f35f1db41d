/**
 * Faults on demand. They live in memory: a restart of the server clears them.
 *
 * `500` answers an error in place of doing the work; `timeout` never answers; `drop` cuts the connection, before the work
 * or (`phase: "after"`) after it; `slow` delays the answer; `slow-task` makes the tasks that the request starts take
 * `delayMs` longer; `full-storage` makes every allocation on `storage` fail until it is cleared.
 */
import { die, paramError } from "../core/errors.ts";

export type FaultKind = "500" | "timeout" | "drop" | "slow" | "slow-task" | "full-storage";

export interface Fault {
  id: number;
  kind: FaultKind;
  method: string | undefined;
  /** A regular expression on the path below /api2/json. */
  path: string | undefined;
  /** How many requests it hits; null for all until it is cleared. */
  times: number | null;
  /** Requests that match and are let through first. */
  after: number;
  delayMs: number;
  phase: "before" | "after";
  message: string;
  storage: string | undefined;
}

const KINDS: readonly string[] = ["500", "timeout", "drop", "slow", "slow-task", "full-storage"];

export interface Faults {
  add(params: Record<string, string>): Fault;
  list(): readonly Fault[];
  clear(id?: number): void;
  /** The fault that hits this request, used up by one. */
  take(method: string, path: string): Fault | undefined;
  fullStorages(): string[];
}

export function createFaults(): Faults {
  let active: Fault[] = [];
  let next = 1;
  return {
    add(params) {
      const kind = KINDS.find((k) => k === params["kind"]);
      const errors: Record<string, string> = {};
      if (kind === undefined) errors["kind"] = `must be one of ${KINDS.join(", ")}`;
      for (const key of ["times", "after", "delayMs"]) {
        const value = params[key];
        if (value !== undefined && !/^\d{1,7}$/.test(value)) errors[key] = "must be a whole number of at most 7 digits";
      }
      if (params["path"] !== undefined && !isPattern(params["path"]))
        errors["path"] = "is no regular expression of at most 200 characters";
      if (kind === "full-storage" && params["storage"] === undefined) errors["storage"] = "is needed for full-storage";
      if (Object.keys(errors).length > 0) paramError(errors);
      const fault: Fault = {
        id: next,
        kind: toKind(kind ?? ""),
        method: params["method"]?.toUpperCase(),
        path: params["path"],
        times: params["times"] === undefined ? (kind === "full-storage" ? null : 1) : Number(params["times"]),
        after: Number(params["after"] ?? 0),
        delayMs: Number(params["delayMs"] ?? (kind === "timeout" ? 60_000 : 1000)),
        phase: params["phase"] === "after" ? "after" : "before",
        message: params["message"] ?? "injected fault",
        storage: params["storage"],
      };
      next += 1;
      active.push(fault);
      return fault;
    },
    list: () => active,
    clear(id) {
      active = id === undefined ? [] : active.filter((fault) => fault.id !== id);
    },
    take(method, path) {
      const fault = active.find(
        (f) =>
          f.kind !== "full-storage" &&
          (f.method === undefined || f.method === method) &&
          (f.path === undefined || new RegExp(f.path).test(path)),
      );
      if (!fault) return undefined;
      if (fault.after > 0) {
        fault.after -= 1;
        return undefined;
      }
      if (fault.times !== null) {
        fault.times -= 1;
        if (fault.times <= 0) active = active.filter((f) => f !== fault);
      }
      return fault;
    },
    fullStorages: () =>
      active.flatMap((f) => (f.kind === "full-storage" && f.storage !== undefined ? [f.storage] : [])),
  };
}

function isPattern(text: string): boolean {
  if (text.length > 200) return false;
  try {
    new RegExp(text);
    return true;
  } catch {
    return false;
  }
}

function toKind(text: string): FaultKind {
  switch (text) {
    case "500":
    case "timeout":
    case "drop":
    case "slow":
    case "slow-task":
    case "full-storage":
      return text;
    default:
      return die(`unknown fault kind '${text}'`);
  }
}
