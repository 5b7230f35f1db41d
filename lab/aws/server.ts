// The endpoint: AWS JSON 1.1 over HTTP on loopback, each request signed, faults before or after the work.
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Faults } from "../proxmox/shell/faults.ts";
import { actions } from "./actions.ts";
import type { Context } from "./context.ts";
import { authorize, verifySignature } from "./credentials.ts";
import type { Credential } from "./credentials.ts";
import { AwsError } from "./errors.ts";
import { Parameters } from "./parameters.ts";
import { tagged } from "./resources.ts";
import type { AwsStore } from "./state.ts";

const mostBodyBytes = 1024 * 1024;
const targetPrefix = "Lightsail_20161128.";

export interface EndpointOptions {
  store: AwsStore;
  credentials: readonly Credential[];
  faults: Faults;
  delayMs: number;
  newAddress: (number: number) => string;
  /** @default no instance has one */
  hostKeyOf?: Context["hostKeyOf"];
  /** Called when something may have changed. */
  changed: () => void;
  /** 0 lets the system choose. */
  port: number;
  now?: () => number;
}

export async function startEndpoint(options: EndpointOptions): Promise<{ port: number; close: () => Promise<void> }> {
  const server = createServer((request, response) => void answer(request, response, options));
  server.on("clientError", (_error, socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, "127.0.0.1", () => resolve());
  });
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : options.port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(request: IncomingMessage, response: ServerResponse, options: EndpointOptions): Promise<void> {
  const body = await readBody(request);
  if (body === undefined) return void request.socket.destroy();
  const target = String(request.headers["x-amz-target"] ?? "");
  const name = target.startsWith(targetPrefix) ? target.slice(targetPrefix.length) : "";
  const fault = options.faults.take("POST", name);
  if (fault?.kind === "slow" || fault?.kind === "timeout")
    await new Promise((resolve) => setTimeout(resolve, fault.delayMs).unref());
  if (fault?.kind === "timeout" || (fault?.kind === "drop" && fault.phase === "before"))
    return void request.socket.destroy();
  let outcome: { status: number; body: object };
  try {
    if (fault?.kind === "500" && fault.phase === "before") throw new AwsError("ServiceException", fault.message, 500);
    outcome = {
      status: 200,
      body: perform(request, name, body, options, fault?.kind === "slow-task" ? fault.delayMs : 0),
    };
    if (fault?.kind === "500") throw new AwsError("ServiceException", fault.message, 500);
  } catch (error) {
    if (!(error instanceof AwsError)) {
      outcome = { status: 500, body: { __type: "InternalFailure", message: String(error) } };
    } else {
      const { type, message, status } = error;
      outcome = { status, body: { __type: type, code: type, message } };
    }
  }
  if (fault?.kind === "drop") return void request.socket.destroy();
  response.writeHead(outcome.status, {
    "Content-Type": "application/x-amz-json-1.1",
    "x-amzn-RequestId": randomUUID(),
  });
  response.end(JSON.stringify(outcome.body));
}

function perform(
  request: IncomingMessage,
  name: string,
  body: Buffer,
  options: EndpointOptions,
  extraMs: number,
): object {
  const { store, credentials, newAddress, hostKeyOf = () => undefined } = options;
  const nowMs = (options.now ?? Date.now)();
  const [path = "/", query = ""] = (request.url ?? "/").split("?");
  const { headers } = request;
  const { credential, region } = verifySignature(
    { method: request.method ?? "", path, query, headers, body },
    credentials,
    nowMs,
  );
  const action = Object.hasOwn(actions, name) ? actions[name] : undefined;
  if (action === undefined || request.method !== "POST") throw new AwsError("UnknownOperationException", "");
  const parameters = Parameters.read(parsed(body), action.parameters);
  const context: Context = {
    store,
    region,
    nowMs,
    delayMs: options.delayMs + extraMs,
    parameters,
    newAddress,
    hostKeyOf,
  };
  const resource = action.resource === undefined ? "" : parameters.text(action.resource);
  // A condition on a tag needs the tags: of what does not exist there are none, and IAM refuses first.
  authorize(credential, name, resource === "" ? [] : tagsIfAny(context, resource));
  const result = action.handle(context);
  if (!name.startsWith("Get")) {
    store.save();
    options.changed();
  }
  return result;
}

function tagsIfAny(context: Context, name: string): readonly { key: string; value: string }[] {
  try {
    return tagged(context, name).tags;
  } catch {
    return [];
  }
}

function parsed(body: Buffer): unknown {
  try {
    return JSON.parse(body.length === 0 ? "{}" : body.toString("utf8"));
  } catch {
    throw new AwsError("SerializationException", "The request is no JSON");
  }
}

function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let size = 0;
    request.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size > mostBodyBytes) resolve(undefined);
      else chunks.push(chunk);
    });
    request.on("end", () => resolve(Buffer.concat(chunks)));
    request.on("error", () => resolve(undefined));
  });
}
