/** Heartbeats from other machines: a token of each one's own, and nothing without it. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import { checkSentinelConfig } from "../../components/shared/agent/sentinelConfig.ts";
import type { WatchdogConfig } from "../../components/shared/agent/sentinelWatchConfig.ts";
import { startHooks, type Hooks } from "../../runtime-agent/src/sentinel/hooks.ts";
import { temporaryFolder } from "../support/agentChild.ts";

const [first, second, strange] = ["a", "b", "c"].map((letter) => letter.repeat(64)) as [string, string, string];

function send(
  { port }: Hooks,
  path: string,
  token: string | undefined,
  { method = "POST", body = "" } = {},
): Promise<number> {
  const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: "127.0.0.1", port, path, method, headers: authorization }, (incoming) => {
      incoming.resume();
      resolve(incoming.statusCode ?? 0);
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

describe("Sentinel: heartbeats from other machines", () => {
  const called: string[] = [];
  let nowMs = 0;

  async function opened(folder: string, work: (hooks: Hooks, watchdogs: WatchdogConfig[]) => Promise<void>) {
    const watchdogs: WatchdogConfig[] = [
      { type: "heartbeat", name: "backup", periodSec: 3600, tokenFile: join(folder, "backup") },
      { type: "heartbeat", name: "local", periodSec: 3600 },
    ];
    await writeFile(join(folder, "backup"), `${first}\n`, { mode: 0o600 });
    called.length = 0;
    nowMs = 0;
    const hooks = await startHooks({
      ...{ hooks: [], watchdogs, listen: { host: "127.0.0.1", port: 0 } },
      loop: { signal: () => assert.fail("no signal") },
      beat: (name) => {
        called.push(name);
        return true;
      },
      ...{ wallMs: () => nowMs, monotonicMs: () => nowMs },
      onError: (error) => assert.fail(String(error)),
    });
    try {
      await work(hooks, watchdogs);
    } finally {
      await hooks.close();
    }
  }

  it("count with the watchdog's own token alone; a wrong one, another's or none is a 401 without effect", async () => {
    await using place = await temporaryFolder();
    await opened(place.folder, async (hooks) => {
      assert.deepEqual(
        [
          await send(hooks, "/beats/backup", strange),
          await send(hooks, "/beats/backup", undefined),
          await send(hooks, "/beats/backup", ""),
          await send(hooks, "/beats/backup", first.slice(1)),
          await send(hooks, "/beats/local", first),
          await send(hooks, "/beats/local", ""),
          await send(hooks, "/beats/nothing", first),
          await send(hooks, "/hooks/backup", first),
          await send(hooks, "/beats/backup", first, { method: "GET" }),
          await send(hooks, "/beats/backup", first, { body: "x".repeat(1025) }),
        ],
        [401, 401, 401, 401, 401, 401, 401, 401, 405, 413],
      );
      assert.deepEqual(called, []);
      assert.equal(await send(hooks, "/beats/backup", first, { body: "from cron" }), 202);
      assert.deepEqual(called, ["backup"]);
    });
  });

  it("count once a second, however often somebody calls", async () => {
    await using place = await temporaryFolder();
    await opened(place.folder, async (hooks) => {
      const answers: number[] = [];
      for (const atMs of [0, 1, 999, 1000, 1500, 2000]) {
        nowMs = atMs;
        answers.push(await send(hooks, "/beats/backup", first));
      }
      assert.deepEqual(answers, [202, 429, 429, 202, 429, 202]);
      assert.equal(called.length, 3);
    });
  });

  it("take a change of token: both are good for a while, and a file that cannot be read changes nothing", async () => {
    await using place = await temporaryFolder();
    await opened(place.folder, async (hooks, watchdogs) => {
      await writeFile(join(place.folder, "backup"), `${second}\n${first}\n`);
      (await hooks.prepare({ hooks: [], watchdogs }))();
      for (const [index, token] of [first, second].entries()) {
        nowMs = 10_000 * (index + 1);
        assert.equal(await send(hooks, "/beats/backup", token), 202);
      }
      await writeFile(join(place.folder, "backup"), "short");
      await assert.rejects(hooks.prepare({ hooks: [], watchdogs }), /is not one or two tokens/);
      nowMs = 50_000;
      assert.equal(await send(hooks, "/beats/backup", second), 202);
    });
  });

  it("need an address to come to", () => {
    const watch = { watchdogs: [{ type: "heartbeat", name: "backup", tokenFile: "/etc/hive-agent/secrets/backup" }] };
    const checked = checkSentinelConfig({ version: 1, role: "sentinel", watch });
    const faults = checked.ok ? [] : checked.faults.map(({ property }) => property);
    assert.ok(faults.includes("watch.watchdogs[0].tokenFile"), faults.join());
  });
});
