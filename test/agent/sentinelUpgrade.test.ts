/**
 * A new release takes the Sentinel's place under load, as `HiveAgent` does it: what `current` names is another bundle, and
 * systemd ends the old one, by SIGTERM or, where that takes too long, by SIGKILL, and starts the new one.
 */
import assert from "node:assert/strict";
import { mkdir, readFile, readlink, rename, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { launcherEnvironment, launcherFlags } from "../../runtime-agent/build/tarball.ts";
import { openAdmin } from "../campaign/signals/admin.ts";
import { Begins } from "../campaign/signals/begins.ts";
import { Caller, type Signal } from "../campaign/signals/caller.ts";
import { verdictOf } from "../campaign/signals/figures.ts";
import { members, openRunner } from "../campaign/signals/team.ts";
import { testSeed } from "../run/seed.ts";
import { buildAgent, type AgentProgram, type Daemon } from "../support/arbiterDaemon.ts";
import { seededRandom } from "../support/seeded.ts";
import { SentinelSite, until } from "../support/sentinelDaemon.ts";

/** Senders at work for each agent, and signals of each sender between two upgrades at least. */
const senders = 3;
const between = 5;

describe("a Sentinel that is upgraded under load", () => {
  let built: AgentProgram;
  let site: SentinelSite;
  let current = "";
  const cleanup = new AsyncDisposableStack();

  before(async () => {
    built = await buildAgent();
    cleanup.defer(() => built.remove());
    // Releases lie side by side, and a link names the one that runs.
    const releases = join(built.file, "..", "releases");
    current = join(releases, "current");
    const code = await readFile(built.file, "utf8");
    for (const release of ["one", "two"]) {
      await mkdir(join(releases, release), { recursive: true });
      await symlink(join(built.file, "..", "node_modules"), join(releases, release, "node_modules"));
      // Each says which it is.
      const said = `$&process.stderr.write("release ${release}\\n");\n`;
      await writeFile(join(releases, release, "hive-agent.mjs"), code.replace(/^(?:#!.*\n)?/, said));
    }
    await symlink("one", current);
    site = await SentinelSite.open(
      { file: join(current, "hive-agent.mjs"), remove: () => Promise.resolve() },
      {
        ...{ log: { level: "warning" }, leases: { heartbeatSec: 1, validSec: 30 } },
        // Few ends are kept in full: what happened before an upgrade is known by the store of keys alone.
        ...{ delivery: { deadlineSec: 5, mostSec: 1, attempts: 1000, askAfterSec: 10 }, history: { runs: 10 } },
      },
    );
    cleanup.defer(() => site.close());
  });
  after(() => cleanup.disposeAsync());

  const launch = (): Daemon => site.launch("", [process.execPath, ...launcherFlags], launcherEnvironment);

  /** Switches to the other release with one rename, as the install script does, and has the daemon replaced. */
  async function upgrade(running: Daemon, signal: "SIGTERM" | "SIGKILL"): Promise<Daemon> {
    const other = (await readlink(current)) === "one" ? "two" : "one";
    await symlink(other, `${current}.new`);
    await rename(`${current}.new`, current);
    running.signal(signal);
    const end = await running.ended;
    assert.equal(end, signal === "SIGTERM" ? 0 : "SIGKILL", running.log.slice(-2000));
    const next = launch();
    await site.answers();
    assert.equal(next.over, false, next.log.slice(-2000));
    return next;
  }

  it("loses no signal, doubles no run, and knows every key, through SIGTERM and SIGKILL, forth and back", async () => {
    let daemon = launch();
    await site.answers();
    const admin = await openAdmin(join(site.folder, "run"));
    cleanup.defer(() => admin.close());
    const team = members.slice(0, 2);
    const begins = new Begins();
    const broken: string[] = [];
    for (const member of team) {
      const key = await site.newAgent(member.name, { mode: member.mode, idempotent: member.idempotent });
      const runner = await openRunner({
        ...{ folder: join(site.folder, member.name), member, key, sentinelPort: site.port, program: built, begins },
        broken: (what) => void broken.push(what),
      });
      cleanup.defer(() => runner.close());
      const process_ = runner.launch("");
      cleanup.defer(async () => {
        process_.signal("SIGKILL");
        await process_.ended;
      });
    }

    const stop = new AbortController();
    let answers = 0;
    const caller = new Caller({
      ...{ admin, begins, stop: stop.signal, random: seededRandom(testSeed()) },
      payload: (key) => ({ key, fails: false, ms: 2, filler: "" }),
      answered: () => (answers += 1),
      broken: (what) => void broken.push(what),
    });
    const signals: Signal[] = [];
    let sending = true;
    const work = team.flatMap(({ name }) =>
      Array.from({ length: senders }, async () => {
        while (sending && broken.length === 0) {
          const blank = { ids: new Set<string>(), askedMs: 0, end: undefined, otherEnds: 0, report: undefined };
          const signal = { agent: name, key: `k${String(signals.length)}`, fails: false, ...blank };
          signals.push(signal);
          await caller.send(signal);
        }
      }),
    );
    const settled = Promise.all(Array.from({ length: 8 }, () => caller.settle(() => !sending)));
    const releases = [daemon];
    for (const how of ["SIGTERM", "SIGKILL", "SIGTERM", "SIGKILL"] as const) {
      const wanted = answers + between * senders * team.length;
      await until(() => broken.length > 0 || answers >= wanted, "signals go through it", 60_000);
      daemon = await upgrade(daemon, how);
      releases.push(daemon);
    }
    sending = false;
    await Promise.all([...work, settled]);
    assert.deepEqual(broken, []);
    const said = releases.map(({ log }) => /^release (\w+)$/m.exec(log)?.[1]);
    assert.deepEqual(said, ["one", "two", "one", "two", "one"]);

    // Every key is known, those of a release ago too: the same run, and nothing begins.
    for (const signal of signals) await caller.ask(signal);
    const told: string[] = [];
    const verdict = verdictOf({ signals, begins, members: team, tell: (line) => void told.push(line) });
    assert.deepEqual([verdict.lost, verdict.doubled, verdict.misreported], [0, 0, 0], told.join("\n"));
    // Runners live on meanwhile: nothing that was begun is begun once more, or given up.
    assert.deepEqual([verdict.interrupted, verdict.retried], [0, 0]);
    assert.ok(signals.length > 4 * between, String(signals.length));
  });
});
