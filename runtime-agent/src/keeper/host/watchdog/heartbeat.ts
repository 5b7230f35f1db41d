/**
 * Heartbeats to the ESP32 on the reset header, sent after a completed decision loop and from nowhere else, and the
 * goodbye of an orderly stop. The firmware judges both by `components/shared/agent/watchdogLine.ts`. The host's
 * own /dev/watchdog is left to Proxmox's watchdog-mux, whose clients are its cluster services: the agent never opens it.
 */
import { execFile } from "node:child_process";
import { createHmac } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { constants } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { promisify } from "node:util";
import type { Clock } from "../../../shared/clock.ts";
import { readFileIfPresent, writeFileAtomically } from "../../../shared/stateFile.ts";
import type { Goodbye } from "./goodbye.ts";

const run = promisify(execFile);

export type HeartbeatTarget =
  | { readonly type: "serial"; readonly device: string; readonly baud: number }
  | { readonly type: "udp"; readonly host: string; readonly port: number };

export interface HeartbeatOptions {
  readonly target: HeartbeatTarget;
  /** 32 bytes; the firmware has them as 64 hexadecimal digits, and that text is the key. */
  readonly key: Buffer;
  readonly clock: Pick<Clock, "wallMs">;
  /** Where the counter's reserve is kept: it must rise across restarts and jumps of the clock. */
  readonly counterFile: string;
  /** Runs a program; for tests. @default execFile with a limit of 5 s */
  readonly execute?: (program: string, argv: readonly string[]) => Promise<unknown>;
}

export interface Heartbeat {
  /** Sends one, or a goodbye. Rejects when it could not be sent; the next call tries again from the beginning. */
  send(goodbye?: Goodbye): Promise<void>;
  close(): Promise<void>;
}

/** Counters reserved at a time: one write a minute. */
const reserve = 60_000;

/** One line, without its end: `hive1 COUNTER MAC`, a goodbye's word before the counter. */
export function heartbeatLine(key: Buffer, counter: number, goodbye?: Goodbye): string {
  const text = ["hive1", ...(goodbye === undefined ? [] : [goodbye]), String(counter)].join(" ");
  return `${text} ${createHmac("sha256", key.toString("hex")).update(text).digest("hex")}`;
}

/** Opens nothing yet: a device that is missing now may come later. */
export function createHeartbeat(options: HeartbeatOptions): Heartbeat {
  const { target, key, clock, counterFile } = options;
  const execute = options.execute ?? ((program, argv) => run(program, [...argv], { timeout: 5000 }));
  let counter: number | undefined;
  let reserved = 0;
  let port: FileHandle | undefined;
  let socket: Socket | undefined;

  async function next(): Promise<number> {
    if (counter === undefined) {
      const text = (await readFileIfPresent(counterFile))?.trim() ?? "";
      counter = /^\d{1,15}$/.test(text) ? Number(text) : 0;
      reserved = counter;
    }
    const wanted = Math.max(counter + 1, Math.floor(clock.wallMs()));
    if (wanted >= reserved) {
      // Reserved before it is used, so that a killed agent never counts twice.
      reserved = wanted + reserve;
      await writeFileAtomically(counterFile, `${String(reserved)}\n`);
    }
    counter = wanted;
    return wanted;
  }

  async function serial(device: string, baud: number, line: string): Promise<void> {
    if (port === undefined) {
      // Without -hupcl each close drops DTR, which resets many boards; raw keeps the kernel from editing the bytes.
      await execute("stty", ["-F", device, String(baud), "raw", "-echo", "-hupcl", "clocal", "-crtscts"]);
      const { O_WRONLY, O_NOCTTY, O_NONBLOCK } = constants;
      // NONBLOCK: a port that takes no bytes answers EAGAIN instead of holding the loop.
      port = await open(device, O_WRONLY | O_NOCTTY | O_NONBLOCK);
    }
    try {
      // A line end first: what a torn write left in the firmware's buffer ends there.
      await port.write(`\n${line}\n`);
    } catch (error) {
      const broken = port;
      port = undefined;
      await broken.close().catch(() => undefined);
      throw error;
    }
  }

  function udp(host: string, udpPort: number, line: string): Promise<void> {
    if (socket === undefined) {
      socket = createSocket(host.includes(":") ? "udp6" : "udp4");
      socket.on("error", () => undefined);
      socket.unref();
    }
    const open = socket;
    return new Promise((resolve, reject) => {
      open.send(line, udpPort, host, (error) => (error === null ? resolve() : reject(error)));
    });
  }

  return {
    async send(goodbye) {
      const line = heartbeatLine(key, await next(), goodbye);
      if (target.type === "serial") await serial(target.device, target.baud, line);
      else await udp(target.host, target.port, line);
    },
    async close() {
      await port?.close();
      port = undefined;
      socket?.close();
      socket = undefined;
    },
  };
}
