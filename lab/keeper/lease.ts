// A lease of the GPU, as a service asks for it over the Keeper's socket.
import { randomBytes } from "node:crypto";
import { isRecord } from "../host/files.ts";
import type { KeeperAnswer, KeeperApi } from "./api.ts";

/** How long one call is held open while the card is not free, s. */
const waitSec = 2;

export class Lease {
  readonly #api: KeeperApi;
  readonly #path: string;

  private constructor(api: KeeperApi, path: string) {
    this.#api = api;
    this.#path = path;
  }

  /**
   * Asks for the card and waits until it is granted; undefined when the signal is aborted first.
   * @throws Error when it is refused, or not granted within `patienceMs`
   */
  static async request(
    api: KeeperApi,
    service: string,
    patienceMs: number,
    signal: AbortSignal,
  ): Promise<Lease | undefined> {
    const id = randomBytes(12).toString("base64url");
    const lease = new Lease(api, `/v1/leases/${id}`);
    const giveUp = performance.now() + patienceMs;
    const ask = (): Promise<KeeperAnswer> =>
      api.call("POST", `/v1/leases?wait=${String(waitSec)}`, { service, id }, (waitSec + 5) * 1000);
    for (let answer = await ask(); ; answer = await ask()) {
      if (answer.status === 200 && !signal.aborted) return lease;
      const late = performance.now() > giveUp;
      if (answer.status === 202 && !late && !signal.aborted) continue;
      await lease.release();
      if (signal.aborted) return undefined;
      throw new Error(`${service} ${late ? "was not granted the card in time" : `is refused: ${reasonOf(answer)}`}`);
    }
  }

  /** @throws Error when it is held no more */
  async renew(): Promise<void> {
    const answer = await this.#api.call("PUT", this.#path);
    if (answer.status !== 200) throw new Error(`the lease ended: ${reasonOf(answer)}`);
  }

  async release(): Promise<void> {
    await this.#api.call("DELETE", this.#path);
  }
}

function reasonOf({ status, json }: KeeperAnswer): string {
  const reason = isRecord(json) ? json["error"] : undefined;
  return typeof reason === "string" ? reason : `answer ${String(status)}`;
}
