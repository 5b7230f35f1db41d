/** What a signal carries. */
import { readFile } from "node:fs/promises";
import { fault, faultInWords } from "../../components/shared/check.ts";
import type { Fault } from "../../components/shared/faults.ts";
import { mostPayloadBytes } from "../../components/shared/signals/protocol.ts";
import { CommandFailure } from "../output/failure.ts";

const wrong = (found: Fault): CommandFailure =>
  new CommandFailure("nothing was sent", { faults: [found], exitCode: 2 });

/** The text behind `--payload`: itself, `@FILE`, or `-` for standard input. @throws CommandFailure */
export async function payloadText(
  word: string | undefined,
  stdin: AsyncIterable<Buffer | string> = process.stdin,
): Promise<string> {
  if (word === undefined) return "null";
  if (word === "-") {
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of stdin) {
      chunks.push(Buffer.from(chunk));
      bytes += chunk.length;
      if (bytes > mostPayloadBytes) break;
    }
    return Buffer.concat(chunks).toString("utf8");
  }
  if (!word.startsWith("@")) return word;
  const file = word.slice(1);
  return readFile(file, "utf8").catch((error: unknown) => {
    const why = error instanceof Error && "code" in error ? String(error.code) : "unreadable";
    throw wrong(faultInWords("--payload", `${file} (${why})`, "a file that can be read", "Correct the path."));
  });
}

/** The payload itself. Pure. @throws CommandFailure when the text is no JSON, or too long */
export function parsePayload(text: string): unknown {
  const bytes = Buffer.byteLength(text);
  if (bytes > mostPayloadBytes) {
    const limit = `at most ${String(mostPayloadBytes)} bytes`;
    throw wrong(
      faultInWords("--payload", `${String(bytes)} bytes`, limit, "Put the data where the agent can fetch it."),
    );
  }
  try {
    const payload: unknown = JSON.parse(text);
    return payload;
  } catch {
    throw wrong(
      fault(
        "--payload",
        text,
        "JSON: an object, a list, a text in quotes, a number",
        "Quote it for the shell: '{\"a\": 1}'",
      ),
    );
  }
}
