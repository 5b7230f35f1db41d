/** What goes to people (stderr) and what goes to programs (stdout). */

const paint: Readonly<Record<string, string>> = { dim: "2", bold: "1", red: "31", green: "32", yellow: "33" };

/** Whether a stream may be coloured: a terminal, no NO_COLOR (any value but empty), not a dumb one. */
export function mayColour(
  stream: { readonly isTTY?: boolean },
  env: Readonly<Record<string, string | undefined>>,
): boolean {
  return stream.isTTY === true && !env["NO_COLOR"] && env["TERM"] !== "dumb";
}

export type Style = "dim" | "bold" | "red" | "green" | "yellow";

/** The text in a style when stderr takes colours, else as it is. */
export function styled(style: Style, text: string): string {
  return mayColour(process.stderr, process.env) ? `\u001b[${paint[style] ?? "0"}m${text}\u001b[0m` : text;
}

let target: "lab" | "real" = "lab";

/** From now on commands in messages are for this target: without `--target` they would act on the lab. */
export function speakFor(named: "lab" | "real"): void {
  target = named;
}

/** A text with its `hive` commands as they have to be typed for the target. Pure but for the target. */
export function aimed(text: string): string {
  if (target === "lab") return text;
  const commands = /\bhive (doctor|up|preview|destroy|adopt|repair|review|outputs|agent [a-z]+)\b(?! --target)/g;
  return text.replace(commands, "hive $1 --target real");
}

/** One message for people. */
export function say(text: string): void {
  process.stderr.write(`${aimed(text)}\n`);
}

/** Says what is being done, with the seconds since the command started. */
export function progress(text: string): void {
  say(`${styled("dim", `[${process.uptime().toFixed(1)}s]`)} ${text}`);
}

/** Data for programs or people who asked for it; ends in one line feed. */
export async function print(text: string): Promise<void> {
  await new Promise<void>((done) => {
    process.stdout.write(text.endsWith("\n") ? text : `${text}\n`, () => {
      done();
    });
  });
}

/** The one JSON document of a command. */
export async function printJson(document: unknown): Promise<void> {
  const aim = (key: string, value: unknown): unknown =>
    typeof value === "string" && (key === "fix" || key === "message") ? aimed(value) : value;
  await print(JSON.stringify(document, aim, 2));
}

/** Asks on the terminal; `undefined` when there is none to ask. */
export async function ask(question: string): Promise<string | undefined> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return undefined;
  const { createInterface } = await import("node:readline/promises");
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return (await lines.question(question)).trim();
  } finally {
    lines.close();
  }
}
