// The Proxmox API as root@pam, over the unix socket that only this machine's root can reach.
import { request } from "node:http";
import { ToolError } from "./errors.ts";

export const socketPath = process.env["LAB_PVE_SOCKET"] ?? "/.lab/pve.sock";
const maxResponseBytes = 32 * 1024 * 1024;

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type Params = Record<string, string>;

/** Calls the API and returns `data`. @throws ToolError with the API's message and its field errors, as the real tools print them. */
export async function api(method: "GET" | "POST" | "PUT" | "DELETE", path: string, params: Params = {}): Promise<Json> {
  const form = new URLSearchParams(params).toString();
  const inBody = method === "POST" || method === "PUT";
  const full = `/api2/json${path}${!inBody && form !== "" ? `?${form}` : ""}`;
  const answer = await send(method, full, inBody ? form : undefined);
  const body = parse(answer.text);
  if (answer.status >= 200 && answer.status < 300) return objectOf(body)["data"] ?? null;
  const prefix = answer.status === 400 ? "400 " : "";
  throw new ToolError(`${prefix}${describe(answer.reason, body)}`, 255);
}

function send(
  method: string,
  path: string,
  body: string | undefined,
): Promise<{ status: number; reason: string; text: string }> {
  return new Promise((resolve, reject) => {
    const headers = {
      Host: "localhost",
      ...(body === undefined
        ? {}
        : { "Content-Type": "application/x-www-form-urlencoded", "Content-Length": String(Buffer.byteLength(body)) }),
    };
    const call = request({ socketPath, method, path, headers, timeout: 600_000 }, (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on("data", (chunk: Buffer) => {
        size += chunk.length;
        if (size > maxResponseBytes) call.destroy(new Error("response too large"));
        else chunks.push(chunk);
      });
      response.on("error", reject);
      response.on("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          reason: `${response.statusCode ?? 0} ${response.statusMessage ?? ""}`.trim(),
          text: Buffer.concat(chunks).toString("utf8"),
        }),
      );
    });
    call.on("timeout", () => call.destroy(new Error("timed out")));
    call.on("error", (error) =>
      reject(new ToolError(`ipcc_send_rec[1] failed: Connection refused (${error.message})`, 255)),
    );
    call.end(body);
  });
}

function parse(text: string): Json {
  try {
    const value: Json = JSON.parse(text);
    return value;
  } catch {
    return null;
  }
}

function describe(reason: string, body: Json): string {
  const fields = objectOf(objectOf(body)["errors"] ?? null);
  const lines = Object.entries(fields).map(([name, why]) => `${name}: ${textOf(why).trim()}`);
  const message = textOf(objectOf(body)["message"] ?? null).trim();
  const head =
    lines.length > 0 && message === "" ? `${reason.replace(/^\d+ /, "")}` : message || reason.replace(/^\d+ /, "");
  return [head, ...lines].join("\n");
}

export function objectOf(value: Json): { [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value : {};
}

export function listOf(value: Json): Json[] {
  return Array.isArray(value) ? value : [];
}

export function textOf(value: Json | undefined): string {
  if (value === undefined || value === null) return "";
  return typeof value === "object"
    ? JSON.stringify(value)
    : typeof value === "boolean"
      ? value
        ? "1"
        : "0"
      : String(value);
}

let node: string | undefined;
/** Name of the only node. */
export async function nodeName(): Promise<string> {
  node ??= textOf(objectOf(listOf(await api("GET", "/nodes"))[0] ?? null)["node"]) || "pve";
  return node;
}

/** Waits for a task when the answer is a UPID. @throws ToolError when the task did not end with OK. */
export async function finishTask(answer: Json): Promise<void> {
  if (typeof answer !== "string" || !answer.startsWith("UPID:")) return;
  const owner = answer.split(":")[1] ?? (await nodeName());
  for (let waitMs = 10; ; waitMs = Math.min(waitMs * 2, 250)) {
    const status = objectOf(await api("GET", `/nodes/${owner}/tasks/${encodeURIComponent(answer)}/status`));
    if (textOf(status["status"]) === "stopped") {
      const exit = textOf(status["exitstatus"]);
      if (exit === "OK" || exit.startsWith("WARNINGS")) return;
      throw new ToolError(exit, 255);
    }
    await new Promise((resolve) => setTimeout(resolve, waitMs));
  }
}
