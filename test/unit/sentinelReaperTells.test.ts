import assert from "node:assert/strict";
import type { AgentView } from "../../runtime-agent/src/sentinel/extension.ts";
import { emptyReap } from "../../runtime-agent/src/sentinel/reaper/decide.ts";
import { createReaper } from "../../runtime-agent/src/sentinel/reaper/reaper.ts";
import type { Seen, ServerProvider } from "../../runtime-agent/src/sentinel/reaper/types.ts";
import { createLog } from "../../runtime-agent/src/shared/log.ts";
import { hour, minute, policy, server, start } from "../support/reaperWorld.ts";
import { agent } from "../support/watchModel.ts";

describe("Sentinel, reaper: what it tells", () => {
  const at = { kind: "lightsail", id: "agent-a" } as const;
  const shopper = agent({ name: "a", provider: at, handedOver: { why: "expired", atMs: start } });
  const ours = server("a", "agent-a", start + 99 * hour, "lightsail");

  /** A reaper of one region, turned once a minute. */
  async function told(seen: Seen, agents: readonly AgentView[]) {
    const provider: ServerProvider = {
      ...{ kind: "lightsail", region: "eu-west-3", close: () => undefined },
      look: () => Promise.resolve(seen),
      remove: () => assert.fail("nothing is deleted"),
    };
    const log = createLog({ write: () => undefined });
    const reaper = createReaper({ providers: [provider], policy, everyMs: minute, log });
    reaper.restore(emptyReap);
    const said: string[] = [];
    for (let n = 0; n < 12; n += 1) {
      const turn = reaper.turn({ monotonicMs: n * minute, wallMs: start + n * minute, agents, news: [] });
      assert.deepEqual(turn.actions, []);
      said.push(...turn.alerts.map(({ alert }) => `${alert.subject}: ${alert.text}`));
      said.push(
        ...turn.findings.flatMap(({ subject, finding }) => (finding.ok ? [] : [`${subject}: ${finding.detail}`])),
      );
      await reaper.settled();
    }
    return { said, status: JSON.stringify(reaper.status()) };
  }

  it("names an agent whose server lacks a tag, and its region", async () => {
    const strangers = [{ id: at.id, why: "it lacks one of our tags" }];
    const { said, status } = await told({ servers: [], strangers }, [shopper]);
    assert.match(said.join("\n"), /^tags at lightsail: the servers of a .*lacks one of our tags.*hive agent destroy/);
    assert.match(status, /"stranded":\["a"\].*"kind":"lightsail","region":"eu-west-3"/);
  });

  it("names a server that it holds, with the end that counts", async () => {
    const { said, status } = await told({ servers: [ours], strangers: [] }, []);
    assert.equal(said.length, 1);
    assert.match(said[0] ?? "", /^server agent-a at lightsail: .*2026-11-05T03:00Z.*docs\/antigravity\.md/);
    assert.match(status, /"id":"agent-a",.*"held":true/);
  });
});
