/** Clients of a scenario: each call goes over the daemon's socket, with a token and a lease's id as services send them. */
import assert from "node:assert/strict";
import { Agent, request } from "node:http";
import type { Action } from "../../runtime-agent/src/keeper/arbiter/core/types.ts";
import type { DaemonMachine } from "./keeperDaemonWorldServices.ts";

export interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

type News = Extract<Action, { readonly kind: "grant" | "refuse" | "revoke" }>;

/** The API takes ids of eight characters and more. */
export const leaseOf = (id: string): string => `lease-of-${id}`;
const shortOf = (lease: string): string => lease.slice("lease-of-".length);

export class Clients {
  readonly #socket: string;
  readonly #token: string;
  readonly #machine: DaemonMachine;
  /** Ends with the next event that the API hands to the loop. */
  readonly #arrival: () => Promise<void>;
  readonly #agent = new Agent({ keepAlive: true });
  /** Calls that wait for their grant, by lease. */
  readonly #open = new Map<string, Promise<Answer>>();
  readonly #unheard: News[] = [];
  #dead = false;

  constructor(socket: string, token: string, machine: DaemonMachine, arrival: () => Promise<void>) {
    this.#socket = socket;
    this.#token = token;
    this.#machine = machine;
    this.#arrival = arrival;
  }

  async request(service: string, id: string): Promise<void> {
    const arrived = this.#arrival();
    const answer = this.#call("POST", "/v1/leases", { service, id: leaseOf(id) });
    answer.catch(() => undefined);
    await Promise.race([arrived, answer]);
    this.#open.set(leaseOf(id), answer);
  }

  async renew(id: string): Promise<void> {
    await this.#hand("PUT", id);
  }

  async release(id: string, held: boolean): Promise<void> {
    const answer = await this.#hand("DELETE", id);
    if (held && answer !== undefined) assert.equal(answer.status, 200);
  }

  /** Notes what the daemon is about to tell its clients. */
  told(action: Action): void {
    if (action.kind === "grant" || action.kind === "refuse" || action.kind === "revoke") this.#unheard.push(action);
  }

  /** Lets the clients hear what they were told, over the socket, and act on it; false when there was no news. */
  async hear(): Promise<boolean> {
    const news = this.#unheard.splice(0);
    for (const each of news) {
      const waiting = this.#open.get(each.lease);
      this.#open.delete(each.lease);
      const answer = waiting === undefined ? await this.#call("GET", `/v1/leases/${each.lease}`) : await waiting;
      this.#check(each, answer);
      this.#machine.world.carryOut({ ...each, lease: shortOf(each.lease) });
    }
    return news.length > 0;
  }

  close(): void {
    this.#dead = true;
    this.#agent.destroy();
  }

  #check(news: News, { status, body }: Answer): void {
    const words = `${news.kind} ${news.lease}: ${String(status)} ${JSON.stringify(body)}`;
    if (news.kind === "grant") {
      assert.equal(status, 200, words);
      assert.equal(body["state"], "held", words);
      assert.equal(body["token"], news.token, words);
    } else {
      assert.equal(status, news.kind === "refuse" ? 409 : 410, words);
      assert.equal(body["error"], news.reason, words);
    }
  }

  /** A call that an event follows, or that is answered at once because the daemon knows no such lease. */
  async #hand(method: "PUT" | "DELETE", id: string): Promise<Answer | undefined> {
    const arrived = this.#arrival().then(() => undefined);
    const answer = this.#call(method, `/v1/leases/${leaseOf(id)}`);
    answer.catch(() => undefined);
    return Promise.race([arrived, answer]);
  }

  #call(method: string, path: string, json?: unknown): Promise<Answer> {
    const text = json === undefined ? "" : JSON.stringify(json);
    return new Promise((resolve, reject) => {
      const outgoing = request(
        {
          socketPath: this.#socket,
          agent: this.#agent,
          ...{ method, path },
          headers: { authorization: `Bearer ${this.#token}`, "content-length": Buffer.byteLength(text) },
        },
        (incoming) => {
          const chunks: Buffer[] = [];
          incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
          incoming.on("error", reject);
          incoming.on("end", () => {
            const body: unknown = JSON.parse(Buffer.concat(chunks).toString("utf8"));
            resolve({
              status: incoming.statusCode ?? 0,
              body: typeof body === "object" && body !== null ? { ...body } : {},
            });
          });
        },
      );
      outgoing.on("error", (error) => (this.#dead ? undefined : reject(error)));
      outgoing.end(text);
    });
  }
}
