/** Routes: what is served, with which parameters, and where that behaviour was read. */
import type { Identity } from "../access/identity.ts";
import { PveError, paramError } from "./errors.ts";
import type { LabState } from "./state.ts";
import type { TaskWork } from "./work.ts";

export type Params = Record<string, string>;
export type Method = "GET" | "POST" | "PUT" | "DELETE";

/** What a handler may ask of the world outside the state; all of it is given, nothing is fetched. */
export interface Environment {
  readonly nowMs: number;
  readonly taskDelayMs: number;
  readonly bootDelayMs: number;
  uuid(): string;
  randomHex(bytes: number): string;
  /** Files that exist under a directory storage on the lab's host root (written there over SFTP). */
  hostFiles(directory: string): { name: string; sizeBytes: number; mtimeMs: number }[];
  removeHostFile(path: string): boolean;
  /** Names of pools that were made with `zpool create` in the host's shell. */
  shellPools(): { name: string; sizeBytes: number }[];
}

export interface Upload {
  filename: string;
  sizeBytes: number;
  sha256: string;
}

export interface Context {
  readonly state: LabState;
  readonly identity: Identity;
  readonly params: Params;
  readonly path: Params;
  readonly env: Environment;
  readonly upload?: Upload;
  /** Storages that a fault declares full. */
  readonly fullStorages: readonly string[];
  /** Starts a task and returns its UPID. */
  task(spec: { type: string; id?: string; work: TaskWork; log?: string[]; delayFactor?: number }): string;
  event(kind: string, detail: Record<string, string | number>): void;
}

export interface Route {
  readonly method: Method;
  /** `/nodes/{node}/qemu`, names in braces are path parameters. */
  readonly path: string;
  /** Accepted parameters: `name!` is required, `net#` is numbered. */
  readonly params: string;
  /** Where the behaviour was read: a Perl file of Proxmox or a decoder of bpg, with its version. */
  readonly source: string;
  /** Needs no identity. */
  readonly open?: true;
  /** Only on the root socket. */
  readonly rootSocketOnly?: true;
  readonly handle: (context: Context) => unknown;
}

interface Compiled {
  route: Route;
  segments: string[];
}

export interface Router {
  readonly routes: readonly Route[];
  find(method: string, path: string): { route: Route; path: Params } | undefined;
}

export function createRouter(routes: readonly Route[]): Router {
  const compiled: Compiled[] = routes.map((route) => ({ route, segments: route.path.split("/").slice(1) }));
  return {
    routes,
    find(method, path) {
      const wanted = path
        .replace(/(?<=.)\/+$/, "")
        .split("/")
        .slice(1)
        .map(decodeSegment);
      for (const { route, segments } of compiled) {
        if (route.method !== method || segments.length !== wanted.length) continue;
        const values: Params = {};
        const matches = segments.every((segment, i) => {
          const value = wanted[i] ?? "";
          if (!segment.startsWith("{")) return segment === value;
          values[segment.slice(1, -1)] = value;
          return value !== "";
        });
        if (matches) return { route, path: values };
      }
      return undefined;
    },
  };
}

function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

const compiledParams = new Map<string, { allowed: Set<string>; numbered: Set<string>; required: string[] }>();

/** Refuses unknown and missing parameters as PVE::JSONSchema does, all of them at once. */
export function checkParams(spec: string, params: Params): void {
  let compiled = compiledParams.get(spec);
  if (!compiled) {
    const words = spec.split(/\s+/).filter((word) => word !== "");
    compiled = {
      allowed: new Set(words.filter((w) => !w.endsWith("#")).map((w) => w.replace(/!$/, ""))),
      numbered: new Set(words.filter((w) => w.endsWith("#")).map((w) => w.slice(0, -1))),
      required: words.filter((w) => w.endsWith("!")).map((w) => w.slice(0, -1)),
    };
    compiledParams.set(spec, compiled);
  }
  const errors: Record<string, string> = {};
  for (const name of Object.keys(params)) {
    if (compiled.allowed.has(name)) continue;
    const numbered = /^(.*?)\d+$/.exec(name);
    if (numbered?.[1] !== undefined && compiled.numbered.has(numbered[1])) continue;
    errors[name] = "property is not defined in schema and the schema does not allow additional properties";
  }
  for (const name of compiled.required) {
    if (params[name] === undefined) errors[name] = "property is missing and it is not optional";
  }
  if (Object.keys(errors).length > 0) paramError(errors);
}

export function integer(params: Params, name: string, fallback: number): number {
  const value = params[name];
  if (value === undefined) return fallback;
  if (!/^-?\d+$/.test(value)) paramError({ [name]: "type check ('integer') failed - got '" + value + "'" });
  return Number(value);
}

export function notImplemented(method: string, path: string): PveError {
  return new PveError(501, `Method '${method} ${path}' not implemented`);
}
