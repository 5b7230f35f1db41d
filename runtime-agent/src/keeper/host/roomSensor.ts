/**
 * Heat of the room, from a file of millidegrees Celsius: hwmon's `temp*_input` (Linux, Documentation/hwmon/
 * sysfs-interface.rst) or `temperature` of a sensor on the 1-Wire bus (Documentation/w1/slaves/w1_therm.rst), whose read
 * takes as long as the conversion, 750 ms at 12 bits. Read beside the loop, one read at a time.
 */
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import type { Clock } from "../../shared/clock.ts";
import type { Log } from "../../shared/log.ts";

/** What a room can have. A DS18B20 that has not measured says 85 °C, a broken line −127 °C. */
const leastC = -40;
const mostC = 80;
const everyMs = 10_000;
/** After this a read counts as failed, though the next one still waits for its end: it holds one of Node's threads. */
const deadlineMs = 5000;
const mostBytes = 32;

/** Celsius, or undefined for what is no temperature of a room. */
export function parseRoom(text: string): number | undefined {
  if (!/^-?\d{1,6}\n?$/.test(text)) return undefined;
  const celsius = Number(text) / 1000;
  return celsius >= leastC && celsius <= mostC ? celsius : undefined;
}

export interface RoomSensor {
  /** Reads when it is time, and waits for nothing. */
  look(): void;
  /** What the last read gave, °C; undefined without a sensor, before the first read and after one that failed. */
  celsius(): number | undefined;
  /** Why there is no temperature. */
  fault(): string | undefined;
}

async function readStart(file: string): Promise<string> {
  // NONBLOCK: a pipe that is named by mistake is no reason to wait for a writer.
  const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(mostBytes), 0, mostBytes, null);
    return buffer.toString("latin1", 0, bytesRead);
  } finally {
    await handle.close();
  }
}

/** A sensor that gives nothing where no file is configured; the file may change with the configuration. */
export function createRoomSensor(options: {
  readonly file: () => string | undefined;
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly log: Log;
  /** @default the file's first bytes */
  readonly read?: (file: string) => Promise<string>;
}): RoomSensor {
  const { clock, log } = options;
  const read = options.read ?? readStart;
  let current: string | undefined;
  let celsius: number | undefined;
  let fault: string | undefined;
  let startedMs = Number.NEGATIVE_INFINITY;
  let reading = false;

  function settle(value: number | undefined, why: string | undefined): void {
    // Once for each fault, not once for each look.
    if (why !== undefined && why !== fault) log.warning("room sensor", { file: current, reason: why });
    [celsius, fault] = [value, why];
  }

  async function readOnce(file: string): Promise<void> {
    let value: number | undefined;
    let why: string | undefined;
    try {
      value = parseRoom(await read(file));
      if (value === undefined) why = "no temperature of a room in millidegrees Celsius";
    } catch (error) {
      why = error instanceof Error ? error.message : String(error);
    }
    reading = false;
    // Too late, or of another file than is configured by now.
    if (file === current && clock.monotonicMs() - startedMs < deadlineMs) settle(value, why);
  }

  return {
    look() {
      const file = options.file();
      if (file !== current) {
        current = file;
        settle(undefined, undefined);
        if (!reading) startedMs = Number.NEGATIVE_INFINITY;
      }
      const ageMs = clock.monotonicMs() - startedMs;
      if (reading && current !== undefined && ageMs >= deadlineMs)
        settle(undefined, `no answer within ${String(deadlineMs / 1000)} s`);
      if (file === undefined || reading || ageMs < everyMs) return;
      reading = true;
      startedMs = clock.monotonicMs();
      void readOnce(file);
    },
    celsius: () => celsius,
    fault: () => fault,
  };
}
