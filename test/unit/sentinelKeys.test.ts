/** Which key registers an agent's server, while it has one and while another is to take its place. */
import assert from "node:assert/strict";
import type { Registration } from "../../components/shared/signals/protocol.ts";
import { decide } from "../../runtime-agent/src/sentinel/core/decide.ts";
import type { Event, Outcome } from "../../runtime-agent/src/sentinel/core/events.ts";
import { parseLine } from "../../runtime-agent/src/sentinel/core/lines.ts";
import { SentinelState } from "../../runtime-agent/src/sentinel/core/state.ts";
import type { Provider } from "../../runtime-agent/src/sentinel/core/types.ts";
import { policy, reportOf } from "../support/sentinelModel.ts";

const minute = 60_000;
const [first, second, third] = ["a".repeat(64), "b".repeat(64), "c".repeat(64)] as const;
const [older, newer] = ["1".repeat(32), "2".repeat(32)] as const;
const registration: Registration = {
  ...{ instance: older, address: { host: "10.0.0.9", port: 8943 }, mode: "job", idempotent: false, version: "1.0.0" },
};

/** An agent with a server that registered by the first key, in a Sentinel whose journal is read back at will. */
function registered(idempotent = false) {
  let state = new SentinelState();
  let nowMs = 1_700_000_000_000;
  const disk: string[] = [];
  const take = (event: Event): Outcome => {
    const outcome = decide(state, event, { monotonicMs: nowMs, wallMs: nowMs, random: () => 0.5 }, policy);
    disk.push(...outcome.lines.map((line) => JSON.stringify(line)));
    return outcome;
  };
  const agent = { name: "ghost", kind: "browser-light", size: "S", mode: "job", idempotent, ttlMs: 1e9 } as const;
  take({ kind: "new", agent, key: first, id: "0".repeat(32) });
  const register = (key: string, instance: string, more: Partial<Registration> = {}) =>
    take({ kind: "register", name: "ghost", key, registration: { ...registration, instance, idempotent, ...more } });
  assert.equal(register(first, older).reply.status, 200);
  return {
    take,
    register,
    state: () => state,
    agent: () => state.agents.get("ghost"),
    mint: (key: string, provider?: Provider) =>
      take({ kind: "mint", name: "ghost", key, ...(provider === undefined ? {} : { provider }) }),
    pass: (ms: number): void => void (nowMs += ms),
    tick: () => take({ kind: "tick", handOver: true }),
    beat: (instance: string) => {
      const heartbeat = { instance, ready: true, running: null, queued: 0, crashLoop: false };
      return take({ kind: "heartbeat", name: "ghost", heartbeat }).reply.status;
    },
    leave: (key: string, instance: string) =>
      take({ kind: "farewell", name: "ghost", key, farewell: { instance, reason: "destroyed" } }),
    /** A run that the present server has taken. */
    begun: (): string => {
      const runId = `run_${"7".repeat(32)}`;
      const payload = { bytes: 2, json: "{}" };
      const given = { agent: "ghost", key: "k", digest: "d".repeat(64), payload, runId, known: undefined, keys: 0 };
      take({ kind: "signal", signal: given });
      const { sentSec = 0 } = state.runs.get(runId) ?? {};
      const outcome = { kind: "taken", report: reportOf(runId, "running"), body: undefined } as const;
      take({ kind: "delivered", runId, life: state.agents.get("ghost")?.life ?? 0, sentSec, outcome });
      assert.equal(state.runs.get(runId)?.phase, "handed");
      return runId;
    },
    restart: () => {
      state = new SentinelState();
      for (const text of disk) {
        const line = parseLine(JSON.parse(text));
        assert.ok(line !== undefined, text);
        state.apply(line);
      }
    },
  };
}

describe("Sentinel: keys of a server that another is to replace", () => {
  it("mints one beside the key in use, which goes on as it was", () => {
    const one = registered();
    const runId = one.begun();
    const minted = one.mint(second);
    assert.deepEqual([minted.reply.status, minted.reply.json.key], [200, second]);
    assert.deepEqual(minted.actions, [], "nobody is cut off");
    assert.deepEqual([one.agent()?.key, one.agent()?.life, one.agent()?.registered?.instance], [first, 1, older]);
    assert.equal(one.beat(older), 200);
    assert.equal(one.register(first, older).reply.status, 200, "after a restart of its runner");
    assert.equal(one.register(first, newer).reply.status, 409, "the key in use is bound to its server still");
    assert.equal(one.state().runs.get(runId)?.phase, "handed");
  });

  it("takes the server that registers by it for the agent's, in one line of the journal, and the older key is void", () => {
    const one = registered();
    const runId = one.begun();
    one.mint(second);
    one.restart();
    const swap = one.register(second, newer);
    assert.equal(swap.reply.status, 200);
    assert.equal(swap.lines.filter(({ kind }) => kind === "agent").length, 1);
    assert.deepEqual(
      swap.actions.filter(({ kind }) => kind === "cut-off"),
      [{ kind: "cut-off", agent: "ghost" }],
    );
    for (const restart of [false, true]) {
      if (restart) one.restart();
      const { key, life, registered: server, pending } = one.agent() ?? {};
      assert.deepEqual([key, life, server?.instance, pending], [second, 2, newer, undefined]);
      assert.equal(one.register(first, older).reply.status, 409);
      assert.equal(one.beat(older), 409);
      assert.equal(one.state().runs.get(runId)?.end?.state, "interrupted");
    }
    assert.equal(one.register(second, newer).reply.status, 200);
    assert.equal(one.register(second, older).reply.status, 409);
    assert.equal(one.leave(first, older).reply.status, 204);
    assert.equal(one.agent()?.registered?.instance, newer, "an older server's farewell changes nothing");
  });

  it("interrupts nothing when the same server takes the new key", () => {
    const one = registered();
    const runId = one.begun();
    one.mint(second);
    assert.equal(one.register(second, older).reply.status, 200);
    assert.deepEqual([one.agent()?.key, one.agent()?.life], [second, 2]);
    assert.equal(one.state().runs.get(runId)?.phase, "handed");
    assert.equal(one.beat(older), 200);
  });

  it("lets a second one take the first one's place, and a restart keep it", () => {
    const one = registered();
    one.mint(second);
    one.mint(third);
    one.restart();
    assert.equal(one.register(second, newer).reply.status, 409);
    assert.equal(one.agent()?.registered?.instance, older);
    assert.equal(one.register(third, newer).reply.status, 200);
  });

  it("forgets one that is not used within the time of a registration; the key in use is as it was", () => {
    const one = registered();
    one.mint(second);
    one.pass(30 * minute - 1);
    assert.equal(one.tick().lines.length, 0);
    one.pass(1);
    assert.equal(one.register(second, newer).reply.status, 410);
    one.tick();
    assert.deepEqual([one.agent()?.pending, one.agent()?.handedOver, one.agent()?.key], [undefined, undefined, first]);
    assert.equal(one.beat(older), 200);
  });

  it("is the agent's once the older server says that it is taken down: the agent stays, and waits for its successor", () => {
    const one = registered(true);
    const runId = one.begun();
    one.mint(second);
    assert.equal(one.leave(second, newer).reply.status, 204);
    assert.equal(one.agent()?.registered?.instance, older, "who never registered takes nothing with it");
    assert.equal(one.leave(first, older).reply.status, 204);
    const { key, life, registered: server, pending } = one.agent() ?? {};
    assert.deepEqual([key, life, server, pending], [second, 2, undefined, undefined]);
    assert.equal(one.state().runs.get(runId)?.phase, "waiting", "an idempotent run begins again");
    assert.equal(one.register(second, newer).reply.status, 200);
    one.leave(second, newer);
    assert.equal(one.agent(), undefined);
  });

  it("replaces the key of an agent that has no server, for nobody uses it", () => {
    const one = registered();
    one.mint(second);
    one.leave(first, older);
    const { reply, actions } = one.mint(third);
    assert.equal(reply.status, 200);
    assert.deepEqual([one.agent()?.key, one.agent()?.life], [third, 3]);
    assert.equal(actions[0]?.kind, "cut-off");
    assert.equal(one.register(second, newer).reply.status, 409);
    assert.equal(one.register(third, newer).reply.status, 200);
  });

  it("goes with a server that is handed to the reaper", () => {
    const one = registered();
    one.mint(second);
    one.pass(1e9 + 11 * minute);
    one.tick();
    assert.deepEqual([one.agent()?.handedOver?.why, one.agent()?.pending], ["expired", undefined]);
    assert.equal(one.register(second, newer).reply.status, 409);
  });
});

describe("Sentinel: the place of an agent's next server", () => {
  const place: Provider = { kind: "lightsail", id: "agent-ghost" };

  it("goes with its key, and is the agent's once a server registers by that", () => {
    const one = registered();
    one.mint(second, place);
    for (const restart of [false, true]) {
      if (restart) one.restart();
      assert.deepEqual([one.agent()?.provider, one.agent()?.pending?.provider], [undefined, place]);
    }
    assert.equal(one.register(second, newer).reply.status, 200);
    assert.deepEqual([one.agent()?.provider, one.agent()?.pending], [place, undefined]);
    const other: Provider = { kind: "proxmox", id: "399" };
    one.mint(third, other);
    one.pass(30 * minute);
    one.tick();
    assert.deepEqual(one.agent()?.provider, place, "nobody came");
    one.mint(first);
    one.register(first, older);
    assert.deepEqual(one.agent()?.provider, place, "who names none means the same");
  });

  it("is the agent's at once where it has no server", () => {
    const one = registered();
    one.mint(second, place);
    one.leave(first, older);
    assert.deepEqual(one.agent()?.provider, place);
    const other: Provider = { kind: "proxmox", id: "399" };
    one.mint(third, other);
    assert.deepEqual(one.agent()?.provider, other);
  });
});

describe("Sentinel: a move that failed half-way", () => {
  it("goes on with another key, though its server was handed over because it never registered", () => {
    const one = registered(true);
    const runId = one.begun();
    one.mint(second);
    one.leave(first, older);
    one.pass(31 * minute);
    one.tick();
    assert.equal(one.agent()?.handedOver?.why, "unregistered");
    const { life } = one.agent() ?? {};
    assert.equal(one.mint(third).reply.status, 200);
    assert.equal(one.agent()?.handedOver, undefined);
    one.take({ kind: "extension", name: "reaper", action: { kind: "reaped", agent: "ghost", life: life ?? 0 } });
    assert.equal(one.register(second, newer).reply.status, 409);
    assert.equal(one.register(third, newer).reply.status, 200);
    assert.equal(one.state().runs.get(runId)?.phase, "waiting");
  });

  it("ends where its time is over or its server said farewell", () => {
    const over = registered();
    over.pass(1e9 + 11 * minute);
    over.tick();
    assert.equal(over.mint(second).reply.status, 409);
    const gone = registered();
    gone.take({ kind: "farewell", name: "ghost", key: first, farewell: { instance: older, reason: "expired" } });
    assert.equal(gone.mint(second).reply.status, 409);
  });
});

describe("Sentinel: registrations", () => {
  it("are believed when the same server says anew whether its runs may begin again", () => {
    const one = registered(true);
    assert.equal(one.register(first, older, { idempotent: false }).reply.status, 200);
    assert.equal(one.agent()?.registered?.idempotent, false);
    const runId = one.begun();
    one.mint(second);
    one.register(second, newer);
    assert.equal(one.state().runs.get(runId)?.end?.state, "interrupted", "it is not begun again");
  });

  it("have an id of their own, by which alone one can be removed", () => {
    const one = registered();
    const remove = (id?: string) => one.take({ kind: "remove", name: "ghost", ...(id === undefined ? {} : { id }) });
    assert.equal(remove("f".repeat(32)).reply.status, 404);
    one.mint(second);
    one.register(second, newer);
    assert.equal(one.agent()?.id, "0".repeat(32), "a new server is no new registration");
    assert.equal(remove("0".repeat(32)).reply.status, 204);
    assert.equal(one.agent(), undefined);
  });

  it("of older journals have one that nobody else has", () => {
    const one = registered();
    const line = parseLine({ kind: "agent", agent: { ...one.agent(), id: undefined } });
    assert.ok(line?.kind === "agent");
    assert.equal(line.agent.id, "");
  });
});
