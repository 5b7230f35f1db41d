import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { heavyAgentUnitName, renderHeavyAgentUnits } from "../../components/shared/vps/heavyAgentUnit.ts";
import type { HeavyAgentUnit } from "../../components/shared/vps/heavyAgent.ts";
import { bootMicrovm, microvmCpus, microvmRamMiB, type Microvm } from "../support/microvm.ts";
import { microvmImage, microvmImpossible } from "../support/microvmImage.ts";
import { ensureGuestTools } from "../support/guestTree.ts";
import { skip } from "../run/skip.ts";

const server = { vcpus: microvmCpus, ramMiB: microvmRamMiB };
const template = readFileSync(new URL("../../templates/heavy-agent@.service", import.meta.url), "utf8");

/** Eats memory in steps of 8 MiB up to $1 of them, tells so by the file `brink`, and eats on when there is a file `go`. */
const hog = `my @eaten; my $brink = shift;
while (1) {
  push @eaten, "x" x 8388608;
  next if @eaten != $brink;
  open my $told, ">", "$ENV{HOME}/brink"; close $told;
  select undef, undef, undef, 0.2 until -e "$ENV{HOME}/go";
}`;

/** Agents, each with what its launcher does. */
const agents = {
  hello: {
    unit: { browserSandbox: true, environmentFile: "/etc/heavy-agent/other.env" },
    run: `#!/bin/sh
{ id -un; cat /proc/self/cgroup; echo "$HEAVY_AGENT_RUN_ID $COLOUR"; cat "$HEAVY_AGENT_PAYLOAD"; } >"$HOME/said"
touch /opt/heavy-agent/hello/mine 2>"$HOME/refused" || :
`,
  },
  hog: { unit: {}, run: `#!/bin/sh\nexec perl -e '${hog}' 88\n` },
  // Its own process stays small; the child is the one to be killed.
  parent: {
    unit: { mode: "resident", memoryMaxMiB: 64 },
    run: `#!/bin/sh
perl -e '${hog}' 2 &
wait $!
echo "child ended with $?" >"$HOME/said"
exec sleep 100000
`,
  },
  burner: { unit: { mode: "resident" }, run: "#!/bin/sh\nexec perl -e '1 while 1'\n" },
  slow: {
    unit: { mode: "resident", cpuQuotaPercentOfMachine: 30 },
    run: "#!/bin/sh\nexec perl -e '1 while 1'\n",
  },
  crasher: { unit: { idempotent: true }, run: `#!/bin/sh\necho "$HEAVY_AGENT_RUN_ID" >>"$HOME/runs"\nexit 3\n` },
  forker: {
    unit: { mode: "resident", tasksMax: 16 },
    run: `#!/bin/sh
perl -e 'my ($n, $why) = (0, ""); while (!$why) { my $pid = fork; $why = $! if !defined $pid; if (!$pid && !$why) { sleep 100000 } $n++ if $pid }
open my $said, ">", "$ENV{HOME}/said"; print $said "$n children, then: $why\\n"; close $said; sleep 100000'
`,
  },
} as const satisfies Readonly<
  Record<string, { readonly unit: Omit<HeavyAgentUnit, "name" | "server">; readonly run: string }>
>;
type AgentName = keyof typeof agents;

const state = (name: AgentName): string => `/var/lib/heavy-agent/${name}`;

/** One command that writes a file. */
function put(path: string, text: string, mode = "644"): string {
  return `install -D -m ${mode} /dev/stdin '${path}' <<'END-OF-FILE'\n${text}END-OF-FILE\n`;
}

/** What a server with these agents has, as a script. */
function installed(): string {
  const lines = ["set -e\n"];
  for (const [name, { unit, run }] of Object.entries(agents)) {
    const files = renderHeavyAgentUnits({ ...unit, name, server });
    assert.ok(files.ok, JSON.stringify(files));
    for (const { path, text } of files.value)
      lines.push(put(`/etc/systemd/system/${path}`, path === "heavy-agent@.service" ? template : text));
    lines.push(put(`/opt/heavy-agent/${name}/run`, run, "755"));
  }
  // A person's own: the pause of 30 s would make the loop's end two minutes and a half away.
  const crasher = `/etc/systemd/system/${heavyAgentUnitName("crasher")}.d/override.conf`;
  lines.push(put(crasher, "[Service]\nRestartSec=200ms\n"));
  lines.push(put("/etc/heavy-agent/other.env", "COLOUR=green\nHEAVY_AGENT_RUN_ID=false\n", "600"));
  lines.push("systemctl daemon-reload\n");
  return lines.join("");
}

describe("heavy-agent@.service on a real systemd, with a kernel of its own", function () {
  this.timeout(300_000);
  let guest: Microvm;

  before(async function () {
    const why = microvmImpossible();
    if (why !== undefined) skip(this, why);
    await ensureGuestTools();
    const image = await microvmImage((line) => process.stderr.write(`${line}\n`));
    guest = await bootMicrovm(image, { asleep: true });
    await must("sh -s", installed());
  });
  after(async () => {
    await guest?.close();
  });

  async function must(command: string, stdin = ""): Promise<string> {
    const ran = await guest.ssh(command, stdin);
    assert.equal(ran.status, 0, `${command.slice(0, 300)}: ${ran.stdout}${ran.stderr}\n${guest.console()}`);
    return ran.stdout;
  }

  /** Waits in the guest, by its clock; says how its agents are when that was in vain. */
  const until = (condition: string): Promise<string> =>
    must(`for try in $(seq 200); do ${condition} && exit; sleep 0.4; done
      echo '${condition.replaceAll("'", "")}: in vain'; systemctl status --no-pager 'heavy-agent@*'; exit 1`);

  /** Properties of an agent's unit. */
  async function shown(name: AgentName, ...keys: readonly string[]): Promise<Record<string, string>> {
    const text = await must(`systemctl show -p ${keys.join(",")} ${heavyAgentUnitName(name)}`);
    return Object.fromEntries(
      text
        .trim()
        .split("\n")
        .map((line) => line.split(/=(.*)/s).slice(0, 2)),
    );
  }

  /** Gives a job its run, as the runner does, and starts it without waiting. */
  async function start(name: AgentName): Promise<void> {
    const run = `/var/lib/heavy-agent-run/${name}`;
    const env = `HEAVY_AGENT_RUN_ID=run-${name}\nHEAVY_AGENT_PAYLOAD=${run}/payload.json\n`;
    const script = `${put(`${run}/payload.json`, "{}\n")}${put(`${run}/run.env`, env, "600")}`;
    await must("sh -s", `${script}systemctl start --no-block ${heavyAgentUnitName(name)}\n`);
  }

  const over = (name: AgentName): Promise<string> =>
    until(`systemctl show -p SubState ${heavyAgentUnitName(name)} | grep -qE '=(dead|failed)$'`);

  it("starts a job as its own user, in the slice, with its run and its payload, and not without", async () => {
    const refused = await guest.ssh(`systemctl start ${heavyAgentUnitName("hello")}`);
    assert.notEqual(refused.status, 0, "a job without a run must not start");
    await start("hello");
    await over("hello");
    assert.deepEqual(await shown("hello", "Result", "ActiveState", "ExecMainStatus"), {
      Result: "success",
      ActiveState: "inactive",
      ExecMainStatus: "0",
    });
    const [user, cgroup, run, payload] = (await must(`cat ${state("hello")}/said`)).trim().split("\n");
    assert.equal(user, "antigravity");
    assert.equal(cgroup, "0::/heavy.slice/heavy-agent.slice/heavy-agent@hello.service");
    assert.equal(run, "run-hello green", "the agent's own environment must not change the run");
    assert.equal(payload, "{}");
    assert.match(await must(`cat ${state("hello")}/refused`), /Permission denied|Read-only file system/);
  });

  it("applies the drop-ins, and leaves MemoryHigh unset", async () => {
    const total = Number(/MemTotal: +(\d+) kB/.exec(await must("cat /proc/meminfo"))?.[1]) * 1024;
    const keys = ["MemoryHigh", "MemoryMax", "MemorySwapMax", "TasksMax", "CPUQuotaPerSecUSec"];
    const limits = { MemoryHigh: "infinity", MemorySwapMax: "0" };
    const hello = await shown("hello", ...keys, "RestartUSec", "Restart");
    const most = Number(hello["MemoryMax"]);
    assert.ok(Math.abs(most - 0.8 * total) < 1024 ** 2, `${String(most)} of ${String(total)} bytes`);
    assert.deepEqual(
      { ...hello, MemoryMax: "80%" },
      {
        ...limits,
        MemoryMax: "80%",
        TasksMax: "1024",
        CPUQuotaPerSecUSec: "900ms",
        Restart: "no",
        RestartUSec: "30s",
      },
    );
    assert.deepEqual(await shown("parent", ...keys), {
      ...limits,
      MemoryMax: String(64 * 1024 ** 2),
      TasksMax: "1024",
      CPUQuotaPerSecUSec: "900ms",
    });
    const { CPUQuotaPerSecUSec: share, Restart: again } = await shown("slow", "CPUQuotaPerSecUSec", "Restart");
    assert.deepEqual([share, again], ["300ms", "on-failure"]);
    assert.equal((await shown("forker", "TasksMax"))["TasksMax"], "16");
  });

  it("kills a memory hog at 80 % of the server, while sshd keeps answering", async () => {
    await start("hog");
    await until(`[ -e ${state("hog")}/brink ]`);
    assert.equal((await guest.sshAnew("echo here")).stdout, "here\n", "at the brink");
    await must(`touch ${state("hog")}/go`);
    // While it dies.
    const [answer] = await Promise.all([guest.sshAnew("echo here"), over("hog")]);
    assert.equal(answer.stdout, "here\n");
    assert.deepEqual(await shown("hog", "Result", "ActiveState", "SubState", "NRestarts", "ExecMainStatus"), {
      Result: "signal",
      ActiveState: "failed",
      SubState: "failed",
      NRestarts: "0",
      ExecMainStatus: "9",
    });
    // With OOMPolicy=continue systemd calls it a signal; what it was stays in the slice, and in the kernel's log.
    assert.match(await must("cat /sys/fs/cgroup/heavy.slice/heavy-agent.slice/memory.events"), /^oom_kill 1$/m);
    assert.match(await must("dmesg"), /Memory cgroup out of memory: Killed process \d+ \(perl\)/);
    assert.equal((await guest.sshAnew("systemctl is-active ssh")).stdout, "active\n");
  });

  it("goes on when one of its children is killed", async () => {
    const unit = heavyAgentUnitName("parent");
    await must(`systemctl start ${unit}`);
    const { MainPID: before } = await shown("parent", "MainPID");
    await until(`[ -e ${state("parent")}/brink ]`);
    await must(`touch ${state("parent")}/go`);
    await until(`[ -e ${state("parent")}/said ]`);
    assert.equal(await must(`cat ${state("parent")}/said`), "child ended with 137\n");
    assert.deepEqual(await shown("parent", "ActiveState", "MainPID", "NRestarts"), {
      ActiveState: "active",
      MainPID: before,
      NRestarts: "0",
    });
    const events = await must(`cat /sys/fs/cgroup/heavy.slice/heavy-agent.slice/${unit}/memory.events`);
    assert.match(events, /^oom_kill 1$/m);
    await must(`systemctl stop ${unit}`);
  });

  it("gives CPU hogs their shares of the server and no more", async () => {
    const units = [heavyAgentUnitName("burner"), heavyAgentUnitName("slow")] as const;
    const slice = "/sys/fs/cgroup/heavy.slice/heavy-agent.slice";
    // Takes what the quotas leave, and yields to everything. While a guest is idle its clock follows this machine's, which
    // may be busy with others; while it is not, the clock counts instructions alone, and a share is one wherever this runs.
    const filler = "systemd-run --quiet --unit=filler --slice=-.slice --property=CPUWeight=1 perl -e '1 while 1'";
    await must(`systemctl start ${units.join(" ")}; ${filler}`);
    const files = ["", ...units].map((unit) => `${slice}/${unit}/cpu.stat`).join(" ");
    // Both readings by one process, so that the clock stands beside what it measures.
    const script = `sub all { my ($clock) = split " ", \`cat /proc/uptime\`; my @used = ($clock * 1e6);
      for (@ARGV) { open my $f, "<", $_; push @used, map { /^(?:usage_usec|nr_throttled) (\\d+)/ ? $1 : () } <$f> } @used }
      my @from = all(); sleep 4; my @to = all(); print join " ", map { $to[$_] - $from[$_] } 0 .. $#to`;
    const times = (await must(`perl - ${files}`, script)).split(" ").map(Number);
    const [passed = 0, together = 0, stops = 0, burner = 0, , slow = 0, slowStops = 0] = times;
    const percent = (used: number): number => (100 * used) / passed;
    const words = times.join(" ");
    // A quota holds for each tenth of a second, so that a reading may hold a part of one more or less.
    assert.ok(Math.abs(percent(slow) - 30) < 3, words);
    assert.ok(Math.abs(percent(together) - 90) < 3, words);
    assert.ok(burner > slow, words);
    assert.ok(stops > 0 && slowStops > 0, words);
    assert.equal((await guest.sshAnew("echo here")).stdout, "here\n");
    await must(`systemctl kill -s KILL filler ${units.join(" ")}; systemctl stop filler ${units.join(" ")} || :`);
  });

  it("ends a crash loop in the start limit, with the same run each time", async () => {
    await start("crasher");
    await over("crasher");
    assert.deepEqual(await shown("crasher", "ActiveState", "SubState", "Result", "NRestarts", "ExecMainStatus"), {
      ActiveState: "failed",
      SubState: "failed",
      Result: "exit-code",
      NRestarts: "5",
      ExecMainStatus: "3",
    });
    assert.equal(await must(`cat ${state("crasher")}/runs`), "run-crasher\n".repeat(5));
    const unit = heavyAgentUnitName("crasher");
    assert.match(await must(`journalctl -u ${unit} -o cat`), /Start request repeated too quickly/);
    const limits = await shown("crasher", "StartLimitIntervalUSec", "StartLimitBurst");
    assert.deepEqual(limits, { StartLimitIntervalUSec: "30min", StartLimitBurst: "5" });
    const refused = await guest.ssh(`systemctl start ${unit}`);
    assert.notEqual(refused.status, 0);
    await must(`systemctl reset-failed ${unit}; systemctl start ${unit}; systemctl stop ${unit}`);
  });

  it("stops an agent that forks without end at its limit", async () => {
    const unit = heavyAgentUnitName("forker");
    await must(`systemctl start ${unit}`);
    await until(`[ -s ${state("forker")}/said ]`);
    assert.match(
      await must(`cat ${state("forker")}/said`),
      /^1[3-5] children, then: Resource temporarily unavailable$/m,
    );
    const events = await must(`cat /sys/fs/cgroup/heavy.slice/heavy-agent.slice/${unit}/pids.events`);
    assert.match(events, /^max [1-9]/m);
    await must(`systemctl stop ${unit}`);
  });

  it("is exposed by at most 2.0, even with a browser's own sandbox", async () => {
    for (const name of ["hog", "hello"] as const) {
      const text = await must(`systemd-analyze security --no-pager ${heavyAgentUnitName(name)}`);
      const exposure = Number(/Overall exposure level for \S+: ([\d.]+)/.exec(text)?.[1]);
      assert.ok(exposure <= 2, `${name}: ${text.slice(-300)}`);
    }
  });
});
