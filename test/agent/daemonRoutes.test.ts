// The arbiter's routes alone: requests that are on their way to the loop, and callers that ask too much.
import assert from "node:assert/strict";
import { initialState } from "../../runtime-agent/src/keeper/arbiter/core/state.ts";
import type { ArbiterState } from "../../runtime-agent/src/keeper/arbiter/core/state.ts";
import type { Event } from "../../runtime-agent/src/keeper/arbiter/core/types.ts";
import { Leases } from "../../runtime-agent/src/keeper/arbiter/leases.ts";
import { arbiterRoutes } from "../../runtime-agent/src/keeper/arbiter/routes.ts";
import { ApiError } from "../../runtime-agent/src/shared/localApi/index.ts";
import type { ApiReply, Route } from "../../runtime-agent/src/shared/localApi/index.ts";

interface Call {
  readonly query?: string;
  readonly signal?: AbortSignal;
  readonly service?: string;
}

/** The routes on a loop that takes events only when the test says so. */
class Desk {
  readonly pushed: Event[] = [];
  readonly leases = new Leases();
  state: ArbiterState = initialState();
  fault: string | undefined;
  full = false;
  readonly #routes: readonly Route[];
  #taken: (() => void)[] = [];

  constructor() {
    this.#routes = arbiterRoutes({
      leases: this.leases,
      state: () => this.state,
      leaseMsOf: () => 30_000,
      push: (event) => {
        this.pushed.push(event);
        return new Promise((taken) => this.#taken.push(taken));
      },
      fault: () => this.fault,
      full: () => this.full,
      monotonicMs: () => 0,
      status: () => assert.fail("not asked for"),
      decisionsSince: () => [],
      loopAgeMs: () => 0,
    });
  }

  /** A turn takes what was pushed: requests wait from now on, releases end that. */
  async turn(): Promise<void> {
    const queue = new Map(this.state.queue.map((each) => [each.lease, each]));
    for (const event of this.pushed) {
      if (event.kind === "request") {
        queue.set(event.id, { lease: event.id, service: event.service, seq: 1, sinceMs: 0 });
      }
      if (event.kind === "release") queue.delete(event.id);
    }
    this.state = { ...this.state, queue: [...queue.values()] };
    for (const taken of this.#taken.splice(0)) taken();
    await new Promise((resolve) => setImmediate(resolve));
  }

  async call(method: Route["method"], id: string, more: Call = {}): Promise<ApiReply> {
    const { query = "", signal = new AbortController().signal, service = "eva" } = more;
    const route = this.#routes.find((each) => each.method === method && each.path.startsWith("/v1/leases"));
    assert.ok(route !== undefined);
    const body = method === "POST" ? { id } : undefined;
    const caller = { role: "service", service } as const;
    return route.handle({ caller, query: new URLSearchParams(query), params: { id }, body, signal });
  }

  releases(): readonly string[] {
    return this.pushed.flatMap((event) => (event.kind === "release" ? [event.id] : []));
  }
}

const refused = (status: number) => (error: unknown) => error instanceof ApiError && error.status === status;

describe("arbiter's routes", () => {
  it("hand a release in for a request that no turn has taken yet, and for nothing that was never asked for", async () => {
    const desk = new Desk();
    assert.equal((await desk.call("POST", "eva-lease-1", { query: "wait=0" })).status, 202);
    const given = desk.call("DELETE", "eva-lease-1");
    assert.deepEqual(desk.releases(), ["eva-lease-1"]);
    await desk.turn();
    await given;
    assert.deepEqual(desk.state.queue, []);
    await desk.call("DELETE", "never-asked-for");
    assert.deepEqual(desk.releases(), ["eva-lease-1"]);
    assert.equal((await desk.call("GET", "eva-lease-1")).status, 404);
  });

  it("know what a full disk keeps waiting until it can be written, and release it behind its request", async () => {
    const desk = new Desk();
    desk.fault = "no space";
    await desk.call("POST", "eva-lease-1", { query: "wait=0" });
    await desk.call("POST", "eva-lease-2", { query: "wait=0" });
    assert.equal((await desk.call("GET", "eva-lease-1")).status, 202);
    await desk.call("DELETE", "eva-lease-1");
    assert.deepEqual(desk.releases(), ["eva-lease-1"]);
    await assert.rejects(desk.call("DELETE", "eva-lease-2", { service: "other" }), refused(404));
    desk.fault = undefined;
    await desk.turn();
    assert.deepEqual(
      desk.state.queue.map(({ lease }) => lease),
      ["eva-lease-2"],
    );
  });

  it("turn a release away when too many events wait", async () => {
    const desk = new Desk();
    await desk.call("POST", "eva-lease-1", { query: "wait=0" });
    desk.full = true;
    await assert.rejects(desk.call("DELETE", "eva-lease-1"), refused(503));
  });

  it("let a request wait as long as one of the calls for it does", async () => {
    const desk = new Desk();
    const [first, second] = [new AbortController(), new AbortController()];
    const calls = [first, second].map(({ signal }) => desk.call("POST", "eva-lease-1", { signal }));
    await desk.turn();
    first.abort();
    await calls[0];
    assert.deepEqual(desk.releases(), []);
    second.abort();
    await calls[1];
    assert.deepEqual(desk.releases(), ["eva-lease-1"]);
  });

  it("keep a request whose client was told to come back, though a later call for it hangs up", async () => {
    const desk = new Desk();
    await desk.call("POST", "eva-lease-1", { query: "wait=0" });
    await desk.turn();
    const later = new AbortController();
    const call = desk.call("POST", "eva-lease-1", { signal: later.signal });
    later.abort();
    await call;
    assert.deepEqual(desk.releases(), []);
  });

  it("let no service take more than 16 places of the queue", async () => {
    const desk = new Desk();
    for (let count = 0; count < 16; count += 1) {
      await desk.call("POST", `scan-lease-${String(count)}`, { query: "wait=0", service: "scan" });
      if (count === 7) await desk.turn();
    }
    await assert.rejects(desk.call("POST", "scan-lease-16", { query: "wait=0", service: "scan" }), refused(429));
    assert.equal((await desk.call("POST", "scan-lease-15", { query: "wait=0", service: "scan" })).status, 202);
    assert.equal((await desk.call("POST", "eva-lease-1", { query: "wait=0" })).status, 202);
  });
});
