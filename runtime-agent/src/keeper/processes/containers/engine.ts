import { z } from "zod";
import { fault } from "../../../../../components/shared/check.ts";
import { FaultsError } from "../../../../../components/shared/faults.ts";
import { ProcessError } from "../errors.ts";
import { callHttp, jsonOf, shortBody } from "../httpCall.ts";
import type { HttpAnswer, HttpCall } from "../httpCall.ts";
import { flavourOf, inspected, listed } from "./dialects.ts";
import type { Container, ContainerSummary, Flavour } from "./dialects.ts";

/** Names and ids that both engines take (moby `RestrictedNameChars`, Podman `NameRegex`), with a bound. */
const containerName = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/;

const errorBody = z.object({ message: z.string() });

/**
 * How both engines say that there is no such container: moby `containerNotFound`, Podman `define.ErrNoSuchCtr`. A 404
 * alone may be a route that another engine, new at the same socket, does not have.
 */
const noContainer = /no such container/i;

/** Default deadline of one request, ms. */
const defaultDeadlineMs = 5_000;

/**
 * Docker or Podman over its Unix socket. Every operation may be repeated: where the engine complains, the container is
 * looked at, and what is already as asked counts as done.
 */
export class ContainerEngine {
  readonly flavour: Flavour;
  readonly #socketPath: string;

  private constructor(socketPath: string, flavour: Flavour) {
    this.#socketPath = socketPath;
    this.flavour = flavour;
  }

  /**
   * Asks who is there and agrees on a version.
   * @param socketPath for example `/var/run/docker.sock` or `/run/podman/podman.sock`
   * @param api `docker` speaks the Docker-compatible API to Podman too. @default Podman's own where it is offered
   * @throws ProcessError `unreachable` when nobody listens, `unsupported` when the versions have none in common
   */
  static async connect(
    socketPath: string,
    options: { readonly api?: "docker"; readonly deadlineMs?: number } = {},
  ): Promise<ContainerEngine> {
    const deadlineMs = options.deadlineMs ?? defaultDeadlineMs;
    const answer = await ask({ url: new URL("http://engine/_ping"), socketPath, method: "GET", deadlineMs });
    if (answer.status !== 200)
      throw new ProcessError("failed", `${socketPath}: GET /_ping answered HTTP ${String(answer.status)}`);
    return new ContainerEngine(socketPath, flavourOf(answer.headers, socketPath, options.api));
  }

  /** Every container, stopped ones too. */
  async list(deadlineMs = defaultDeadlineMs): Promise<readonly ContainerSummary[]> {
    const answer = await this.#send("GET", "/containers/json", deadlineMs, { all: "true" });
    return this.#parse(listed, answer, "the list of containers");
  }

  /** @throws ProcessError `absent` when there is no such container */
  async inspect(name: string, deadlineMs = defaultDeadlineMs): Promise<Container> {
    const answer = await this.#send("GET", `/containers/${checkedName(name)}/json`, deadlineMs);
    return this.#parse(inspected, answer, `container ${name}`);
  }

  async start(name: string, deadlineMs = defaultDeadlineMs): Promise<void> {
    await this.#move(name, "start", deadlineMs, {}, ({ running }) => running);
  }

  /** Its stop signal, then SIGKILL after `graceSec`. The engine's restart policy does not bring it back. */
  async stop(name: string, graceSec: number, deadlineMs = graceSec * 1000 + defaultDeadlineMs): Promise<void> {
    const seconds = String(Math.max(0, Math.round(graceSec)));
    const query = this.flavour.kind === "libpod" ? { timeout: seconds } : { t: seconds };
    await this.#move(name, "stop", deadlineMs, query, ({ running }) => !running);
  }

  async pause(name: string, deadlineMs = defaultDeadlineMs): Promise<void> {
    await this.#move(name, "pause", deadlineMs, {}, ({ running, paused }) => running && paused);
  }

  async unpause(name: string, deadlineMs = defaultDeadlineMs): Promise<void> {
    await this.#move(name, "unpause", deadlineMs, {}, ({ running, paused }) => running && !paused);
  }

  /** SIGKILL to its first process, and with it the container. */
  async kill(name: string, deadlineMs = defaultDeadlineMs): Promise<void> {
    await this.#move(name, "kill", deadlineMs, { signal: "SIGKILL" }, ({ running }) => !running);
  }

  async #move(
    name: string,
    verb: "start" | "stop" | "pause" | "unpause" | "kill",
    deadlineMs: number,
    query: Readonly<Record<string, string>>,
    isThere: (container: Container) => boolean,
  ): Promise<void> {
    const end = performance.now() + deadlineMs;
    const leftMs = (): number => Math.max(1, end - performance.now());
    // A 304 (it is so already) and a complaint that it is so already end here alike: the container decides.
    let refusal: ProcessError | undefined;
    try {
      await this.#send("POST", `/containers/${checkedName(name)}/${verb}`, leftMs(), query);
    } catch (error) {
      if (!(error instanceof ProcessError) || error.fault !== "failed") throw error;
      refusal = error;
    }
    // The kill of an engine returns before the process has ended: look until it is so.
    while (!isThere(await this.inspect(name, leftMs()))) {
      if (refusal !== undefined) throw refusal;
      if (leftMs() <= 1)
        throw new ProcessError("deadline", `container ${name}: ${verb} had no effect within ${String(deadlineMs)} ms`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async #send(
    method: "GET" | "POST",
    path: string,
    deadlineMs: number,
    query: Readonly<Record<string, string>> = {},
  ): Promise<HttpAnswer> {
    const url = new URL(`http://engine${this.flavour.prefix}${path}`);
    for (const [key, value] of Object.entries(query)) url.searchParams.set(key, value);
    const answer = await ask({ url, socketPath: this.#socketPath, method, deadlineMs });
    if (answer.status >= 200 && answer.status < 300) return answer;
    const said = errorBody.safeParse(tryJson(answer));
    const words = shortBody(said.success ? said.data.message : answer.text);
    throw new ProcessError(
      answer.status === 404 && noContainer.test(words) ? "absent" : "failed",
      `${this.flavour.kind} ${method} ${path}: HTTP ${String(answer.status)} ${words}`,
    );
  }

  #parse<T>(schema: z.core.$ZodType<T>, answer: HttpAnswer, what: string): T {
    const parsed = z.safeParse(schema, jsonOf(answer, `${this.flavour.kind}: ${what}`));
    if (parsed.success) return parsed.data;
    const [issue] = parsed.error.issues;
    throw new ProcessError(
      "failed",
      `${this.flavour.kind}: ${what} is told in an unknown form: ${issue?.path.join(".") ?? ""} ${issue?.message ?? ""}`,
    );
  }
}

/** One request. An engine that nobody can reach says nothing of its containers: they may run, or be held. */
async function ask(call: HttpCall): Promise<HttpAnswer> {
  try {
    return await callHttp(call);
  } catch (error) {
    if (!(error instanceof ProcessError) || error.fault !== "absent") throw error;
    throw new ProcessError("unreachable", error.message, { cause: error });
  }
}

function tryJson(answer: HttpAnswer): unknown {
  try {
    return JSON.parse(answer.text) as unknown;
  } catch {
    return undefined;
  }
}

/** @throws FaultsError for what is no container's name or id, so that nothing else ends up in the path */
function checkedName(name: string): string {
  if (containerName.test(name)) return name;
  throw new FaultsError("container", [
    fault(
      "container",
      name,
      "a name or id: letters, digits, _ . - and at most 128 characters",
      "Give the name that `docker ps` or `podman ps` shows.",
    ),
  ]);
}
