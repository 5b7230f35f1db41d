// A line of JSON as a request, or nothing.
import type { Request } from "./protocol.ts";

/** @returns undefined for what is no request. */
export function readRequest(line: string): Request | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const fields = new Map<string, unknown>(Object.entries(value));
  const listed = fields.get("units") ?? [];
  if (!Array.isArray(listed) || listed.length > 256) return undefined;
  const units = listed.filter((unit): unit is string => typeof unit === "string" && /^[\w:.@\\-]{1,255}$/.test(unit));
  if (units.length !== listed.length) return undefined;
  const op = fields.get("op");
  switch (op) {
    case "start":
    case "stop":
    case "restart":
    case "try-restart":
    case "reload":
    case "reset-failed":
      return { op, units, wait: fields.get("wait") !== false };
    case "kill":
      return {
        op,
        units,
        signal: String(fields.get("signal") ?? "SIGTERM"),
        whom: fields.get("whom") === "main" ? "main" : "all",
      };
    case "show":
      return { op, units };
    case "daemon-reload":
    case "list":
      return { op };
    default:
      return undefined;
  }
}
