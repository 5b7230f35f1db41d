import assert from "node:assert/strict";
import fc from "fast-check";
import { mostPayloadBytes } from "../../components/shared/signals/protocol.ts";
import { firstWebhookSecret } from "../../components/shared/signals/webhooks.ts";
import { acceptSignal } from "../../runtime-agent/src/runner/core/accept.ts";
import { emptyState } from "../../runtime-agent/src/runner/core/state.ts";
import { unfitPayload } from "../../runtime-agent/src/sentinel/core/payload.ts";
import type { AgentRecord, Run } from "../../runtime-agent/src/sentinel/core/types.ts";
import { signedSignal } from "../../runtime-agent/src/sentinel/runnerClient.ts";

const agent: AgentRecord = {
  ...{ name: "g".repeat(63), kind: "batch", size: "S", mode: "job", idempotent: false, createdMs: 0 },
  ...{ expiresMs: 1, id: "", key: "ab".repeat(32), life: 1, registerBeforeMs: 1 },
};
const run: Run = {
  ...{ runId: `run_${"0".repeat(32)}`, agent: agent.name, key: "k".repeat(200), digest: "d".repeat(64) },
  ...{ acceptedMs: 0, order: 1, phase: "waiting", attempts: 1, sentSec: 1_700_000_000, doubts: 0 },
};

/** What a runner answers to a signal with this payload. */
function runnerSays(json: string): number {
  const { headers, body } = signedSignal(run, agent, json);
  const rules = { agent: agent.name, secrets: [firstWebhookSecret(Buffer.from(agent.key, "hex"))] };
  const request = { headers: { ...headers }, body: Buffer.from(body) };
  return acceptSignal(emptyState(), request, rules, run.sentSec * 1000).status;
}

describe("Sentinel: a payload", () => {
  it("is taken when a runner takes it, and refused in the same words when it does not", () => {
    const nested = fc.integer({ min: 195, max: 204 }).map((depth) => "[".repeat(depth) + "]".repeat(depth));
    const long = fc.tuple(fc.integer({ min: -3, max: 1 }), fc.constantFrom("x", "é", "€")).map(([more, letter]) => {
      const bytes = Buffer.byteLength(letter);
      const text = letter.repeat(Math.floor((mostPayloadBytes - 2) / bytes));
      return JSON.stringify(text + "y".repeat(Math.max(0, mostPayloadBytes - 2 - Buffer.byteLength(text) + more)));
    });
    fc.assert(
      fc.property(fc.oneof({ weight: 4, arbitrary: nested }, long), (json) => {
        assert.equal(unfitPayload(json)?.status ?? 202, runnerSays(json));
      }),
      { numRuns: 60 },
    );
  });
});
