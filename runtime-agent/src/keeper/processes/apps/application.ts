import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { ProcessError } from "../errors.ts";
import { callHttp, jsonOf, shortBody } from "../httpCall.ts";
import type { HttpAnswer } from "../httpCall.ts";

/**
 * The ladder's gentlest rung: a server that frees the GPU's memory when it is asked, and takes it back.
 * Both calls may be repeated, and both return only when the application itself confirms. Whether the memory is free
 * is the driver's to say, not the application's (design §5).
 */
export interface Application {
  readonly type: "vllm" | "ollama" | "comfyui";
  /** Asks it to free the GPU. @throws ProcessError `refused` when it is busy with work that would be lost */
  lower(deadlineMs: number): Promise<void>;
  /** Asks it to serve again. */
  raise(deadlineMs: number): Promise<void>;
  /** Whether it holds nothing on the GPU by its own account. */
  isLowered(deadlineMs: number): Promise<boolean>;
}

export interface ApplicationConfig {
  readonly type: "vllm" | "ollama" | "comfyui";
  /** Base URL, for example `http://127.0.0.1:8000`. A path is kept as a prefix. */
  readonly url: string;
  /** Ollama: the model to unload and to load again; every loaded one when absent. */
  readonly model?: string | undefined;
  /** ComfyUI: whether a running picture may be thrown away. @default false */
  readonly interrupt?: boolean | undefined;
  /** Bearer token for an application behind a key. */
  readonly token?: string | undefined;
}

/** Time between two questions to an application, ms. */
const askEveryMs = 50;

/** HTTP to one application: the base URL, the token, and one deadline for a whole operation. */
export class AppClient {
  readonly #base: URL;
  readonly #token: string | undefined;
  readonly #name: string;

  /** @throws ProcessError `refused` for anything but http or https, or with a password in the URL */
  constructor(name: string, config: Pick<ApplicationConfig, "url" | "token">) {
    const base = URL.parse(config.url);
    if (base === null || !["http:", "https:"].includes(base.protocol) || base.username !== "" || base.password !== "")
      throw new ProcessError("refused", `${name}: the URL must be http or https without user and password`);
    this.#base = base;
    this.#token = config.token;
    this.#name = name;
  }

  /** @throws ProcessError for every answer but 2xx: `unsupported` for 404, 405 and 501, else `failed` */
  async send(method: "GET" | "POST", path: string, deadline: Deadline, body?: unknown): Promise<HttpAnswer> {
    const url = new URL(this.#base);
    const [pathname = "", search = ""] = path.split("?");
    url.pathname = `${this.#base.pathname.replace(/\/$/, "")}${pathname}`;
    url.search = search;
    const answer = await callHttp({
      url,
      method,
      deadlineMs: deadline.leftMs(),
      token: this.#token,
      ...(body === undefined ? {} : { body }),
    });
    if (answer.status >= 200 && answer.status < 300) return answer;
    const fault = [404, 405, 501].includes(answer.status) ? "unsupported" : "failed";
    throw new ProcessError(
      fault,
      `${this.#name}: ${method} ${pathname} answered HTTP ${String(answer.status)} ${shortBody(answer.text)}`.trim(),
    );
  }

  /** Reads what a GET answers. @throws ProcessError `failed` when it is not what the schema says */
  async read<T>(path: string, schema: z.core.$ZodType<T>, deadline: Deadline): Promise<T> {
    const answer = await this.send("GET", path, deadline);
    const parsed = z.safeParse(schema, jsonOf(answer, `${this.#name}: GET ${path}`));
    if (parsed.success) return parsed.data;
    const [issue] = parsed.error.issues;
    throw new ProcessError(
      "failed",
      `${this.#name}: GET ${path} answered something else: ${issue?.path.join(".") ?? ""} ${issue?.message ?? ""}`,
    );
  }

  /** Asks until it is so. */
  async until(is: () => Promise<boolean>, deadline: Deadline, what: string): Promise<void> {
    while (!(await is())) {
      if (deadline.leftMs() <= askEveryMs)
        throw new ProcessError("deadline", `${this.#name}: ${what} within ${String(deadline.ms)} ms`);
      await sleep(askEveryMs);
    }
  }
}

/** A moment that several calls share. */
export class Deadline {
  readonly ms: number;
  readonly #end: number;

  constructor(ms: number) {
    this.ms = ms;
    this.#end = performance.now() + ms;
  }

  leftMs(): number {
    return Math.max(1, this.#end - performance.now());
  }
}
