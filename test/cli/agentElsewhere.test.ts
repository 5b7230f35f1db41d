// `hive agent destroy` of an agent whose settings are on another machine: it asks first, and says what becomes of the server.
import assert from "node:assert/strict";
import { destroyElsewhere } from "../../cli/commands/agent/destroy.ts";
import { CommandFailure } from "../../cli/output/failure.ts";
import type { AgentSeen } from "../../cli/sentinel/answers.ts";
import { parseCommandLine } from "../../cli/args/parse.ts";

const agent: AgentSeen = {
  ...{ name: "ghost", kind: "browser-light", size: "S", mode: "job", idempotent: true, alive: true },
  ...{ createdMs: 0, expiresMs: 90_000, provider: { kind: "lightsail", id: "agent-ghost" } },
};

/** What it prints, what it is told on the side, and what the Sentinel is asked to take off. */
async function run(options: readonly string[], providers: readonly ("proxmox" | "lightsail")[] = ["lightsail"]) {
  const removed: string[] = [];
  const asked: string[] = [];
  const sentinel = {
    agent: (name: string) => Promise.resolve(name === agent.name ? agent : undefined),
    reaper: () => Promise.resolve({ providers }),
    remove: (name: string) => Promise.resolve(removed.push(name) > 0),
  };
  const parsed = parseCommandLine(["agent", "destroy", "ghost", "--target", "real", ...options]);
  assert.ok(parsed.kind === "run");
  const answer = (question: string): Promise<undefined> => {
    asked.push(question);
    return Promise.resolve(undefined);
  };
  const done = await destroyElsewhere(parsed.invocation, sentinel, answer).then(
    () => "done",
    (error: unknown) => error,
  );
  return { removed, asked, done };
}

describe("hive agent destroy, without its settings", () => {
  it("asks first, with what becomes of the server, and needs --yes without a terminal", async () => {
    const { removed, asked, done } = await run([]);
    assert.deepEqual(removed, []);
    assert.match(
      asked[0] ?? "",
      /agent-ghost at lightsail.*the reaper deletes it within the hour.*Type the agent's name/,
    );
    assert.ok(done instanceof CommandFailure && done.exitCode === 2);
    assert.match(done.message, /--yes/);
  });

  it("says so where the reaper cannot delete it", async () => {
    const { asked } = await run([], []);
    assert.match(asked[0] ?? "", /no credentials for lightsail.*delete it there yourself/);
  });

  it("takes it off with --yes, and nothing with --dry-run", async () => {
    assert.deepEqual(await run(["--yes"]), { removed: ["ghost"], asked: [], done: "done" });
    assert.deepEqual(await run(["--dry-run"]), { removed: [], asked: [], done: "done" });
  });
});
