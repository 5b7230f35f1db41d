// The lab's own controls for other processes, on a Unix socket that its owner alone may open: what the uplink lets through,
// and faults of the uplink and of AWS on demand.
import { chmodSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { IncomingMessage } from "node:http";
import { join } from "node:path";
import * as z from "zod";
import type { RunningAws } from "./aws/index.ts";
import { isRecord } from "./host/files.ts";
import { flowFaultKinds } from "./host/flows.ts";
import type { Uplink, UplinkRules } from "./host/uplink.ts";
import { PveError } from "./proxmox/core/errors.ts";

const port = z.int().min(1).max(65_535);
const name = z.string().min(1).max(253);
const rules = z.strictObject({
  open: z.array(z.strictObject({ machine: name.exactOptional(), port })).max(64),
  reach: z.array(z.strictObject({ from: name.exactOptional(), to: name, port })).max(256),
});
const flowFault = z.strictObject({
  kind: z.enum(flowFaultKinds),
  machine: name.exactOptional(),
  port: port.exactOptional(),
  times: z.int().min(1).max(1_000_000).nullable().exactOptional(),
  delayMs: z.int().min(0).max(600_000).exactOptional(),
  afterBytes: z
    .int()
    .min(0)
    .max(2 ** 31)
    .exactOptional(),
});
const cut = z.strictObject({ machine: name.exactOptional() });
const mostBodyBytes = 64 * 1024;

export interface Controls {
  uplink: Uplink;
  aws: RunningAws;
  /** Called with rules that are in force now, so that they outlive the lab's process. */
  keep: (rules: UplinkRules) => void;
}

/** Rules as a file or a caller wrote them. @throws z.ZodError */
export function readRules(value: unknown): UplinkRules {
  return rules.parse(value);
}

/**
 * `GET|PUT /uplink`, `POST /uplink/cut`, and `GET|POST|DELETE` of `/uplink/faults` and `/aws/faults`. Faults of AWS are
 * those of the lab's Proxmox API (lab/proxmox/shell/faults.ts); their `path` is a pattern on the action's name.
 */
export async function startControls(
  stateDir: string,
  controls: Controls,
): Promise<{ socket: string; close: () => void }> {
  const socket = join(stateDir, "control.sock");
  rmSync(socket, { force: true });
  const server = createServer((request, response) => {
    void (async () => {
      try {
        const result = await perform(controls, `${request.method ?? ""} ${request.url ?? ""}`, await bodyOf(request));
        response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(result ?? null));
      } catch (error) {
        const status = error instanceof z.ZodError || error instanceof PveError ? 400 : 500;
        const message = error instanceof z.ZodError ? z.prettifyError(error) : String(error);
        response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify({ message }));
      }
    })();
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(socket, () => resolve());
  });
  chmodSync(socket, 0o600);
  return {
    socket,
    close: () => {
      server.close();
      server.closeAllConnections();
      rmSync(socket, { force: true });
    },
  };
}

async function perform({ uplink, aws, keep }: Controls, route: string, body: unknown): Promise<unknown> {
  switch (route) {
    case "GET /uplink":
      return uplink.rules;
    case "PUT /uplink": {
      const wanted = readRules(body);
      await uplink.set(wanted);
      keep(wanted);
      return wanted;
    }
    case "POST /uplink/cut":
      return uplink.cut(cut.parse(body ?? {}).machine);
    case "GET /uplink/faults":
      return uplink.faults.list();
    case "POST /uplink/faults":
      return uplink.faults.add(flowFault.parse(body));
    case "DELETE /uplink/faults":
      return uplink.faults.clear();
    case "GET /aws/faults":
      return aws.faults.list();
    case "POST /aws/faults": {
      const fields = isRecord(body) ? Object.entries(body).map(([key, value]) => [key, String(value)]) : [];
      return aws.faults.add(Object.fromEntries(fields));
    }
    case "DELETE /aws/faults":
      return aws.faults.clear();
    default:
      throw new PveError(404, `no such control: ${route}`);
  }
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  let text = "";
  for await (const chunk of request) {
    text += String(chunk);
    if (text.length > mostBodyBytes) throw new PveError(400, "the body is too long");
  }
  return text === "" ? undefined : JSON.parse(text);
}
