import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { checkNerveAgentConfig } from "../../components/shared/nerve/agentConfig.ts";
import { bundleAgent } from "../../runtime-agent/build/bundle.ts";
import { freePort } from "../../lab/host/freePort.ts";
import { type Ended, start, temporaryFolder } from "../support/agentChild.ts";
import { longMs } from "../support/liveProcess.ts";
import { asyncPod, reviewFor } from "../support/nerve.ts";
import { type CallAnswer, callWebhook, certificatePlace, mount, newAuthority } from "../support/nerveWebhook.ts";

const main = path.resolve(import.meta.dirname, "../../runtime-agent/src/main.ts");
/** As the chart starts it. No WebAssembly is left then, and with it no fetch. */
const lean = ["--jitless", "--max-old-space-size=16", "--max-semi-space-size=1", "--v8-pool-size=0"];
const leanEnv = { UV_THREADPOOL_SIZE: "1", MALLOC_ARENA_MAX: "1" };

function agent(...args: readonly string[]): Promise<Ended> {
  return start(process.execPath, [main, ...args], { PATH: "/usr/bin:/bin" }).ended;
}

describe("hive-agent: Nerve's agent", () => {
  it("has a configuration of defaults, and refuses what it does not know, all at once", () => {
    assert.deepEqual(checkNerveAgentConfig({ version: 1 }), {
      ok: true,
      value: {
        version: 1,
        log: { level: "info" },
        webhook: {
          listen: { host: "0.0.0.0", port: 8443 },
          certificateFile: "/etc/nerve/tls/tls.crt",
          keyFile: "/etc/nerve/tls/tls.key",
          reloadSec: 10,
        },
        scheduler: { changeoverSec: 780 },
      },
    });
    const checked = checkNerveAgentConfig({ version: 2, webhook: { reloadsec: 5, keyFile: "key" }, scheduler: [] });
    assert.deepEqual(checked.ok ? [] : checked.faults.map(({ property }) => property).sort(), [
      ...["scheduler", "version", "webhook.keyFile", "webhook.reloadsec"],
    ]);
  });

  it("is a part of the command nerve, whose configuration is checked and has a schema", async () => {
    await using place = await temporaryFolder();
    const file = path.join(place.folder, "agent.yaml");
    await writeFile(file, "version: 1\nwebhook: {reloadsec: 5}\n", { mode: 0o600 });
    const [refused, missing, none, mistyped, tooMany, schema] = await Promise.all([
      agent("nerve", "agent", "--config", file),
      agent("nerve", "agent", "--check"),
      agent("nerve", "--check"),
      agent("nerve", "agen"),
      agent("nerve", "agent", "agent"),
      agent("schema", "--role", "nerve-agent"),
    ]);
    assert.deepEqual([refused.code, missing.code, none.code, mistyped.code, tooMany.code], [78, 78, 64, 64, 64]);
    assert.match(refused.stderr, /webhook\.reloadsec .* Did you mean reloadSec\?/);
    assert.match(missing.stderr, /^\/etc\/nerve\/agent\.yaml: /);
    assert.match(none.stderr, /nerve needs a part: agent/);
    assert.match(mistyped.stderr, /unknown part of nerve agen; did you mean agent\?/);
    assert.match(schema.stdout, /"title": "hive-agent nerve agent configuration"/);
  });

  it("runs from the release without a compiler and in 16 MiB of heap, whatever it is sent, and ends when it is told to", async () => {
    await using place = await temporaryFolder();
    const [bundle, config] = ["hive-agent.mjs", "agent.yaml"].map((name) => path.join(place.folder, name));
    assert.ok(bundle !== undefined && config !== undefined);
    const [{ code }, authority, port] = await Promise.all([bundleAgent(), newAuthority("nerve"), freePort()]);
    const files = certificatePlace(place.folder);
    mount(files, await authority.issue());
    await writeFile(bundle, code);
    const webhook = { listen: `127.0.0.1:${String(port)}`, ...files };
    await writeFile(config, JSON.stringify({ version: 1, webhook }), { mode: 0o600 });
    const running = start(process.execPath, [...lean, bundle, "nerve", "agent", "--config", config], leanEnv);
    let ended = false;
    void running.ended.then(() => (ended = true));
    const ask = (body: unknown): Promise<CallAnswer> => callWebhook({ port, ca: authority.ca, body });

    const review = reviewFor(asyncPod());
    const until = performance.now() + longMs;
    const first = async (): Promise<CallAnswer> => {
      for (;;) {
        const answer = await ask(review).catch(() => undefined);
        if (answer !== undefined) return answer;
        assert.ok(!ended && performance.now() < until, "it answers");
      }
    };
    assert.match((await first()).text, /"patchType":"JSONPatch"/);
    const texts = Array.from({ length: 35_000 }, () => "x".repeat(75));
    const objects = Array.from({ length: 9_000 }, (_, index) => ({ [`k${String(index)}`]: {} }));
    for (const body of [
      { ...review, texts },
      { ...review, objects },
      { ...review, text: "é€".repeat(500_000) },
    ])
      assert.equal((await ask(body)).status, 200);
    assert.equal((await ask({ ...review, numbers: new Array<number>(500_000).fill(0) })).status, 413);
    assert.match((await ask(review)).text, /"patchType":"JSONPatch"/);
    running.child.kill("SIGTERM");
    const { code: status, stderr } = await running.ended;
    assert.equal(status, 0, stderr);
    assert.match(stderr, /the webhook is ready/);
  });
});
