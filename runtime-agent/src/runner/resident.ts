/**
 * The line to a resident agent, on its Unix socket: one JSON line `{"runId","payload"}` there, one JSON line
 * `{"ok":true,"result"}` or `{"ok":false,"error"}` back, a connection for each run.
 */
import { connect } from "node:net";
import * as z from "zod";
import { mostPayloadBytes, type RunReport } from "../../../components/shared/signals/protocol.ts";
import { isShallow } from "../../../components/shared/signals/shallow.ts";

const answerLine = z.union([
  z.strictObject({ ok: z.literal(true), result: z.json().default(null) }),
  z.strictObject({ ok: z.literal(false), error: z.string().max(2000) }),
]);

export type ResidentAnswer =
  | { readonly kind: "ok"; readonly value: RunReport["result"] }
  | { readonly kind: "error"; readonly reason: string }
  /** Nothing was handed over. */
  | { readonly kind: "unreachable"; readonly reason: string }
  /** It was handed over, and no answer came. */
  | { readonly kind: "broken"; readonly reason: string };

export interface Resident {
  /** Hands a run over. Never throws. */
  send(runId: string, payload: string, signal: AbortSignal): Promise<ResidentAnswer>;
  /** Whether the agent takes connections. */
  answers(): Promise<boolean>;
}

const connectMs = 5_000;

function readAnswer(line: string): ResidentAnswer {
  try {
    const parsed = isShallow(line) ? answerLine.safeParse(JSON.parse(line)) : undefined;
    if (parsed?.success !== true) return { kind: "error", reason: "the agent's answer is of another form" };
    if (parsed.data.ok) return { kind: "ok", value: parsed.data.result };
    return { kind: "error", reason: parsed.data.error };
  } catch {
    return { kind: "error", reason: "the agent's answer is not JSON" };
  }
}

/** @param answerMs longest wait for an answer */
export function residentAgent(socketPath: string, answerMs: number): Resident {
  return {
    send(runId, payload, signal) {
      return new Promise((resolve) => {
        let handedOver = false;
        const chunks: Buffer[] = [];
        let size = 0;
        const socket = connect(socketPath);
        const end = (answer: ResidentAnswer): void => {
          clearTimeout(guard);
          signal.removeEventListener("abort", onAbort);
          socket.destroy();
          resolve(answer);
        };
        const lost = (reason: string): void => end({ kind: handedOver ? "broken" : "unreachable", reason });
        const onAbort = (): void => lost("the runner stops");
        let guard = setTimeout(() => lost("the agent does not answer"), connectMs);
        signal.addEventListener("abort", onAbort, { once: true });
        socket.on("connect", () => {
          handedOver = true;
          clearTimeout(guard);
          guard = setTimeout(() => lost(`no answer within ${String(answerMs / 1000)} s`), answerMs);
          socket.write(`{"runId":${JSON.stringify(runId)},"payload":${payload}}\n`);
        });
        socket.on("data", (chunk: Buffer) => {
          chunks.push(chunk);
          size += chunk.length;
          const feed = chunk.indexOf(0x0a);
          if (feed >= 0) {
            const all = Buffer.concat(chunks);
            end(readAnswer(all.toString("utf8", 0, size - chunk.length + feed)));
          } else if (size > mostPayloadBytes) end({ kind: "error", reason: "the agent's answer is too long" });
        });
        socket.on("error", (error) => lost("code" in error ? String(error.code) : "the connection failed"));
        socket.on("close", () => lost("the agent closed the connection"));
        if (signal.aborted) onAbort();
      });
    },
    answers() {
      return new Promise((resolve) => {
        const socket = connect(socketPath);
        const end = (answered: boolean): void => {
          clearTimeout(guard);
          socket.destroy();
          resolve(answered);
        };
        const guard = setTimeout(() => end(false), connectMs);
        socket.once("connect", () => end(true));
        socket.once("error", () => end(false));
      });
    },
  };
}
