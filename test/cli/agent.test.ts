// `hive agent` as a person runs it: the real Sentinel beside a lab, the real engine for the settings' secrets.
import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { sentinelOn } from "../../cli/sentinel/client.ts";
import { endSentinel } from "../../cli/sentinel/endSentinel.ts";
import { findSentinel, sentinelFolder } from "../../cli/sentinel/folder.ts";
import { labLine } from "../../cli/sentinel/labSentinel.ts";
import { isRecord } from "../../lab/host/files.ts";
import { startLabProcess } from "../../lab/index.ts";
import { skip } from "../run/skip.ts";
import { findEngine } from "../support/engine.ts";
import { Hive, type Ran, stackFrames } from "./hive.ts";

const tarball = "hive-agent-9.9.9-linux-x64.tar.gz";

describe("hive agent", function () {
  this.timeout(300_000);
  const hive = new Hive();
  const sources = join(hive.folder, "sources");

  /** One command; whatever it says, it shows nobody a stack frame. */
  async function agent(...args: string[]): Promise<Ran> {
    const env = { HIVE_AGENT_TARBALL: join(hive.folder, "release", tarball) };
    const ran = await hive.run(["agent", ...args], env);
    assert.deepEqual(stackFrames(ran.stderr), [], ran.stderr);
    return ran;
  }
  const document = ({ stdout, stderr }: Ran): Record<string, unknown> => {
    const content: unknown = JSON.parse(stdout);
    assert.ok(isRecord(content), stderr);
    return content;
  };
  const order = (name: string, ...more: string[]): Promise<Ran> =>
    agent("new", name, "--kind", "browser-light", "--sources", sources, "--json", ...more);

  before(async function () {
    if (process.platform !== "linux") skip(this, "the Sentinel runs on Linux");
    const engine = findEngine();
    if ("missing" in engine) skip(this, engine.missing);
    mkdirSync(sources);
    writeFileSync(join(sources, "run"), "#!/bin/sh\n");
    chmodSync(join(sources, "run"), 0o755);
    mkdirSync(join(hive.folder, "release"));
    writeFileSync(join(hive.folder, "release", `${tarball}.sha256`), `${"a".repeat(64)}  ${tarball}\n`);
    await startLabProcess(hive.lab);
  });
  after(async () => {
    await endSentinel(hive.lab);
    await hive.close();
  });

  it("refuses what cannot be, all of it at once, and asks nobody", async () => {
    const refused = await agent("new", "Ghost_x", "--kind", "browser-lite", "--ttl", "5", "--json");
    assert.equal(refused.code, 2, refused.stderr);
    const faults = document(refused)["faults"];
    assert.ok(Array.isArray(faults));
    assert.deepEqual(faults.map((each: unknown) => (isRecord(each) ? each["property"] : each)).toSorted(), [
      "--kind",
      "--sources",
      "--ttl",
      "NAME",
    ]);
    assert.equal(findSentinel(sentinelFolder(hive.lab)), undefined);
    const stack = await hive.run(["up", "agent-nobody"]);
    assert.equal(stack.code, 2);
    assert.match(stack.stderr, /no settings of agent nobody here; known: none; make it with hive agent new/);
    const beside = await hive.run(["preview", "sentinel"]);
    assert.equal(beside.code, 2);
    assert.match(beside.stderr, /hive up sentinel starts it/);
  });

  it("shows what an agent would cost, and changes nothing", async () => {
    const planned = document(await order("ghost", "--provider", "lightsail", "--dry-run"));
    assert.equal(planned["result"], "planned");
    assert.deepEqual(isRecord(planned["price"]) && planned["price"]["centsPerMonth"], 1200);
    assert.deepEqual(document(await agent("list", "--json"))["agents"], []);
    assert.equal(existsSync(join(hive.folder, "stacks", "Pulumi.agent-ghost.yaml")), false);
  });

  it("orders an agent: registered, its settings written, its key where the engine encrypts it and nowhere else", async () => {
    const ordered = document(await order("ghost", "--idempotent", "--ttl", "2h"));
    assert.deepEqual([ordered["result"], ordered["next"], ordered["size"]], ["succeeded", "hive up agent-ghost", "S"]);
    const found = findSentinel(sentinelFolder(hive.lab));
    assert.ok(found !== undefined);
    const same = { name: "ghost", kind: "browser-light", size: "S", ttlSec: 1, mode: "job", idempotent: true } as const;
    const provider = { kind: "proxmox", id: "399" } as const;
    const { key } = await sentinelOn(labLine(found)).register({ ...same, ttlSec: 7200, provider });
    for (const folder of ["stacks", "project", "backend"]) {
      for (const file of filesBelow(join(hive.folder, folder))) {
        assert.ok(!readFileSync(file, "utf8").includes(key), file);
        if (folder !== "backend") assert.equal(statSync(file).mode & 0o077, 0, file);
      }
    }
    assert.match(readFileSync(join(hive.folder, "project", "Pulumi.agent-ghost.yaml"), "utf8"), /registrationKey/);
    const again = await order("ghost");
    assert.match(again.stderr, /its settings are here.*hive agent destroy ghost/);
    assert.match((await hive.run(["preview", "agent-gost"])).stderr, /did you mean ghost\?/);
  });

  it("takes signals, tells runs and logs, and renews", async () => {
    const first = document(await agent("signal", "ghost", "--key", "a:1", "--payload", '{"page":1}', "--json"));
    assert.deepEqual([first["state"], first["key"]], ["waiting", "a:1"]);
    const again = await agent("signal", "ghost", "--key", "a:1", "--payload", '{"page":1}');
    assert.equal(again.stdout.trim(), first["runId"]);
    const other = await agent("signal", "ghost", "--key", "a:1", "--payload", "2");
    assert.equal(other.code, 1);
    assert.match(other.stderr, /another payload.*take a new key/);
    const log = document(await agent("logs", "ghost", "--json"));
    assert.deepEqual([log["runId"], log["log"]], [first["runId"], ""]);
    const renewed = document(await agent("renew", "ghost", "--ttl", "3d", "--json"));
    assert.equal(renewed["ttlSec"], 3 * 86_400);
    const settings = readFileSync(join(hive.folder, "stacks", "Pulumi.agent-ghost.yaml"), "utf8");
    assert.equal(Number(/ttlSec: (\d+)/.exec(settings)?.[1]), 3 * 86_400, "from now, not from the order");
    assert.match(settings, /renewed: "\d{4}-/);
    assert.match(settings, /hive:registration: "?[0-9a-f]{32}/);
    assert.deepEqual(document(await agent("dead-letters", "--json"))["deadLetters"], []);
    const alive = await agent("dead-letters", "--again", String(first["runId"]), "--json");
    assert.equal(document(alive)["state"], "waiting", "it never died: how it stands");
    const listed = await agent("list");
    assert.match(listed.stdout, /^ghost +browser-light +S +job, idempotent +not registered yet +2 d 23 h/m);
  });

  it("says what a resize would do", async () => {
    const planned = document(await agent("resize", "ghost", "--size", "M", "--dry-run", "--json"));
    assert.deepEqual([planned["from"], planned["to"], planned["result"]], ["S", "M", "planned"]);
  });

  it("destroys without the Sentinel, which is told when it is back", async () => {
    assert.match((await agent("destroy", "nobody")).stderr, /no settings of agent nobody here; known: ghost/);
    // One that cannot start: a file where its folder should be.
    await endSentinel(hive.lab);
    const state = join(hive.lab, "sentinel", "state");
    const aside = `${state}.aside`;
    renameSync(state, aside);
    writeFileSync(state, "", { mode: 0o600 });
    const gone = await hive.run(["destroy", "agent-ghost", "--yes", "--json"]);
    assert.equal(gone.code, 0, gone.stderr);
    assert.equal(document(gone)["registration"], "remembered");
    for (const folder of ["stacks", "project"])
      assert.equal(existsSync(join(hive.folder, folder, "Pulumi.agent-ghost.yaml")), false, folder);
    rmSync(state);
    renameSync(aside, state);
    const listed = await agent("list", "--json");
    assert.match(listed.stderr, /agent ghost, destroyed earlier, is off its registry/);
    assert.deepEqual(document(listed)["agents"], []);
  });
});

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}
