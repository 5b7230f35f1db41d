/**
 * A killable child that answers one request at a time, each within a deadline.
 *
 * A driver call that hangs cannot be taken back, only its process ended. So a request over its deadline ends the child
 * with SIGKILL and the next request starts another one, after a growing pause. A killed process that the kernel cannot
 * yet end (it sleeps in the driver) is waited for before another one is started: at most one such process exists.
 * Nothing here waits without a bound, and nothing the child writes is trusted.
 */
import { spawn } from "node:child_process";
import type { ChildProcessByStdio } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { ChildFault, endOf, isRecord, parseRecord } from "./childFault.ts";
import type { ChildFaultKind } from "./childFault.ts";

export type ChildEvent =
  | { readonly kind: "started"; readonly pid: number | undefined }
  | { readonly kind: "ready"; readonly session: number }
  | { readonly kind: "killed"; readonly reason: string }
  | { readonly kind: "ended"; readonly reason: string };

export interface LineChildOptions {
  /** Executable and its arguments. */
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** From the start of the process to its first line, ms. */
  readonly startDeadlineMs: number;
  /** Pause before another start after a failure: doubles from the first to the largest. */
  readonly pauseMs: { readonly first: number; readonly max: number };
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly onEvent: (event: ChildEvent) => void;
}

interface Running {
  readonly process: ChildProcessByStdio<Writable, Readable, Readable>;
  hello: Readonly<Record<string, unknown>> | undefined;
  killed: string | undefined;
  pending: string;
  stderrTail: string;
}

interface Request {
  readonly op: string;
  readonly params: object;
  readonly timer: NodeJS.Timeout;
  readonly resolve: (value: unknown) => void;
  readonly reject: (fault: ChildFault) => void;
}

const lineBytesMax = 262_144;

export class LineChild {
  readonly #options: LineChildOptions;
  #running: Running | undefined;
  #startTimer: NodeJS.Timeout | undefined;
  #queue: Request[] = [];
  #inFlight: { readonly id: number; readonly request: Request } | undefined;
  #id = 0;
  #session = 0;
  #failures = 0;
  #notBefore = 0;
  #lastEnd = "not started yet";
  #hello: Readonly<Record<string, unknown>> | undefined;
  #closed = false;

  constructor(options: LineChildOptions) {
    this.#options = options;
  }

  /** Counts the children that said hello; 0 before the first. */
  get session(): number {
    return this.#session;
  }

  /** The first line of the last child that spoke. */
  get hello(): Readonly<Record<string, unknown>> | undefined {
    return this.#hello;
  }

  get pid(): number | undefined {
    return this.#running?.process.pid;
  }

  /** Answers with what the child sent, or rejects with a `ChildFault` within `deadlineMs`. */
  request(op: string, params: object, deadlineMs: number): Promise<unknown> {
    if (this.#closed) return Promise.reject(new ChildFault("closed", "closed"));
    if (this.#running?.killed !== undefined) {
      return Promise.reject(new ChildFault("pause", `${this.#running.killed}; the process has not ended yet`));
    }
    if (!this.#running) {
      const waitMs = this.#notBefore - this.#options.now();
      if (waitMs > 0) {
        return Promise.reject(new ChildFault("pause", `${this.#lastEnd}; next try in ${Math.ceil(waitMs)} ms`));
      }
      this.#start();
    }
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#overdue(request, deadlineMs), deadlineMs);
      const request: Request = { op, params, timer, resolve, reject };
      this.#queue.push(request);
      this.#next();
    });
  }

  /** The parent's word that the child works: the next failure starts with the first pause again. */
  healthy(): void {
    this.#failures = 0;
  }

  /** Waits until a killed child has ended, at most `withinMs`: a process in the driver ends when the driver lets it. */
  async settled(withinMs: number): Promise<void> {
    const running = this.#running;
    if (running?.killed === undefined) return;
    await endOf(running.process, withinMs);
  }

  /** Ends the child and waits for its end, at most a second. */
  async close(): Promise<void> {
    this.#closed = true;
    const child = this.#running?.process;
    this.#failAll(new ChildFault("closed", "closed"));
    if (!child) return;
    child.stdin.destroy();
    const ended = endOf(child, 1000);
    child.kill("SIGKILL");
    await ended;
  }

  #start(): void {
    const [file = "", ...rest] = this.#options.command;
    const child = spawn(file, rest, { env: this.#options.env, stdio: ["pipe", "pipe", "pipe"] });
    const running: Running = { process: child, hello: undefined, killed: undefined, pending: "", stderrTail: "" };
    this.#running = running;
    this.#options.onEvent({ kind: "started", pid: child.pid });
    this.#startTimer = setTimeout(
      () => this.#kill(running, `no answer within ${this.#options.startDeadlineMs} ms of its start`),
      this.#options.startDeadlineMs,
    );
    child.stdout.setEncoding("utf8").on("data", (text: string) => this.#read(running, text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      running.stderrTail = (running.stderrTail + text).slice(-500);
    });
    // A write to a child that just ended fails here; its end tells the same.
    child.stdin.on("error", () => undefined);
    child.once("error", (error) => this.#ended(running, `cannot be started: ${error.message}`));
    child.once("close", (code, signal) => this.#ended(running, `ended (${signal ?? `exit ${code ?? "?"}`})`));
  }

  #overdue(request: Request, deadlineMs: number): void {
    const running = this.#running;
    if (this.#inFlight?.request === request && running) {
      this.#kill(running, `no answer to ${request.op} within ${deadlineMs} ms`);
      return;
    }
    this.#queue = this.#queue.filter((other) => other !== request);
    request.reject(new ChildFault("deadline", `${request.op} could not be asked within ${deadlineMs} ms`));
  }

  #kill(running: Running, reason: string, kind: ChildFaultKind = "deadline"): void {
    if (running.killed !== undefined) return;
    running.killed = reason;
    this.#options.onEvent({ kind: "killed", reason });
    this.#failAll(new ChildFault(kind, reason));
    running.process.kill("SIGKILL");
  }

  #ended(running: Running, how: string): void {
    if (this.#running !== running) return;
    clearTimeout(this.#startTimer);
    this.#running = undefined;
    const hello = running.hello;
    const last = running.killed ?? (running.stderrTail.trim() === "" ? how : `${how}: ${running.stderrTail.trim()}`);
    this.#lastEnd = last;
    const { first, max } = this.#options.pauseMs;
    this.#notBefore = this.#options.now() + Math.min(max, first * 2 ** Math.min(this.#failures, 20));
    this.#failures += 1;
    this.#options.onEvent({ kind: "ended", reason: hello === undefined ? `${last} (before its first line)` : last });
    this.#failAll(new ChildFault("gone", last));
  }

  #failAll(fault: ChildFault): void {
    const waiting = [...(this.#inFlight ? [this.#inFlight.request] : []), ...this.#queue];
    this.#inFlight = undefined;
    this.#queue = [];
    for (const request of waiting) {
      clearTimeout(request.timer);
      request.reject(fault);
    }
  }

  #next(): void {
    const running = this.#running;
    if (!running?.hello || running.killed !== undefined || this.#inFlight) return;
    const request = this.#queue.shift();
    if (!request) return;
    this.#id += 1;
    this.#inFlight = { id: this.#id, request };
    running.process.stdin.write(`${JSON.stringify({ id: this.#id, op: request.op, params: request.params })}\n`);
  }

  #read(running: Running, text: string): void {
    if (this.#running !== running || running.killed !== undefined) return;
    const lines = (running.pending + text).split("\n");
    running.pending = lines.pop() ?? "";
    for (const line of lines) {
      if (!this.#answer(running, line)) {
        this.#kill(running, `an answer that makes no sense: ${line.slice(0, 80)}`, "garbage");
        return;
      }
    }
    if (running.pending.length > lineBytesMax) this.#kill(running, "an answer without an end", "garbage");
  }

  /** Takes one line; false when it is not one of the protocol at this point. */
  #answer(running: Running, line: string): boolean {
    const message = parseRecord(line);
    if (!message) return false;
    const { hello, id, ok, refused } = message;
    if (!running.hello) {
      if (!isRecord(hello)) return false;
      clearTimeout(this.#startTimer);
      running.hello = hello;
      this.#hello = hello;
      this.#session += 1;
      this.#options.onEvent({ kind: "ready", session: this.#session });
      this.#next();
      return true;
    }
    const current = this.#inFlight;
    if (!current || id !== current.id) return false;
    if (ok === undefined && !isRecord(refused)) return false;
    clearTimeout(current.request.timer);
    this.#inFlight = undefined;
    if (isRecord(refused)) {
      const code = typeof refused["code"] === "number" ? refused["code"] : -1;
      current.request.reject(new ChildFault("refused", String(refused["reason"]).slice(0, 300), code));
    } else current.request.resolve(ok);
    this.#next();
    return true;
  }
}
