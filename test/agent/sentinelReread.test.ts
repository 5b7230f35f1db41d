/** A Sentinel whose configuration changes while it runs: taken over whole, or refused whole. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rereadSentinelConfig } from "../../runtime-agent/src/sentinel/reread.ts";
import { loadSentinelConfig } from "../../runtime-agent/src/shared/config.ts";
import type { AgentProgram } from "../support/arbiterDaemon.ts";
import { buildAgent } from "../support/arbiterDaemon.ts";
import { SentinelSite, until } from "../support/sentinelDaemon.ts";

describe("Sentinel: SIGHUP", () => {
  let program: AgentProgram;
  let site: SentinelSite;

  before(async () => {
    program = await buildAgent();
  });
  after(() => program.remove());
  beforeEach(async () => {
    site = await SentinelSite.open(program);
  });
  afterEach(() => site.close());

  const names = async (path: string, key: string): Promise<unknown[]> => {
    const list = (await site.call("GET", path)).json[key];
    return Array.isArray(list) ? list.map((one: unknown) => Reflect.get(Object(one), "name")) : [];
  };
  const beat = (name: string) => ({ type: "heartbeat", name, periodSec: 3600 });
  const schedule = (name: string) => ({ name, agent: "ghost", cron: "0 3 * * *" });
  const topicFile = () => join(site.folder, "topic");
  const phone = () => ({ type: "ntfy", name: "phone", url: "http://127.0.0.1:1", topicFile: topicFile() });

  it("takes over watchdogs, channels and schedules, and refuses what needs a restart, and what is wrong, by name", async () => {
    await site.configure({ watch: { watchdogs: [beat("one")], schedules: [schedule("nightly")] } });
    const daemon = await site.start();
    assert.equal((await site.call("POST", "/watchdogs/one/beat")).status, 202);
    await until(async () => JSON.stringify((await site.call("GET", "/watchdogs")).json).includes('"up"'), "up");
    const { json: before } = await site.call("GET", "/watchdogs");

    const wrong = { leases: { heartbeatSec: 2, validSec: 9 }, metrics: { enabled: false } };
    await site.configure({ ...wrong, watch: { watchdogs: [beat("two")], oom: { pressurePercent: 50 } } });
    process.kill(daemon.pid, "SIGHUP");
    await until(() => daemon.log.includes("the running one kept"), "a refusal");
    for (const property of ["leases is", "metrics is", "watch.oom is"])
      assert.ok(daemon.log.includes(property), `${property}: ${daemon.log}`);
    assert.deepEqual((await site.call("GET", "/watchdogs")).json, before);

    // A secret that is missing refuses all of it, too.
    const good = {
      watch: { watchdogs: [beat("one"), beat("two")], schedules: [schedule("weekly")], channels: [phone()] },
    };
    await site.configure(good);
    process.kill(daemon.pid, "SIGHUP");
    await until(() => daemon.log.includes("cannot be used"), "a refusal of what cannot be read");
    assert.deepEqual((await site.call("GET", "/watchdogs")).json, before);

    await writeFile(topicFile(), "a-topic-that-nobody-guesses\n", { mode: 0o600 });
    process.kill(daemon.pid, "SIGHUP");
    await until(async () => (await names("/watchdogs", "watchdogs")).length === 2, "two watchdogs");
    assert.deepEqual(await names("/schedules", "schedules"), ["weekly"]);
    // What did not change goes on where it was.
    const { json: after } = await site.call("GET", "/watchdogs");
    assert.match(JSON.stringify(after), /"name":"one","type":"heartbeat","standing":"up"/);
    assert.match(JSON.stringify(after), /"name":"two","type":"heartbeat","standing":"unknown"/);
    assert.equal((await site.call("GET", "/health")).status, 200);

    await site.configure({});
    process.kill(daemon.pid, "SIGHUP");
    await until(async () => (await names("/watchdogs", "watchdogs")).length === 0, "none");
    assert.deepEqual(await names("/schedules", "schedules"), []);
  });
});

describe("Sentinel: a configuration that is read again", () => {
  let folder = "";
  beforeEach(async () => (folder = await mkdtemp(join(tmpdir(), "hive-reread-"))));
  afterEach(() => rm(folder, { recursive: true }));

  it("is refused where a section that needs a restart was added, changed or taken away", async () => {
    const written = async (sections: object): Promise<string> => {
      const file = join(folder, "sentinel.yaml");
      await writeFile(file, JSON.stringify({ version: 1, ...sections }), { mode: 0o600 });
      return file;
    };
    const hooks = { listen: "127.0.0.1:8945" };
    const sections = {
      leases: { heartbeatSec: 2 },
      ssh: { keyFile: "/k" },
      hooks,
      watch: { oom: { pressureSec: 60 } },
    };
    const properties = ["leases", "ssh", "hooks.listen", "watch.oom"];
    for (const [before, after, faults] of [
      [sections, sections, []],
      [{}, sections, properties],
      [sections, {}, properties],
      [sections, { ...sections, ssh: { keyFile: "/other" } }, ["ssh"]],
    ] as const) {
      const running = await loadSentinelConfig(await written(before));
      assert.ok(running.ok, JSON.stringify(running));
      const read = await rereadSentinelConfig(await written(after), running.value);
      const named = read.ok ? [] : read.faults.map(({ property }) => property);
      assert.deepEqual(named.toSorted(), [...faults].toSorted());
    }
  });
});
