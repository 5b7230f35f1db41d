import { createHmac } from "node:crypto";
import type { Checked, Fault } from "../../components/shared/faults.ts";
import { hostOfUrl, isLoopbackHost } from "./loopback.ts";

/** A configuration value as a settings file holds it. */
export type ConfigValue =
  string | number | boolean | null | readonly ConfigValue[] | { readonly [key: string]: ConfigValue };

/** What of the lab goes into the stack's configuration. */
export interface LabConnection {
  readonly project: string;
  readonly endpoint: string;
  readonly apiToken: string;
  readonly ssh: { readonly host: string; readonly port: number; readonly user: string; readonly hostKey: string };
  readonly sshPrivateKey: string;
  /** Public key of the lab's own administrator: the guests' login gets it beside the keys of the tracked file. */
  readonly adminPublicKey: string;
  /** Addresses (CIDR) from which the lab's host is administered. */
  readonly adminCidrs: readonly string[];
  /** Source of the values that stand in for the user's own secrets: those cannot be read here, and must not be. */
  readonly secretSeed: string;
}

/** The configuration of a stack on the lab: plain values by full key, and secrets apart. */
export interface LabConfig {
  readonly plain: Readonly<Record<string, ConfigValue>>;
  readonly secrets: Readonly<Record<string, string>>;
  /** Keys of the tracked file that have no place on the lab. */
  readonly leftOut: readonly string[];
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** A value that the user's stack has encrypted: `{secure: …}`. */
const isSecure = (value: unknown): boolean =>
  isRecord(value) && Object.keys(value).length === 1 && typeof value["secure"] === "string";

/** Values that are connection or secret of the lab's, whatever the tracked file says. */
const ownKeys = new Set(["endpoint", "insecure", "apiToken", "ssh", "sshPrivateKey", "adminCidrs"]);

/** The Keeper is installed over SSH at addresses of the user's own networks, which the lab must never call. */
const keeperKeys = new Set(["keeper", "keeperLinkKey", "keeperProxmoxToken", "keeperWatchdogKey"]);

/**
 * The configuration of stack `genesis` on the lab: what the tracked file says, with everything that reaches out replaced.
 * - Keys of providers (`proxmoxve:…`) and of other projects are left out: they could name an endpoint of their own.
 * - Endpoint, token, SSH and admin addresses are the lab's.
 * - A URL anywhere else (images) becomes a path below the lab's own address, its file name kept.
 * - The Keeper's keys are left out: the lab has a Keeper of its own beside it (`npm start`).
 * - The user's encrypted values are replaced by values made from the lab's seed; nothing of them is read.
 * Pure; refuses a connection that is not loopback and a result that still reaches out.
 */
export function labConfig(tracked: Readonly<Record<string, unknown>>, lab: LabConnection): Checked<LabConfig> {
  const plain: Record<string, ConfigValue> = {};
  const secrets: Record<string, string> = {};
  const leftOut: string[] = [];
  for (const [key, value] of Object.entries(tracked)) {
    const name = ownName(key, lab.project);
    if (name === undefined || ownKeys.has(name)) continue;
    const full = `${lab.project}:${name}`;
    if (keeperKeys.has(name)) {
      leftOut.push(full);
      continue;
    }
    if (isSecure(value)) secrets[full] = standIn(lab.secretSeed, full);
    else plain[full] = localized(value, lab, full);
  }
  const named = (name: string): string => `${lab.project}:${name}`;
  plain[named("endpoint")] = lab.endpoint;
  plain[named("insecure")] = true;
  plain[named("ssh")] = { ...lab.ssh };
  plain[named("adminCidrs")] = lab.adminCidrs;
  plain[named("admin")] = withKey(plain[named("admin")], lab.adminPublicKey);
  secrets[named("apiToken")] = lab.apiToken;
  secrets[named("sshPrivateKey")] = lab.sshPrivateKey;
  const faults = outsideFaults({ plain, secrets }, lab.project);
  return faults.length === 0 ? { ok: true, value: { plain, secrets, leftOut } } : { ok: false, faults };
}

/** The name of a key of our project, `undefined` for keys of others. */
function ownName(key: string, project: string): string | undefined {
  const colon = key.indexOf(":");
  if (colon === -1) return key;
  return key.slice(0, colon) === project ? key.slice(colon + 1) : undefined;
}

/** The login of the guests with one more key; `undefined` or broken settings stay for the validation to refuse. */
function withKey(admin: ConfigValue | undefined, key: string): ConfigValue {
  if (admin === undefined) return { user: "hive", publicKeys: [key] };
  const value = typeof admin === "string" ? jsonInside(admin) : admin;
  if (!isRecord(value)) return admin;
  const keys = value["publicKeys"] ?? [];
  return Array.isArray(keys) ? { ...value, publicKeys: [...keys.filter((each) => each !== key), key] } : admin;
}

function standIn(seed: string, path: string): string {
  return createHmac("sha256", seed).update(path).digest("base64url");
}

/** A value with every URL pointed at the lab and every encrypted part replaced. */
function localized(value: unknown, lab: LabConnection, path: string): ConfigValue {
  if (typeof value === "string") {
    const inside = jsonInside(value);
    return inside === undefined ? localUrl(value, lab.endpoint) : JSON.stringify(localized(inside, lab, path));
  }
  if (typeof value === "number" || typeof value === "boolean" || value === null) return value;
  if (Array.isArray(value)) return value.map((item, index) => localized(item, lab, `${path}[${String(index)}]`));
  if (isSecure(value)) return standIn(lab.secretSeed, path);
  if (isRecord(value))
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, localized(item, lab, `${path}.${key}`)]),
    );
  return String(value);
}

/** The value behind a text of JSON (structured values may be stored so), `undefined` for any other text. */
function jsonInside(text: string): unknown {
  if (!/^\s*[[{"]/.test(text)) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function localUrl(text: string, endpoint: string): string {
  const host = hostOfUrl(text);
  if (host === undefined || isLoopbackHost(host)) return text;
  const rest = text.trim().replace(/^[a-z][a-z0-9+.-]*:[/\\]{2}/i, "");
  return new URL(`/lab/mirror/${encodeURI(rest.replace(/[?#\\].*$/s, ""))}`, endpoint).href;
}

/** Every value of a configuration that names an endpoint or SSH host beyond this machine. */
export function outsideFaults(config: Pick<LabConfig, "plain" | "secrets">, project: string): Fault[] {
  const faults: Fault[] = [];
  const refuse = (property: string, value: string): void => {
    faults.push({
      property,
      value,
      limit: "an address of this machine (127.0.0.0/8, ::1 or localhost)",
      fix: "A real host is contacted with --target real alone.",
    });
  };
  const walk = (value: unknown, path: string): void => {
    const inside = typeof value === "string" ? jsonInside(value) : undefined;
    if (inside !== undefined) walk(inside, path);
    else if (typeof value === "string") {
      const host = hostOfUrl(value);
      if (host !== undefined && !isLoopbackHost(host)) refuse(path, value);
    } else if (Array.isArray(value))
      value.forEach((item, index) => {
        walk(item, `${path}[${String(index)}]`);
      });
    else if (isRecord(value)) for (const [key, item] of Object.entries(value)) walk(item, `${path}.${key}`);
  };
  for (const [key, value] of Object.entries(config.plain)) walk(value, key);
  const endpoint = config.plain[`${project}:endpoint`];
  const endpointHost = typeof endpoint === "string" ? hostOfUrl(endpoint) : undefined;
  if (endpointHost === undefined || !isLoopbackHost(endpointHost)) refuse(`${project}:endpoint`, String(endpoint));
  const ssh = config.plain[`${project}:ssh`];
  const sshHost = isRecord(ssh) ? ssh["host"] : undefined;
  if (typeof sshHost !== "string" || !isLoopbackHost(sshHost)) refuse(`${project}:ssh.host`, String(sshHost));
  for (const key of Object.keys(config.plain))
    if (!key.startsWith(`${project}:`)) refuse(key, "a key of another project or provider");
  return faults.filter((fault, index) => faults.findIndex((each) => each.property === fault.property) === index);
}
