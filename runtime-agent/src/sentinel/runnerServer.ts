/**
 * Where runners call: HTTP over TLS with each agent's own key. Who has no key of the registry does not get past the
 * handshake.
 */
import * as z from "zod";
import {
  farewell,
  heartbeat,
  mostBodyBytes,
  registration,
  runReport,
} from "../../../components/shared/signals/protocol.ts";
import type { BoundedListener, BoundedRequest } from "../shared/boundedHttp.ts";
import { listenPsk } from "../shared/boundedHttp.ts";
import { keyId, readAgentIdentity } from "../shared/pskTls.ts";
import type { Reply } from "./core/events.ts";
import { refusal } from "./core/events.ts";
import type { AgentRecord } from "./core/types.ts";
import type { SentinelLoop } from "./loop.ts";

/** A report may hold a payload's worth of result and a log's end whose every character is escaped. */
const mostReportBytes = 2 * mostBodyBytes;
/** Connections of one agent at a time: its server may be in other hands, and the others still get in. */
const mostOfOne = 8;

export interface RunnerServerOptions {
  readonly listen: { readonly host: string; readonly port: number };
  readonly maxConnections: number;
  /** An agent as it is now, with the keys that are good; undefined where there is none. */
  readonly agentOf: (name: string) => AgentRecord | undefined;
  readonly loop: Pick<SentinelLoop, "take" | "result">;
  readonly onError: (error: unknown, where: string) => void;
}

const notUnderstood = refusal(400, "not such a message", "Runner and Sentinel speak other versions: upgrade one.");

function parsed(body: Buffer): unknown {
  try {
    const value: unknown = JSON.parse(body.toString("utf8"));
    return value;
  } catch {
    return undefined;
  }
}

/** Who calls, by which of the agent's keys. */
interface Peer {
  readonly agent: AgentRecord;
  /** 64 hexadecimal digits. */
  readonly key: string;
}

/**
 * The agent and the key that an identity names; undefined where that is none of its keys. One that says no key means the
 * one in use. Pure.
 */
export function peerOf(identity: string, agentOf: (name: string) => AgentRecord | undefined): Peer | undefined {
  const named = readAgentIdentity(identity);
  const agent = named === undefined ? undefined : agentOf(named.name);
  if (named === undefined || agent === undefined) return undefined;
  const keys = [agent.key, ...(agent.pending === undefined ? [] : [agent.pending.key])];
  const key = keys.find((each) => named.keyId === undefined || keyId(Buffer.from(each, "hex")) === named.keyId);
  return key === undefined ? undefined : { agent, key };
}

type Handler = (from: Peer, body: unknown) => Promise<Reply>;

/** A handler that reads its own message. */
function reads<T>(schema: z.core.$ZodType<T>, then: (from: Peer, message: T) => Promise<Reply>): Handler {
  return (from, body) => {
    const message = z.safeParse(schema, body, { jitless: true });
    return message.success ? then(from, message.data) : Promise.resolve(notUnderstood);
  };
}

/** Whether a caller has the key of a server that is to come, and has not registered by it. */
function isNext({ agent, key }: Peer): boolean {
  return agent.key !== key;
}

const notRegistered = refusal(404, "not registered", "Register first.");

/** Starts listening. Rejects with the listen error. */
export function startRunnerServer(options: RunnerServerOptions): Promise<BoundedListener> {
  const { loop } = options;
  const handlers: Readonly<Record<string, Handler>> = {
    "/v1/register": reads(registration, ({ agent: { name }, key }, given) =>
      loop.take({ kind: "register", name, key, registration: given }),
    ),
    "/v1/heartbeat": reads(heartbeat, (from, given) =>
      isNext(from)
        ? Promise.resolve(notRegistered)
        : loop.take({ kind: "heartbeat", name: from.agent.name, heartbeat: given }),
    ),
    "/v1/farewell": reads(farewell, ({ agent: { name }, key }, given) =>
      loop.take({ kind: "farewell", name, key, farewell: given }),
    ),
    "/v1/results": reads(runReport, (from, given) =>
      isNext(from) ? Promise.resolve(notRegistered) : loop.result(from.agent, given),
    ),
  };

  async function handle({ method, path, body, identity = "" }: BoundedRequest): Promise<Reply> {
    // The life is that of the caller's key: the listener has just looked that it is still the agent's.
    const peer = peerOf(identity, options.agentOf);
    if (peer === undefined) return refusal(401, "no such agent", "Its key is void.");
    const handler = method === "POST" ? handlers[path] : undefined;
    if (handler === undefined) return refusal(404, "no such route", "Call a route of v1.");
    return handler(peer, parsed(body));
  }

  return listenPsk({
    listen: options.listen,
    keyOf(identity) {
      const peer = peerOf(identity, options.agentOf);
      return peer === undefined ? undefined : Buffer.from(peer.key, "hex");
    },
    mostConnections: options.maxConnections,
    mostOfOne,
    mostBodyBytes: mostReportBytes,
    onError: options.onError,
    async handle(request) {
      const { status, json } = await handle(request);
      return status === 204 ? { status } : { status, json };
    },
  });
}
