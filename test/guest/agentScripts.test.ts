import assert from "node:assert/strict";
import { copyFileSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { agentSecretFile, planAgent } from "../../components/shared/agent/agentPlan.ts";
import {
  asRoot,
  renderInstallStep,
  renderPrepareStep,
  secretLines,
  uploadFile,
} from "../../components/shared/agent/installScripts.ts";
import type { InstallContext } from "../../components/shared/agent/installParts.ts";
import { adminUser, type Guest, type Ran } from "../support/guest.ts";
import { fakeTarball, type Fate, type Tarball } from "../support/guestAgent.ts";
import { openGuest, type GuestScene } from "../support/guestScene.ts";
import { isRecord } from "../support/records.ts";

const context = { role: "keeper", side: "arbiter", owner: "hive/genesis", healthSec: 20, steadySec: 0 } as const;

type KeeperContext = Extract<InstallContext, { readonly role: "keeper" }>;

describe("agent on a real systemd, over a real sshd", function () {
  this.timeout(120_000);
  let folder = "";
  let guest: Guest;
  let scene: GuestScene;

  before(async function () {
    scene = await openGuest(this, "agent-scripts");
    ({ guest, folder } = scene);
  });
  after(async () => {
    await scene?.close();
  });

  const inside = (path: string): string => join(guest.root, path);
  /** Texts of a configuration with a service for each further secret. */
  const texts = (timeZone: string, tokens: readonly string[] = []) => {
    const secretNames = ["psk", ...tokens];
    const eva = { rank: 2, kind: "interactive", vram: "1 GB", unit: "eva.service" } as const;
    const services = tokens.map((name) => ({ ...eva, name, tokenFile: agentSecretFile(name) }));
    const planned = planAgent({
      side: "arbiter",
      config: { version: 1, side: "arbiter", timeZone, arbiter: { services } },
      release: { version: "1.0.0", sha256: "0".repeat(64) },
      secretNames,
      allow: [],
      healthSec: 60,
    });
    assert.ok(planned.ok, JSON.stringify(planned));
    return { ...planned.value, secretNames };
  };
  /** The first step as `admin` does it, through sudo. */
  const prepare = (psk = "good", other: Partial<KeeperContext> = {}, tokens: readonly string[] = []): Promise<Ran> => {
    const secrets = { psk, ...Object.fromEntries(tokens.map((name) => [name, "token"])) };
    const secretNames = Object.keys(secrets);
    const { create } = renderPrepareStep({ ...context, ...other }, { login: adminUser, secretNames });
    return guest.ssh(asRoot(adminUser, create), { stdin: secretLines(secrets), user: adminUser });
  };
  const upload = ({ path, release }: Tarball): void => copyFileSync(path, inside(uploadFile(release)));
  type Patience = Partial<Pick<KeeperContext, "healthSec" | "steadySec">>;
  const scripts = (
    tarball: Tarball,
    timeZone = "Europe/Paris",
    patience: Patience = {},
    tokens: readonly string[] = [],
  ) => renderInstallStep({ ...context, ...patience }, { release: tarball.release, ...texts(timeZone, tokens) });
  const install = (
    tarball: Tarball,
    timeZone?: string,
    patience?: Patience,
    tokens?: readonly string[],
  ): Promise<Ran> => {
    upload(tarball);
    return guest.ssh(asRoot(adminUser, scripts(tarball, timeZone, patience, tokens).create), { user: adminUser });
  };
  const made = (version: string, fate?: Fate): Tarball => fakeTarball(folder, version, fate);
  const status = async (): Promise<Record<string, unknown>> => {
    const parsed: unknown = JSON.parse(
      (await guest.ssh("/opt/hive-agent/current/bin/hive-agent status --json")).stdout,
    );
    assert.ok(isRecord(parsed));
    return parsed;
  };
  /** Everything of ours on the guest. */
  const left = async (): Promise<string[]> => {
    const places = "/opt /etc /var/lib /run /var/log /var/cache";
    const found = await guest.ssh(
      `find ${places} -path '*hive-agent*' -prune -print; systemctl list-units --no-legend 'hive-agent*'; systemctl list-unit-files --no-legend 'hive-agent*'`,
    );
    return found.stdout.split("\n").filter((line) => line !== "");
  };
  const remove = async (): Promise<void> => {
    const tarball = made("0.0.1");
    for (const step of [scripts(tarball), renderPrepareStep(context, { login: adminUser, secretNames: ["psk"] })]) {
      const ran = await guest.ssh(asRoot(adminUser, step.delete), { user: adminUser });
      assert.equal(ran.status, 0, ran.stderr);
    }
  };
  afterEach(remove);

  const ok = (ran: Ran): void => assert.equal(ran.status, 0, ran.stderr);
  const one = "1.0.0";

  it("installs, runs inside its fence, upgrades, keeps one earlier release, and leaves nothing behind", async () => {
    ok(await prepare());
    ok(await install(made(one)));
    const first = await status();
    assert.deepEqual([first["version"], first["timeZone"], first["writesOutside"]], [one, "Europe/Paris", false]);
    // CAP_KILL, CAP_SYS_PTRACE, CAP_SYS_ADMIN and CAP_SYS_NICE at most (linux/capability.h: 5, 19, 21, 23).
    assert.equal(
      BigInt(`0x${String(first["capabilities"])}`) & ~((1n << 5n) | (1n << 19n) | (1n << 21n) | (1n << 23n)),
      0n,
    );
    assert.equal(first["hurries"], true, "the fence lets it put a thread ahead of the load");
    const byRoot = await guest.ssh(
      "for at in /sys/fs/cgroup /sys/fs/cgroup/unified; do mkdir $at/probe && rmdir $at/probe && echo can; done 2>/dev/null",
    );
    assert.equal(first["makesCgroups"], byRoot.stdout.includes("can"), "as far as root itself can here");
    const modes = await guest.ssh(
      "stat -c %a:%U /etc/hive-agent/keeper.yaml /etc/hive-agent/secrets/psk /etc/hive-agent",
    );
    assert.deepEqual(modes.stdout.trim().split("\n"), ["600:root", "600:root", "700:root"]);
    assert.equal((await guest.ssh("systemctl is-enabled hive-agent-keeper")).stdout, "enabled\n");

    for (const version of ["1.1.0", "1.2.0"]) ok(await install(made(version)));
    assert.equal((await status())["version"], "1.2.0");
    const releases = readdirSync(inside("opt/hive-agent")).filter((name) => /^\d/.test(name));
    assert.deepEqual(releases.map((name) => name.split("-")[0]).toSorted(), ["1.1.0", "1.2.0"]);
    assert.equal(readdirSync(inside("var/cache/hive-agent")).length, 1);

    await remove();
    assert.deepEqual(await left(), []);
    await remove();
  });

  it("does not disturb a healthy agent that is already as wanted", async () => {
    ok(await prepare());
    const tarball = made(one);
    ok(await install(tarball));
    const { pid } = await status();
    ok(await prepare());
    ok(await install(tarball));
    assert.equal((await status())["pid"], pid);
    ok(await install(tarball, "Europe/Rome"));
    const changed = await status();
    assert.notEqual(changed["pid"], pid);
    assert.equal(changed["timeZone"], "Europe/Rome");
  });

  for (const [fate, patience, said] of [
    ["sick", { healthSec: 3 }, /not healthy within 3 s/],
    ["ailing", { healthSec: 3 }, /"unhealthy":\["Proxmox refuses"\]/],
    ["mute", { healthSec: 3 }, /not healthy within 3 s/],
    ["crash", {}, /cannot go on: no reason/],
    ["fleeting", { steadySec: 2 }, /release 2\.0\.0 starts/],
  ] as const) {
    it(`goes back to the release, configuration and unit before when the new one is ${fate}, with its last words`, async () => {
      ok(await prepare());
      ok(await install(made(one)));
      const ran = await install(made("2.0.0", fate), "Europe/Rome", patience);
      assert.equal(ran.status, 1);
      assert.match(ran.stderr, said);
      assert.match(ran.stderr, /rolled back to release 1\.0\.0-\w+, which is healthy/);
      const back = await status();
      assert.deepEqual([back["version"], back["timeZone"]], [one, "Europe/Paris"]);
      assert.equal(readdirSync(inside("opt/hive-agent")).filter((name) => name.startsWith("2.0.0")).length, 0);
    });
  }

  it("never touches the running release for a tarball that is damaged, mute, of another version, or refuses the configuration", async () => {
    ok(await prepare());
    ok(await install(made(one)));
    const { pid } = await status();
    const refused = async (tarball: Tarball, why: RegExp): Promise<void> => {
      const ran = await install(tarball);
      assert.equal(ran.status, 1);
      assert.match(ran.stderr, why);
      assert.match(ran.stderr, /nothing was changed/);
      assert.equal((await status())["pid"], pid);
    };
    const damaged = made("2.0.0");
    writeFileSync(damaged.path, Buffer.concat([readFileSync(damaged.path), Buffer.from("x")]));
    await refused(damaged, /has sha256 \w{64}, wanted \w{64}/);
    await refused(made("2.1.0", "broken"), /does not run on this machine/);
    const named = made("2.2.0");
    await refused(
      { ...named, release: { ...named.release, version: "2.2.1" } },
      /says it is '2\.2\.0', wanted version 2\.2\.1/,
    );
    await refused(made("2.3.0", "picky"), /market\.open is not to my taste/);
  });

  it("removes a first release that is not healthy, and says so", async () => {
    ok(await prepare());
    const ran = await install(made(one, "crash"));
    assert.equal(ran.status, 1);
    assert.match(ran.stderr, /no earlier release to go back to/);
    assert.deepEqual(
      (await left()).filter((path) => !/^\/(opt|etc|var\/cache)\/hive-agent$/.test(path)),
      [],
    );
    assert.deepEqual(readdirSync(inside("opt/hive-agent")).toSorted(), ["owner", "side"]);
    ok(await install(made("1.0.1")));
  });

  it("gives changed secrets to a running agent, and takes back those that it is not healthy with", async () => {
    ok(await prepare("first"));
    ok(await install(made(one)));
    const { pid } = await status();
    ok(await prepare("a longer one"));
    const second = await status();
    assert.notEqual(second["pid"], pid);
    assert.equal(second["secret"], "12");
    const ran = await prepare("bad one");
    assert.equal(ran.status, 1);
    assert.match(ran.stderr, /the former ones are put back/);
    assert.equal((await status())["secret"], "12");
    assert.equal((await guest.ssh("cat /etc/hive-agent/secrets/psk")).stdout, "a longer one");
  });

  it("drops a secret after the configuration that named it, and not while an upgrade may still go back to that", async () => {
    const named = async (): Promise<string> => (await guest.ssh("ls /etc/hive-agent/secrets")).stdout;
    ok(await prepare("good", {}, ["eva"]));
    ok(await install(made(one), undefined, {}, ["eva"]));
    ok(await prepare());
    assert.match(
      (await install(made("2.0.0", "crash"))).stderr,
      /rolled back to release 1\.0\.0-\w+, which is healthy/,
    );
    assert.equal(await named(), "eva\npsk\n");
    ok(await install(made(one)));
    assert.equal(await named(), "psk\n");
    ok(await prepare("good", {}, ["eva"]));
    ok(await install(made(one), undefined, {}, ["eva"]));
    assert.equal(await named(), "eva\npsk\n");
  });

  it("leaves the agent of another stack, and the other side's, alone", async () => {
    ok(await prepare());
    ok(await install(made(one)));
    const { pid } = await status();
    const strange = await prepare("good", { owner: "other/stack" });
    assert.equal(strange.status, 1);
    assert.match(strange.stderr, /not of this stack \(its owner file says 'hive\/genesis'/);
    const other = { ...context, owner: "other/stack" };
    const removal = renderInstallStep(other, { release: made(one).release, ...texts("UTC") }).delete;
    const ran = await guest.ssh(asRoot(adminUser, removal), { user: adminUser });
    assert.match(ran.stderr, /is not of this stack and stays/);
    assert.match(
      (await prepare("good", { side: "host" })).stderr,
      /has another agent \(\/opt\/hive-agent: arbiter\); nothing was changed/,
    );
    assert.equal((await status())["pid"], pid);
  });

  it("goes on after being killed at any point of an upgrade", async () => {
    ok(await prepare());
    ok(await install(made(one)));
    // A kill before each of the last steps: the switch, the wait for health, the two moves and the end of the note.
    const cuts = ["point current", "if ! activate", '  mv -T "$new" "$root/proven"', "prove"];
    for (const [index, cut] of cuts.entries()) {
      const next = made(`1.${String(index + 1)}.0`);
      upload(next);
      const lines = scripts(next).create.split("\n");
      const at = lines.findLastIndex((line) => line.startsWith(cut));
      assert.ok(at > 0, cut);
      const ran = await guest.ssh([...lines.slice(0, at), "kill -KILL $$", ...lines.slice(at)].join("\n"));
      assert.equal(ran.status, undefined, "it was killed");
      // Even from there a release that turns out bad leads back to a healthy one.
      if (cut === "if ! activate") {
        assert.match(
          (await install(made("3.0.0", "crash"))).stderr,
          /rolled back to release 1\.1\.0-\w+, which is healthy/,
        );
      }
      ok(await install(next));
      assert.equal((await status())["version"], next.release.version);
    }
  });

  it("uses shell that shellcheck finds nothing in", async () => {
    const step = scripts(made(one));
    const first = renderPrepareStep(context, { login: adminUser, secretNames: ["psk"] });
    const all = [step.create, step.delete, first.create, first.delete];
    for (const text of all) {
      // SC2016: `$MAINPID` in the unit is for systemd to expand, not for the shell.
      const ran = await guest.ssh("shellcheck --shell=sh --exclude=SC2016 -", { stdin: text });
      assert.equal(ran.stdout, "");
    }
  });
});
