/** What a Pod's annotations say of its job, or everything that is wrong with them. Pure, and total on any JSON. */
import { checked, fault, faultInWords } from "../../../../components/shared/check.ts";
import type { Checked, Fault } from "../../../../components/shared/faults.ts";
import { nearestName } from "../../../../components/shared/nearestName.ts";
import { jobAnnotations, nerveAnnotations, nervePrefix, tierLabel } from "../../../../components/shared/nerve/names.ts";
import { longestMs, parseDuration } from "./duration.ts";

/** When a job must be done: at an instant (Unix time, ms), or so long after the job's creation (ms). */
export type Deadline = { readonly kind: "at"; readonly ms: number } | { readonly kind: "after"; readonly ms: number };

/** The container's own server, which saves the job's state when it is called by `POST`. */
export interface Checkpoint {
  readonly port: number;
  /** From `/` on. */
  readonly path: string;
  /** How long one takes, ms. */
  readonly takesMs: number;
}

/** What a job's owner says of it. */
export interface JobTerms {
  readonly deadline: Deadline;
  /** Compute time that it is expected to need, ms. */
  readonly expectedMs: number;
  readonly checkpoint: Checkpoint | undefined;
  /** Zones that it may run in, each once; undefined for all of the region. */
  readonly zones: readonly string[] | undefined;
  /** 0: price alone, 1: carbon alone. */
  readonly carbonWeight: number;
}

/** A mapping of JSON; anything else is none. */
export function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return isMapping(value) ? value : {};
}

export function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A list of JSON; anything else is empty. */
export function itemsOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

const mostZones = 32;
/** Unknown names that are told one by one; looking for the nearest known one costs time. */
const mostUnknown = 5;
const defaultCheckpointSec = "30";
const known: readonly string[] = [...Object.values(jobAnnotations), ...Object.values(nerveAnnotations), tierLabel.name];
const instant = /^(\d{4}-\d{2}-\d{2})T(?:[01]\d|2[0-3]):\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})$/i;
const duration = "a duration up to a year, such as 4h, 90m or 1h30m";

/** The instant of an RFC 3339 date with its zone, ms; undefined for another form and for a day that no calendar has. */
function parseInstant(text: string): number | undefined {
  const [, day] = instant.exec(text) ?? [];
  if (day === undefined) return undefined;
  // Date.parse takes 30 February for 2 March.
  const midnight = new Date(`${day}T00:00:00Z`);
  if (Number.isNaN(midnight.getTime()) || !midnight.toISOString().startsWith(day)) return undefined;
  const ms = Date.parse(text.toUpperCase());
  return Number.isNaN(ms) ? undefined : ms;
}

function parseDeadline(text: string): Deadline | undefined {
  const after = parseDuration(text);
  if (after !== undefined) return { kind: "after", ms: after };
  const at = parseInstant(text);
  return at === undefined ? undefined : { kind: "at", ms: at };
}

function parseCheckpoint(text: string): Omit<Checkpoint, "takesMs"> | undefined {
  // Visible ASCII without a query: the path goes into a request line as it is.
  const [, digits = "", path = ""] = /^http:(\d{1,5})(\/[!"$->@-~]{0,1023})?$/.exec(text) ?? [];
  const port = Number(digits);
  return port >= 1 && port <= 65_535 ? { port, path: path === "" ? "/" : path } : undefined;
}

function parseZones(text: string): readonly string[] | undefined {
  const zones = [...new Set(text.split(",", mostZones + 1).map((zone) => zone.trim()))];
  const good = zones.every((zone) => /^[A-Za-z0-9](?:[\w.-]{0,61}[A-Za-z0-9])?$/.test(zone));
  return good && zones.length <= mostZones ? zones : undefined;
}

function parseDecimal(text: string, least: number, most: number): number | undefined {
  if (!/^\d{1,9}(?:\.\d{1,9})?$/.test(text)) return undefined;
  const number = Number(text);
  return number >= least && number <= most ? number : undefined;
}

/** Reads annotations by name, noting what is wrong. */
class Notes {
  readonly faults: Fault[] = [];
  readonly #annotations: Readonly<Record<string, unknown>>;

  constructor(annotations: Readonly<Record<string, unknown>>) {
    this.#annotations = annotations;
    const unknown = Object.keys(annotations).filter((name) => name.startsWith(nervePrefix) && !known.includes(name));
    for (const name of unknown.slice(0, mostUnknown)) {
      const nearest = nearestName(name, Object.values(jobAnnotations));
      const fix = nearest === undefined ? "Remove it." : `Did you mean ${nearest}?`;
      this.faults.push(faultInWords(shortened(name), "unknown", `${nervePrefix}…`, fix));
    }
  }

  /** The value as `parse` gives it; undefined, and a fault noted, when there is none or it is wrong. */
  read<T>(
    name: string,
    parse: (text: string) => T | undefined,
    limit: string,
    fix: string,
    byDefault?: string,
  ): T | undefined {
    const given = Object.hasOwn(this.#annotations, name) ? this.#annotations[name] : undefined;
    const value = given ?? byDefault;
    const read = typeof value === "string" ? parse(value) : undefined;
    if (read === undefined) this.faults.push(fault(name, value, limit, fix));
    return read;
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#annotations, name);
  }
}

/** A name that nobody knows may be long. */
function shortened(name: string): string {
  return name.length > 60 ? `${name.slice(0, 60)}…` : name;
}

/** The terms of a Pod's job, or every fault of its annotations. Never throws. What it says does not hang on the time. */
export function jobOf(pod: unknown): Checked<JobTerms> {
  const notes = new Notes(fieldsOf(fieldsOf(fieldsOf(pod)["metadata"])["annotations"]));
  const deadline = notes.read(
    jobAnnotations.deadline,
    parseDeadline,
    "an instant with its zone, such as 2026-12-24T08:00:00Z, or a duration such as 8h",
    "Write when the job must be done.",
  );
  const expectedMs = notes.read(
    jobAnnotations.expectedDuration,
    parseDuration,
    duration,
    "Write how long it computes on one machine.",
  );
  const takesMs = notes.read(
    jobAnnotations.checkpointSeconds,
    (text) => parseDecimal(text, 0.1, longestMs / 1000),
    "seconds above 0",
    "Write how long one checkpoint takes.",
    defaultCheckpointSec,
  );
  const server = notes.has(jobAnnotations.checkpoint)
    ? notes.read(
        jobAnnotations.checkpoint,
        parseCheckpoint,
        "http:PORT/PATH, such as http:8080/checkpoint",
        "Write the port and path of the container's own server.",
      )
    : undefined;
  const zones = notes.has(jobAnnotations.zones)
    ? notes.read(
        jobAnnotations.zones,
        parseZones,
        `up to ${String(mostZones)} zones with commas, such as eu-west-3a,eu-west-3b`,
        "Write the zones as the nodes' label topology.kubernetes.io/zone has them.",
      )
    : undefined;
  const carbonWeight = notes.read(
    jobAnnotations.carbonWeight,
    (text) => parseDecimal(text, 0, 1),
    "a number from 0 to 1",
    "Write 0 for price alone, 1 for carbon alone.",
    "0",
  );
  if (deadline === undefined || expectedMs === undefined || takesMs === undefined || carbonWeight === undefined)
    return { ok: false, faults: notes.faults };
  const checkpoint = server === undefined ? undefined : { ...server, takesMs: takesMs * 1000 };
  return checked(notes.faults, { deadline, expectedMs, checkpoint, zones, carbonWeight });
}
