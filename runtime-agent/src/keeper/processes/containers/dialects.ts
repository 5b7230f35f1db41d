/** What Docker and Podman answer, brought to one form. Pure. */
import type { IncomingHttpHeaders } from "node:http";
import { z } from "zod";
import { ProcessError } from "../errors.ts";

/** Docker API versions that this code was written against; 1.41 is Docker 20.10 and what Podman 4 offers. */
const oldestDocker = [1, 40] as const;
const newestDocker = [1, 51] as const;
/** The libpod API's major versions that have these routes in this form. */
const libpodMajors: readonly number[] = [3, 4, 5];

export interface Flavour {
  readonly kind: "docker" | "libpod";
  /** What every path starts with, for example `/v1.44`. */
  readonly prefix: string;
}

export interface ContainerSummary {
  readonly id: string;
  readonly names: readonly string[];
  /** The engine's own word: `running`, `paused`, `exited`, `created`, … */
  readonly state: string;
}

export interface Container {
  readonly id: string;
  readonly name: string;
  /** True while paused, too. */
  readonly running: boolean;
  readonly paused: boolean;
  /** Its first process in the host's numbers; undefined when it does not run. */
  readonly pid: number | undefined;
}

function numbersOf(version: unknown): readonly [number, number] | undefined {
  const match = typeof version === "string" ? /^(\d{1,4})\.(\d{1,4})(?:\.|$)/.exec(version) : null;
  return match === null ? undefined : [Number(match[1]), Number(match[2])];
}

const isBefore = (a: readonly [number, number], b: readonly [number, number]): boolean =>
  a[0] < b[0] || (a[0] === b[0] && a[1] < b[1]);

/**
 * Which API to speak, from the headers of `GET /_ping`: Podman names its own version beside Docker's.
 * @throws ProcessError `unsupported` when the engine is too old or says no version
 */
export function flavourOf(headers: IncomingHttpHeaders, where: string, only?: "docker"): Flavour {
  const libpodVersion = numbersOf(headers["libpod-api-version"]);
  if (only === undefined && libpodVersion !== undefined && libpodMajors.includes(libpodVersion[0]))
    return { kind: "libpod", prefix: `/v${libpodVersion.join(".")}.0/libpod` };
  const theirs = numbersOf(headers["api-version"]);
  if (theirs === undefined || isBefore(theirs, oldestDocker))
    throw new ProcessError(
      "unsupported",
      `${where}: its API version is ${String(headers["api-version"] ?? "not told")}; at least ${oldestDocker.join(".")} is needed`,
    );
  const agreed = isBefore(theirs, newestDocker) ? theirs : newestDocker;
  return { kind: "docker", prefix: `/v${agreed.join(".")}` };
}

/** `GET /containers/json` of both: Docker writes a slash before each name. */
export const listed = z
  .array(z.object({ Id: z.string(), Names: z.array(z.string()).nullish(), State: z.string() }))
  .transform((list) =>
    list.map(({ Id, Names, State }): ContainerSummary => ({
      id: Id,
      names: (Names ?? []).map((name) => name.replace(/^\//, "")),
      state: State,
    })),
  );

/** `GET /containers/NAME/json` of both. Docker's `Running` stays true while paused, Podman's does not. */
export const inspected = z
  .object({
    Id: z.string(),
    Name: z.string(),
    State: z.object({
      Running: z.boolean(),
      Paused: z.boolean(),
      Pid: z.number().int().nonnegative(),
    }),
  })
  .transform(({ Id, Name, State }): Container => {
    const running = State.Running || State.Paused;
    return {
      id: Id,
      name: Name.replace(/^\//, ""),
      running,
      paused: State.Paused,
      pid: running && State.Pid > 0 ? State.Pid : undefined,
    };
  });
