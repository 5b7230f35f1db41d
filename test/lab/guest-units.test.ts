import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Machine } from "../../lab/host/machine.ts";
import { skip } from "../run/skip.ts";
import { eventually, openScene } from "./machine-scene.ts";
import type { Scene } from "./machine-scene.ts";

const shellUnit = (service: string, unit = ""): string =>
  `[Unit]\n${unit}\n[Service]\n${service}\n[Install]\nWantedBy=multi-user.target\n`;

describe("units of the lab's guests", function () {
  this.timeout(120_000);
  let scene: Scene;
  let machine: Machine;

  before(async function () {
    scene = await openScene();
    if (scene.limitation !== undefined) skip(this, scene.limitation);
    machine = await scene.boot("agent", 5);
  });
  after(() => scene?.close());

  const shell = async (command: string): Promise<string> => {
    const { stdout, stderr, code } = await scene.shell(machine, command);
    return `${stdout}${stderr}${code === 0 ? "" : `status ${String(code)}\n`}`;
  };
  const unit = (name: string, text: string): void => scene.file(machine, `/etc/systemd/system/${name}`, text);
  const show = async (name: string): Promise<Record<string, string>> => {
    const text = await shell(`systemctl show ${name}`);
    return Object.fromEntries(text.split("\n").map((line) => line.split(/=(.*)/s).slice(0, 2)));
  };

  it("run from a template with what systemd gives them, and stop with all their processes", async () => {
    unit(
      "job@.service",
      shellUnit(`Type=exec
WorkingDirectory=/opt/%i
ExecStart=/opt/%i/run --name=%i "two words" $$PLAIN \${FROM_FILE}
Environment=HOME=/var/lib/%i "QUOTED=a b"
EnvironmentFile=-/etc/missing.env
EnvironmentFile=/etc/job.env
StateDirectory=job/%i
StateDirectoryMode=0700
RuntimeDirectory=job/%i
UMask=0077
User=antigravity`),
    );
    scene.file(machine, "/etc/job.env", "# comment\nFROM_FILE='of a file'\n");
    const script = `#!/bin/sh
printf '%s|' "$@" "$PWD" "$HOME" "$QUOTED" "$STATE_DIRECTORY" "$(umask)" "$USER"; echo
setsid sleep 300 &
env -i sleep 301
`;
    scene.file(machine, "/opt/a-b/run", script, 0o755);
    assert.equal(await shell("systemctl start job@a-b && systemctl is-active job@a-b"), "active\n");
    const said = await eventually(
      () => shell("journalctl -u job@a-b -o cat"),
      (text) => text.includes("|"),
    );
    assert.match(said, /^--name=a-b\|two words\|\$PLAIN\|of a file\|\/opt\/a-b\|\/var\/lib\/a-b\|a b\|/m);
    assert.match(said, /\|\/var\/lib\/job\/a-b\|0077\|antigravity\|$/m);
    assert.equal(await shell("stat -c %a /var/lib/job/a-b /run/job/a-b"), "700\n755\n");
    const { InvocationID, MainPID, ActiveState, SubState } = await show("job@a-b");
    assert.match(InvocationID ?? "", /^[0-9a-f]{32}$/);
    assert.deepEqual([ActiveState, SubState], ["active", "running"]);
    assert.equal(
      await shell(`tr '\\0' '\\n' </proc/${String(MainPID)}/environ | grep INVOCATION`),
      `INVOCATION_ID=${InvocationID}\n`,
    );
    await eventually(
      () => shell("pgrep -fc '^sleep 30[01]'"),
      (count) => count === "2\n",
    );
    // One process in a session of its own, one without its environment: both are the service's.
    assert.equal(await shell("systemctl stop job@a-b; pgrep -fc '^sleep 30[01]'"), "0\nstatus 1\n");
    assert.equal(await shell("ls /run/job 2>&1 | wc -l; systemctl is-active job@a-b"), "0\ninactive\nstatus 3\n");
    assert.equal((await show("job@a-b"))["Result"], "success");
  });

  it("are kept by SIGKILL's time limit, and by their exit status, from counting as well", async () => {
    unit(
      "deaf.service",
      shellUnit(
        `TimeoutStopSec=300ms\nExecStart=/bin/sh -c 'trap "" TERM; echo deaf now; while :; do sleep 0.1; done'`,
      ),
    );
    await shell("systemctl start deaf");
    await eventually(
      () => shell("journalctl -u deaf -o cat"),
      (text) => text.includes("deaf now"),
    );
    await shell("systemctl stop deaf");
    const deaf = await show("deaf");
    assert.deepEqual([deaf["ActiveState"], deaf["Result"], deaf["ExecMainStatus"]], ["failed", "timeout", "9"]);
    unit("wrong.service", shellUnit("Type=oneshot\nExecStart=/bin/sh -c 'exit 7'"));
    const failed = await scene.shell(machine, "systemctl start wrong");
    assert.equal(failed.code, 1);
    assert.match(failed.stderr, /^Job for wrong\.service failed because the control process exited with error code/);
    assert.equal((await show("wrong"))["ExecMainStatus"], "7");
    assert.equal(
      await shell("systemctl is-failed wrong; systemctl reset-failed wrong; systemctl is-failed wrong"),
      "failed\ninactive\nstatus 1\n",
    );
    unit("absent.service", shellUnit("Type=exec\nExecStart=/opt/not-there"));
    assert.match(await shell("systemctl start absent"), /status 1\n$/);
    assert.equal((await show("absent"))["ExecMainStatus"], "203");
    assert.match(await shell("systemctl start nowhere"), /Unit nowhere\.service not found\.\nstatus 5\n$/);
  });

  it("restart on failure until the start limit, and not when a drop-in says so", async () => {
    const loop = "Restart=on-failure\nRestartSec=50ms\nExecStart=/bin/sh -c 'echo one life; exit 3'";
    unit("loop@.service", shellUnit(loop, "StartLimitIntervalSec=60\nStartLimitBurst=3"));
    await shell("systemctl start loop@x");
    const ended = await eventually(
      () => show("loop@x"),
      ({ ActiveState }) => ActiveState === "failed",
    );
    assert.deepEqual([ended["Result"], ended["NRestarts"]], ["start-limit-hit", "3"]);
    assert.equal(await shell("journalctl -u loop@x -o cat | grep -c 'one life'"), "3\n");
    assert.match(await shell("systemctl start loop@x"), /start request repeated too quickly/);
    unit("loop@x.service.d/10-once.conf", "[Service]\nRestart=no\n");
    await shell("systemctl daemon-reload; systemctl reset-failed loop@x; systemctl start loop@x");
    const once = await eventually(
      () => show("loop@x"),
      ({ ActiveState }) => ActiveState === "failed",
    );
    assert.deepEqual([once["Result"], once["NRestarts"], once["Restart"]], ["exit-code", "0", "no"]);
    assert.match(once["DropInPaths"] ?? "", /loop@x\.service\.d\/10-once\.conf$/);
  });

  it("say when they are ready, and are killed when their watchdog is not fed", async () => {
    const notify = `$| = 1; use Socket; socket(my $s, AF_UNIX, SOCK_DGRAM, 0);
sub tell_ { send($s, $_[0], 0, pack_sockaddr_un($ENV{NOTIFY_SOCKET})) or die $! }
die "not watched" unless $ENV{WATCHDOG_USEC} == 2000000 && $ENV{WATCHDOG_PID} == $$;
select undef, undef, undef, 0.2; tell_("STATUS=here\\nREADY=1");
for (1..5) { select undef, undef, undef, 0.1; tell_("WATCHDOG=1") }
print "silent from now\\n"; sleep 100;`;
    scene.file(machine, "/opt/notify.pl", notify);
    const text = "Type=notify\nWatchdogSec=2s\nWatchdogSignal=SIGKILL\nRestart=on-watchdog\nRestartSec=30";
    unit("heart.service", shellUnit(`${text}\nExecStart=/usr/bin/perl /opt/notify.pl`));
    assert.equal(
      await shell("systemctl start heart && systemctl show -p ActiveState,StatusText --value heart"),
      "active\nhere\n",
    );
    const bitten = await eventually(
      () => show("heart"),
      ({ SubState }) => SubState === "auto-restart",
    );
    assert.equal(bitten["Result"], "watchdog");
    assert.match(await shell("journalctl -u heart -o cat"), /silent from now/);
    await shell("systemctl stop heart");
    unit("mute.service", shellUnit("Type=notify\nTimeoutStartSec=300ms\nExecStart=/bin/sleep 100"));
    assert.match(await shell("systemctl start mute"), /a timeout was exceeded/);
  });

  it("tell what the runner asks: their order by what others say of them, and their log between two moments", async () => {
    unit("behind@.service", shellUnit("Type=oneshot\nExecStart=/bin/sh -c 'echo in between'"));
    unit("front.service", shellUnit("ExecStart=/bin/sleep 306", "Before=behind@x.service"));
    const begun = Date.now();
    await shell("systemctl start front; systemctl start behind@x");
    const args = "--property=LoadState,After,Before,ExecMainCode -- behind@x.service";
    assert.equal(
      await shell(`systemctl show ${args}`),
      "LoadState=loaded\nAfter=front.service\nBefore=\nExecMainCode=1\n",
    );
    const log = (from: number, to: number): Promise<string> =>
      shell(
        `journalctl --quiet --no-pager --output=cat --unit=behind@x.service --since=@${from / 1000} --until=@${to / 1000}`,
      );
    assert.match(await log(begun, Date.now()), /^in between$/m);
    assert.equal(await log(begun - 60_000, begun - 1), "");
    await shell("systemctl stop front");
  });

  it("do not start where a condition does not hold, nor where an assertion does not", async () => {
    unit(
      "if.service",
      shellUnit("ExecStart=/bin/sleep 100", "ConditionPathExists=/opt/wanted\nConditionPathExists=!/opt/unwanted"),
    );
    assert.equal(
      await shell("systemctl start if; systemctl is-active if; systemctl show -p ConditionResult if"),
      "inactive\nConditionResult=no\n",
    );
    assert.equal(
      await shell("touch /opt/wanted; systemctl start if; systemctl is-active if; systemctl stop if"),
      "active\n",
    );
    unit("must.service", shellUnit("ExecStart=/bin/sleep 100", "AssertPathExists=/opt/never"));
    assert.match(await shell("systemctl start must"), /Assertion failed on job for must\.service\.\nstatus 1\n$/);
  });

  it("come back after a reboot if they are enabled, and leave /run and their processes behind", async () => {
    unit("kept@.service", shellUnit("ExecStart=/bin/sh -c 'echo life of %i; exec sleep 304'"));
    unit("other.service", shellUnit("ExecStart=/bin/sleep 305"));
    await shell("systemctl enable --now kept@one; systemctl start other; touch /run/gone /opt/stays");
    await machine.close();
    machine = await scene.boot("agent", 5);
    await eventually(
      () => shell("systemctl is-active kept@one"),
      (state) => state === "active\n",
    );
    assert.equal(
      await shell("systemctl is-active other; pgrep -fc '^sleep 30[0-9]'; ls /run/gone /opt/stays 2>/dev/null"),
      "inactive\n1\n/opt/stays\nstatus 2\n",
    );
    assert.equal(await shell("journalctl -u kept@one -o cat | grep -c 'life of one'"), "2\n");
    await shell("systemctl disable --now kept@one");
  });

  it("leave accounts to be made, each of them another name of the one uid", async () => {
    const made = await shell(
      "id -u antigravity 2>/dev/null || useradd --system --home-dir /srv antigravity; id -u antigravity",
    );
    assert.equal(made, "0\n");
    assert.equal(
      await shell("install -d -o antigravity /srv/a && sudo -n -u antigravity /bin/sh -c 'echo ok; exit 4'"),
      "ok\nstatus 4\n",
    );
    assert.match(readFileSync(join(machine.root, "etc/passwd"), "utf8"), /^antigravity:x:0:0::\/srv:/m);
    assert.equal(await shell("useradd antigravity"), "useradd: user 'antigravity' already exists\nstatus 9\n");
  });
});
