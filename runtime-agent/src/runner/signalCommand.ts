/**
 * `hive-agent signal`: the second way of the Sentinel to its runner, `ssh user@server hive-agent signal --name NAME`. One
 * JSON line on stdin, a signal's `{"headers","body"}` as they would have been sent, or `{"get"}` with the path of a run or
 * of its log; one JSON line back, `{"status","answer"}`. Whoever may log in here may do no more than anybody else: the
 * runner checks the signature, and tells of a run only who knows its id.
 */
import { request } from "node:http";
import type { Readable, Writable } from "node:stream";
import * as z from "zod";
import { mostBodyBytes } from "../../../components/shared/signals/protocol.ts";

export interface SignalCommandOptions {
  /** The runner's runtime folder. */
  readonly runtime: string;
  readonly input?: Readable;
  readonly output?: Writable;
  readonly errors?: Writable;
}

/** A body as a JSON string may take six characters for each of its bytes. */
const mostInputBytes = 6 * mostBodyBytes + 16 * 1024;
/** A log's piece, or the report of a run whose every character is escaped. */
const mostAnswerBytes = 4 * mostBodyBytes;
const deadlineMs = 15_000;

const sent = z.union([
  z.strictObject({
    headers: z.strictObject({
      "webhook-id": z.string().max(300),
      "webhook-timestamp": z.string().max(20),
      "webhook-signature": z.string().max(1100),
    }),
    /** The exact text that was signed. */
    body: z.string(),
  }),
  z.strictObject({ get: z.string().regex(/^\/v1\/runs\/run_[0-9a-f]{32}(?:\/log\?from=\d{1,10})?$/) }),
]);
type Sent = z.infer<typeof sent>;

async function readSent(input: Readable): Promise<Sent | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of input) {
    const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk), "utf8");
    size += bytes.length;
    if (size > mostInputBytes) return undefined;
    chunks.push(bytes);
  }
  try {
    return sent.safeParse(JSON.parse(Buffer.concat(chunks).toString("utf8"))).data;
  } catch {
    return undefined;
  }
}

/** One exchange with the runner's socket. */
function ask(socketPath: string, given: Sent): Promise<{ status: number; text: string }> {
  const { path, method, body, headers } =
    "get" in given
      ? { path: given.get, method: "GET", body: "", headers: {} }
      : { path: "/v1/signals", method: "POST", body: given.body, headers: given.headers };
  const length = Buffer.byteLength(body);
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        socketPath,
        path,
        method,
        agent: false,
        signal: AbortSignal.timeout(deadlineMs),
        headers: { ...headers, "content-type": "application/json", "content-length": length },
      },
      (incoming) => {
        const chunks: Buffer[] = [];
        let size = 0;
        incoming.on("data", (chunk: Buffer) => {
          size += chunk.length;
          chunks.push(chunk);
          if (size > mostAnswerBytes)
            incoming.destroy(new Error(`the runner's answer is above ${String(mostAnswerBytes)} bytes`));
        });
        incoming.on("error", reject);
        incoming.on("end", () =>
          resolve({ status: incoming.statusCode ?? 0, text: Buffer.concat(chunks).toString("utf8") }),
        );
      },
    );
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** @returns 0 when the runner took the signal, had it already, or told what was asked for; 1 when it was refused; 64 when it is none; 75 when no runner answers */
export async function runSignalCommand(options: SignalCommandOptions): Promise<number> {
  const { runtime, input = process.stdin, output = process.stdout, errors = process.stderr } = options;
  const given = await readSent(input);
  if (given === undefined) {
    errors.write('hive-agent signal: write one JSON line {"headers":{"webhook-id",…},"body":"…"} to stdin\n');
    return 64;
  }
  try {
    const { status, text } = await ask(`${runtime}/signal.sock`, given);
    output.write(`${JSON.stringify({ status, answer: parsed(text) })}\n`);
    return status === 200 || status === 202 ? 0 : 1;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    errors.write(`hive-agent signal: no runner answers here: ${reason}\n`);
    return 75;
  }
}
