/** One authenticated connection, seen as messages: framing, flood and silence limits on both sides alike. */
import type { TLSSocket } from "node:tls";
import type { z } from "zod";
import type { FromArbiter, FromHost } from "./protocol.ts";
import { encodeFrame, FrameReader, TokenBucket } from "./protocol.ts";

export interface SessionOptions<In> {
  readonly socket: TLSSocket;
  readonly schema: z.core.$ZodType<In>;
  /** A peer that says nothing for so long is gone, whatever TCP thinks, ms. */
  readonly silenceMs: number;
  readonly onMessage: (message: In) => void;
  /** Called once. */
  readonly onEnd: (reason: string) => void;
}

export interface Session<Out> {
  /** False when the message was dropped because the connection is gone. */
  send(message: Out): boolean;
  end(reason: string): void;
}

const perSecond = 100;
const burst = 200;
/** Bytes that may wait for a peer that does not read. */
const mostQueuedBytes = 256 * 1024;

/** Takes over a socket whose handshake is done. Anything wrong ends the connection: there is no resynchronising. */
export function openSession<In, Out extends FromHost | FromArbiter>(options: SessionOptions<In>): Session<Out> {
  const { socket } = options;
  const reader = new FrameReader(options.schema);
  const bucket = new TokenBucket(perSecond, burst, performance.now());
  let lastMs = performance.now();
  let ended = false;

  const end = (reason: string): void => {
    if (ended) return;
    ended = true;
    clearInterval(watch);
    socket.destroy();
    options.onEnd(reason);
  };
  // Silence is counted on this process's own clock: a compressed clock in a test must not cut real connections.
  const watch = setInterval(
    () => {
      if (performance.now() - lastMs > options.silenceMs) end("silent");
    },
    Math.max(10, options.silenceMs / 4),
  );
  watch.unref();

  socket.setNoDelay(true);
  socket.on("data", (chunk: Buffer) => {
    for (const frame of reader.push(chunk)) {
      if (ended) return;
      if (!frame.ok) return end(frame.fault);
      if (!bucket.take(performance.now())) return end("too many");
      lastMs = performance.now();
      options.onMessage(frame.message);
    }
  });
  socket.on("error", (error) => end("code" in error ? String(error.code) : "error"));
  socket.on("close", () => end("closed"));
  socket.on("end", () => end("closed"));

  return {
    send(message) {
      if (ended) return false;
      if (socket.writableLength > mostQueuedBytes) {
        end("does not read");
        return false;
      }
      socket.write(encodeFrame(message));
      return true;
    },
    end,
  };
}
