/** GPU samples as JSON lines: one object a line, units in the names, written to whatever takes lines. */
import type { GpuReading } from "./types.ts";

/** Where lines go: a rotating file. `write` must not throw and must not block. */
export interface LineSink {
  write(line: string): void;
}

/** One reading as a line without its line end. `time` is ISO 8601 in UTC. */
function sampleLine(reading: GpuReading, wallMs: number): string {
  return JSON.stringify({ time: new Date(wallMs).toISOString(), ...reading });
}

/** Writes every sample once, and each change of an unknown or absent reading once. */
export class SampleLog {
  readonly #sink: LineSink;
  #lastSample = 0;
  #lastReason = "";

  constructor(sink: LineSink) {
    this.#sink = sink;
  }

  add(reading: GpuReading, wallMs: number): void {
    if (reading.kind === "known") {
      if (reading.sample === this.#lastSample) return;
      this.#lastSample = reading.sample;
      this.#lastReason = "";
    } else {
      // Pauses count down in the reason; the same state is not worth a line a second.
      const reason = `${reading.kind}: ${reading.reason.replace(/\d+/g, "#")}`;
      if (reason === this.#lastReason) return;
      this.#lastReason = reason;
    }
    this.#sink.write(sampleLine(reading, wallMs));
  }
}
