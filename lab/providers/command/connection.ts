// Opening an SSH connection from the `connection` property: retries, host key, bastion; after the published schema.
import { setTimeout as sleep } from "node:timers/promises";
import type { Duplex } from "node:stream";
import ssh2 from "ssh2";
import type { Client, ConnectConfig } from "ssh2";
import { isObject } from "./wire.ts";

export interface Endpoint {
  host: string;
  port: number;
  user: string;
  password: string | undefined;
  privateKey: string | undefined;
  privateKeyPassword: string | undefined;
  agentSocketPath: string | undefined;
  hostKey: string | undefined;
  /** -1: no limit. */
  dialErrorLimit: number;
  /** 0: no limit. */
  perDialTimeoutSec: number;
}

export interface Target extends Endpoint {
  proxy: Endpoint | undefined;
}

export interface Fault {
  property: string;
  reason: string;
}

const texts = ["user", "password", "privateKey", "privateKeyPassword", "agentSocketPath", "hostKey"] as const;
const numbers = { port: [1, 65_535], dialErrorLimit: [-1, 1_000_000], perDialTimeout: [0, 86_400] } as const;

/** All faults of a plain connection value. Defaults are the schema's: root, 22, 10 dial errors, 15 s a dial. */
export function connectionFaults(value: unknown, at = "connection"): Fault[] {
  if (!isObject(value)) return [{ property: at, reason: "is required: an object with at least `host`" }];
  const faults: Fault[] = [];
  if (typeof value["host"] !== "string" || value["host"] === "")
    faults.push({ property: `${at}.host`, reason: "is required: an address or a name" });
  for (const key of texts) {
    if (isGiven(value[key]) && typeof value[key] !== "string")
      faults.push({ property: `${at}.${key}`, reason: "must be a string" });
  }
  for (const [key, [low, high]] of Object.entries(numbers)) {
    const number = value[key];
    if (isGiven(number) && (typeof number !== "number" || !Number.isInteger(number) || number < low || number > high)) {
      faults.push({ property: `${at}.${key}`, reason: `must be a whole number from ${low} to ${high}` });
    }
  }
  const known = new Set<string>(["host", "proxy", ...texts, ...Object.keys(numbers)]);
  for (const key of Object.keys(value))
    if (!known.has(key)) faults.push({ property: `${at}.${key}`, reason: "is not a property of a connection" });
  if (isGiven(value["proxy"])) faults.push(...connectionFaults(value["proxy"], `${at}.proxy`));
  if (typeof value["hostKey"] === "string" && hostKeyData(value["hostKey"]) === undefined) {
    faults.push({ property: `${at}.hostKey`, reason: "must be a public key as in known_hosts: type and base64" });
  }
  return faults;
}

function isGiven(value: unknown): boolean {
  return value !== null && value !== undefined;
}

/** Reads a connection without faults. */
export function targetOf(value: unknown): Target {
  const fields = isObject(value) ? value : {};
  return {
    ...endpointOf(fields),
    proxy: !isGiven(fields["proxy"]) ? undefined : endpointOf(isObject(fields["proxy"]) ? fields["proxy"] : {}),
  };
}

function endpointOf(fields: Record<string, unknown>): Endpoint {
  const text = (key: string): string | undefined =>
    typeof fields[key] === "string" && fields[key] !== "" ? fields[key] : undefined;
  const number = (key: string, fallback: number): number => (typeof fields[key] === "number" ? fields[key] : fallback);
  return {
    host: text("host") ?? "",
    port: number("port", 22),
    user: text("user") ?? "root",
    password: text("password"),
    privateKey: text("privateKey"),
    privateKeyPassword: text("privateKeyPassword"),
    agentSocketPath: text("agentSocketPath") ?? process.env["SSH_AUTH_SOCK"],
    hostKey: text("hostKey"),
    dialErrorLimit: number("dialErrorLimit", 10),
    perDialTimeoutSec: number("perDialTimeout", 15),
  };
}

function hostKeyData(line: string): { type: string; data: Buffer } | undefined {
  const [type, base64] = line.trim().split(/\s+/);
  if (type === undefined || base64 === undefined || !/^[A-Za-z0-9+/]+=*$/.test(base64)) return undefined;
  return { type, data: Buffer.from(base64, "base64") };
}

export interface Connected {
  client: Client;
  close: () => void;
}

const open = new Set<Client>();

/** Ends every connection: the engine cancelled. */
export function closeAllConnections(): void {
  for (const client of open) client.destroy();
}

/** Connects, through the bastion when there is one. @throws Error naming the address and the last failure. */
export async function connect(target: Target, status: (message: string) => void): Promise<Connected> {
  if (target.proxy === undefined) {
    const client = await withRetries("Dial", target, status, () => dial(target, undefined));
    return { client, close: () => client.end() };
  }
  const bastion = await withRetries("Dial proxy", target.proxy, status, () => dial(target.proxy ?? target, undefined));
  try {
    const client = await withRetries("Dial from proxy", target, status, async () => {
      const socket = await new Promise<Duplex>((resolve, reject) => {
        bastion.forwardOut("127.0.0.1", 0, target.host, target.port, (error, channel) =>
          error === undefined ? resolve(channel) : reject(error),
        );
      });
      return dial(target, socket);
    });
    return {
      client,
      close: () => {
        client.end();
        bastion.end();
      },
    };
  } catch (error) {
    bastion.end();
    throw error;
  }
}

async function withRetries<Result>(
  what: string,
  endpoint: Endpoint,
  status: (message: string) => void,
  attempt: () => Promise<Result>,
): Promise<Result> {
  let delayMs = 100;
  for (let failures = 0; ;) {
    try {
      return await attempt();
    } catch (error) {
      failures += 1;
      const reason = error instanceof Error ? error.message : String(error);
      if (endpoint.dialErrorLimit >= 0 && failures > endpoint.dialErrorLimit) {
        throw new Error(
          `${endpoint.user}@${endpoint.host}:${endpoint.port}: after ${failures} failed attempts: ${reason}`,
        );
      }
      status(`${what} ${failures}/${endpoint.dialErrorLimit < 0 ? "inf" : endpoint.dialErrorLimit} failed: retrying`);
      await sleep(delayMs);
      delayMs = Math.min(delayMs * 1.5, 5000);
    }
  }
}

function dial(endpoint: Endpoint, socket: Duplex | undefined): Promise<Client> {
  const hostKey = endpoint.hostKey === undefined ? undefined : hostKeyData(endpoint.hostKey);
  const config: ConnectConfig = {
    host: endpoint.host,
    port: endpoint.port,
    username: endpoint.user,
    readyTimeout: endpoint.perDialTimeoutSec * 1000,
    keepaliveInterval: 15_000,
    keepaliveCountMax: 4,
    ...(socket === undefined ? {} : { sock: socket }),
    ...(endpoint.privateKey === undefined ? {} : { privateKey: endpoint.privateKey }),
    ...(endpoint.privateKeyPassword === undefined ? {} : { passphrase: endpoint.privateKeyPassword }),
    ...(endpoint.password === undefined ? {} : { password: endpoint.password, tryKeyboard: true }),
    ...(endpoint.agentSocketPath === undefined ? {} : { agent: endpoint.agentSocketPath }),
    ...(hostKey === undefined ? {} : { hostVerifier: (key: Buffer) => key.equals(hostKey.data) }),
  };
  return new Promise((resolve, reject) => {
    const client = new ssh2.Client();
    open.add(client);
    const fail = (error: Error): void => {
      open.delete(client);
      client.destroy();
      reject(error);
    };
    client.on("close", () => {
      open.delete(client);
      reject(new Error("the connection was closed"));
    });
    client.on("error", fail);
    client.on("keyboard-interactive", (_name, _instructions, _language, prompts, finish) =>
      finish(prompts.map(() => endpoint.password ?? "")),
    );
    client.on("connect", () => client.setNoDelay(true));
    client.on("ready", () => resolve(client));
    try {
      client.connect(config);
    } catch (error) {
      fail(error instanceof Error ? error : new Error(String(error))); // an unreadable private key, for example
    }
  });
}
