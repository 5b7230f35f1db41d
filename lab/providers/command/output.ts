// A command's two streams: kept whole up to a bound, sent on line by line, and never with a known secret in a message.
const maxKeptBytes = 16 * 1024 * 1024;
const tailBytes = 4096;

export type Logging = "stdout" | "stderr" | "stdoutAndStderr" | "none";

export interface Finished {
  stdout: string;
  stderr: string;
}

export class CommandOutput {
  readonly #log: (line: string) => void;
  readonly #secrets: readonly string[];
  readonly #logging: Logging;
  readonly #kept = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  readonly #partial = { stdout: "", stderr: "" };
  #bytes = 0;
  #tail = "";

  constructor(options: { logging: Logging; secrets: readonly string[]; log: (line: string) => void }) {
    this.#log = options.log;
    this.#secrets = options.secrets;
    this.#logging = options.logging;
  }

  /** @throws Error when the command writes more than the bound. */
  add(stream: "stdout" | "stderr", chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (this.#bytes > maxKeptBytes) throw new Error(`the command wrote more than ${maxKeptBytes} bytes`);
    this.#kept[stream].push(chunk);
    this.#tail = (this.#tail + chunk.toString()).slice(-tailBytes);
    if (this.#logging !== "stdoutAndStderr" && this.#logging !== stream) return;
    const lines = (this.#partial[stream] + chunk.toString()).split("\n");
    this.#partial[stream] = lines.pop() ?? "";
    for (const line of lines) this.#log(this.redact(line));
  }

  finish(): Finished {
    for (const stream of ["stdout", "stderr"] as const) {
      if (this.#partial[stream] !== "") this.#log(this.redact(this.#partial[stream]));
      this.#partial[stream] = "";
    }
    const text = (stream: "stdout" | "stderr"): string =>
      Buffer.concat(this.#kept[stream]).toString("utf8").replace(/\n$/, "");
    return { stdout: text("stdout"), stderr: text("stderr") };
  }

  /** The error of a command that failed, with the end of what it wrote. */
  failure(how: string, command: string, commandIsSecret: boolean): Error {
    const what = commandIsSecret ? "[secret command]" : JSON.stringify(this.redact(command));
    return new Error(`${how}: running ${what}:\n${this.redact(this.#tail).trimEnd()}`);
  }

  redact(text: string): string {
    return this.#secrets.reduce((left, secret) => left.replaceAll(secret, "[secret]"), text);
  }
}

export function loggingOf(value: unknown): Logging {
  return value === "stdout" || value === "stderr" || value === "none" ? value : "stdoutAndStderr";
}
