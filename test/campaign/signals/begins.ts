/** What the agents themselves saw: which run began when. The judge believes them, not the daemons. */
import { createServer, type Server } from "node:net";
import * as z from "zod";

/** What a signal's payload holds. */
export const work = z.strictObject({
  key: z.string(),
  fails: z.boolean(),
  /** How long the agent is at it. */
  ms: z.number(),
  filler: z.string(),
});
export type Work = z.infer<typeof work>;

const line = z.strictObject({ runId: z.string(), payload: work });

export class Begins {
  readonly #begun = new Map<string, number[]>();
  readonly #keys = new Map<string, string>();
  readonly #waiting = new Map<string, () => void>();

  /** A run has begun, with this key in its payload where the agent can tell. */
  tell(runId: string, atMs: number, key?: string): void {
    this.#begun.set(runId, [...(this.#begun.get(runId) ?? []), atMs]);
    if (key !== undefined) this.#keys.set(runId, key);
    this.#waiting.get(runId)?.();
  }

  of(runId: string): readonly number[] {
    return this.#begun.get(runId) ?? [];
  }

  /** Run ids that began, with their keys. */
  keys(): IterableIterator<[string, string]> {
    return this.#keys.entries();
  }

  /** Ends when the run begins, and after so long in any case, ms. */
  async wait(runId: string, mostMs: number): Promise<boolean> {
    if (this.#begun.has(runId)) return true;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.set(runId, resolve);
    const guard = setTimeout(resolve, mostMs);
    await promise;
    clearTimeout(guard);
    this.#waiting.delete(runId);
    return this.#begun.has(runId);
  }
}

/** A resident agent, in this process: it outlives its runner, as a unit of its own does. */
export async function residentAgent(
  socketPath: string,
  begins: Begins,
  broken: (what: string) => void,
): Promise<Server> {
  const server = createServer((socket) => {
    const chunks: Buffer[] = [];
    socket.on("error", () => undefined);
    socket.on("data", (chunk) => {
      chunks.push(chunk);
      if (!chunk.includes(0x0a)) return;
      const parsed = line.safeParse(JSON.parse(Buffer.concat(chunks).toString("utf8")));
      if (!parsed.success) return broken(`an agent was given something else: ${parsed.error.message}`);
      const { runId, payload } = parsed.data;
      begins.tell(runId, Date.now(), payload.key);
      const answer = payload.fails ? { ok: false, error: "as asked" } : { ok: true, result: { did: payload.key } };
      setTimeout(() => socket.end(`${JSON.stringify(answer)}\n`), payload.ms);
    });
  });
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(socketPath, resolve));
  return server;
}
