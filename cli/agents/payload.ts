/** What a signal carries. */
import { createReadStream } from "node:fs";
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
  if (word === "-") return readBounded(stdin);
  if (!word.startsWith("@")) return word;
  const file = word.slice(1);
  return readBounded(createReadStream(file, { end: mostPayloadBytes })).catch((error: unknown) => {
    if (error instanceof CommandFailure) throw error;
    const why = error instanceof Error && "code" in error ? String(error.code) : "unreadable";
    throw wrong(faultInWords("--payload", `${file} (${why})`, "a file that can be read", "Correct the path."));
  });
}

/** A text up to the limit; of a longer one no more is read than shows that it is. @throws CommandFailure */
async function readBounded(input: AsyncIterable<Buffer | string>): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of input) {
    const part = Buffer.from(chunk);
    bytes += part.length;
    if (bytes > mostPayloadBytes) throw tooLong(`more than ${String(mostPayloadBytes)} bytes`);
    chunks.push(part);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function tooLong(found: string): CommandFailure {
  const limit = `at most ${String(mostPayloadBytes)} bytes`;
  return wrong(faultInWords("--payload", found, limit, "Put the data where the agent can fetch it."));
}

/** The payload itself. Pure. @throws CommandFailure when the text is no JSON, or too long */
export function parsePayload(text: string): unknown {
  const bytes = Buffer.byteLength(text);
  if (bytes > mostPayloadBytes) throw tooLong(`${String(bytes)} bytes`);
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
