/**
 * Metrics as Prometheus reads them (text format 0.0.4), from numbers that their owners keep. By hand: prom-client takes
 * 1.9 MiB of the 50 that Nerve has.
 */
import { readFileSync } from "node:fs";
import { version } from "../shared/version.ts";

export interface Sample {
  /** After the family's name, `_bucket` for one. @default "" */
  readonly suffix?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly samples: readonly Sample[];
}

export const expositionType = "text/plain; version=0.0.4; charset=utf-8";

/** The text of all families. */
export function exposition(families: readonly Family[]): string {
  return families
    .map(({ name, help, type, samples }) => {
      const lines = samples.map(
        ({ suffix = "", labels = {}, value }) => `${name}${suffix}${inBraces(labels)} ${number(value)}\n`,
      );
      return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join("")}`;
    })
    .join("");
}

function inBraces(labels: Readonly<Record<string, string>>): string {
  const parts = Object.entries(labels).map(([name, value]) => `${name}="${value.replace(/[\\"\n]/g, escaped)}"`);
  return parts.length === 0 ? "" : `{${parts.join(",")}}`;
}

function escaped(sign: string): string {
  return sign === "\n" ? "\\n" : `\\${sign}`;
}

function number(value: number): string {
  return Number.isFinite(value) ? String(value) : value > 0 ? "+Inf" : value < 0 ? "-Inf" : "NaN";
}

/** Counts durations, s, by the bounds of its buckets. */
export class Histogram {
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;

  /** @param bounds ascending, s */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Array<number>(bounds.length + 1).fill(0);
  }

  observe(seconds: number): void {
    const found = this.#bounds.findIndex((bound) => seconds <= bound);
    const bucket = found === -1 ? this.#bounds.length : found;
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#sum += seconds;
  }

  samples(): readonly Sample[] {
    let count = 0;
    const buckets = this.#counts.map((own, bucket): Sample => {
      count += own;
      const le = number(this.#bounds[bucket] ?? Number.POSITIVE_INFINITY);
      return { suffix: "_bucket", labels: { le }, value: count };
    });
    return [...buckets, { suffix: "_sum", value: this.#sum }, { suffix: "_count", value: count }];
  }
}

/** What every role says of its process, by the same names as `shared/metrics.ts` has. */
export function processFamilies(): readonly Family[] {
  const { user, system } = process.cpuUsage();
  const labels = { version, node: process.version };
  return [
    {
      ...{ name: "hive_agent_info", help: "Version of the agent; always 1", type: "gauge" },
      samples: [{ labels, value: 1 }],
    },
    {
      name: "hive_agent_resident_bytes",
      help: "Resident memory of the agent's main process, bytes",
      type: "gauge",
      samples: [{ value: residentBytes() }],
    },
    {
      name: "hive_agent_cpu_seconds_total",
      help: "CPU time of the agent's main process, seconds",
      type: "counter",
      samples: [{ value: (user + system) / 1e6 }],
    },
  ];
}

/** Bytes; 0 where /proc cannot be read. */
function residentBytes(): number {
  try {
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "latin1"))?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}
