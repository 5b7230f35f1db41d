/** What the host side knows of its newest handoff request: asked when, answered how, given back or not. */
import type { FromArbiter } from "./protocol.ts";

/** The arbiter's word that the GPU is free and stays so. */
export interface Release {
  /** Of the request. */
  readonly id: string;
  readonly token: number;
  /** End on the host's monotonic clock, ms; earlier than the arbiter's own end, never later. */
  readonly untilMs: number;
}

export type Answer = Release | { readonly id: string; readonly refused: string };
type AnswerMessage = Extract<FromArbiter, { type: "released" | "refused" | "takenBack" }>;

/** Confirmed endings that are remembered; there are one or two. */
const mostEndings = 16;

export class Answers {
  #request: { readonly id: string; readonly askedMs: number } | undefined;
  #answer: Answer | undefined;
  #takenBack: readonly string[] = [];

  /** The answer to the newest request. */
  get answer(): Answer | undefined {
    return this.#answer;
  }

  /** Handoffs that the arbiter has confirmed as ended since they were last asked for. */
  get takenBack(): readonly string[] {
    return this.#takenBack;
  }

  /** Asking again with the same id keeps the first date, and the answer. */
  ask(id: string, nowMs: number): void {
    if (this.#request?.id === id) return;
    this.#request = { id, askedMs: nowMs };
    this.#answer = undefined;
    this.#takenBack = this.#takenBack.filter((each) => each !== id);
  }

  /** What was answered to this id, and what still comes, counts no more. */
  takeBack(id: string): void {
    if (this.#request?.id === id) this.#request = this.#answer = undefined;
  }

  /** False when it changes nothing. */
  hear(message: AnswerMessage): boolean {
    const { id } = message;
    const request = this.#request?.id === id ? this.#request : undefined;
    if (message.type === "takenBack") {
      // One that is asked for anew was confirmed before.
      if (request !== undefined || this.#takenBack.includes(id)) return false;
      this.#takenBack = [...this.#takenBack.slice(1 - mostEndings), id];
      return true;
    }
    if (request === undefined) return false;
    this.#answer =
      message.type === "refused"
        ? { id, refused: message.reason }
        : { id, token: message.token, untilMs: request.askedMs + message.validMs };
    return true;
  }
}
