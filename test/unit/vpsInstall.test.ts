import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { renderDeadMan } from "../../components/shared/vps/deadMan.ts";
import { renderFarewell } from "../../components/shared/vps/farewell.ts";
import {
  environmentFault,
  environmentText,
  renderAccountStep,
  renderPlaceStep,
  renderReadyStep,
  sourcesUpload,
} from "../../components/shared/vps/installAgent.ts";
import { entryPointOf, packSources } from "../../components/shared/vps/pack.ts";

const login = userInfo().username;
const units = [
  { path: "heavy-agent@.service", text: "[Service]\n" },
  { path: "heavy-agent@x.service.d/50-hive.conf", text: "[Service]\nCPUQuota=90%\n" },
];

describe("scripts that install an agent", () => {
  let world = "";
  beforeEach(() => {
    world = mkdtempSync(join(tmpdir(), "vps-install-"));
    mkdirSync(join(world, "bin"));
  });
  afterEach(() => rmSync(world, { recursive: true }));

  const inside = (path: string): string => join(world, path);
  const tool = (name: string, text: string): void => {
    writeFileSync(join(world, "bin", name), `#!/bin/sh\n${text}\n`);
    chmodSync(join(world, "bin", name), 0o755);
  };
  /** Runs a script in a root of its own: every absolute path of the server is below it. */
  const ran = (script: string, input = "", env: Readonly<Record<string, string>> = {}) => {
    const moved = script.replace(/(?<![\w/.$}"-])\/(opt|etc|var|usr)\//g, `${world}/$1/`);
    const path = `${world}/bin:${process.env["PATH"] ?? ""}`;
    const done = spawnSync("sh", ["-c", moved], {
      input,
      encoding: "utf8",
      env: { ...env, PATH: path, TMPDIR: world },
    });
    return { status: done.status, said: done.stdout + done.stderr };
  };
  const calls = (): string => (existsSync(inside("calls")) ? readFileSync(inside("calls"), "utf8") : "");
  /** Systemd's place is taken by a list of what it was asked for. */
  const systemctl = (): void => tool("systemctl", `echo "systemctl $*" >>${inside("calls")}`);

  function uploaded(text: string): string {
    const packed = packSources(
      [{ path: "run", kind: "file", executable: true, content: Buffer.from(`#!/bin/sh\n${text}`) }],
      entryPointOf("x", undefined),
    );
    assert.ok(packed.ok);
    const { sha256, tar } = packed.value;
    mkdirSync(inside("var/cache/hive-agent-sources"), { recursive: true });
    writeFileSync(inside(sourcesUpload(sha256)), tar);
    return sha256;
  }
  const place = (sha256: string, input = "", runtime: "node" | "docker" = "node") => {
    mkdirSync(inside("usr/local/bin"), { recursive: true });
    tool("chgrp", `echo "$*" >${inside("group")}`);
    return ran(renderPlaceStep({ name: "x", sha256, runtime, units }), input);
  };

  it("put sources, units, environment and runtime in place, again without a change, and swap them whole", () => {
    systemctl();
    const first = uploaded("one");
    const done = place(first, 'TOKEN="a"\n');
    assert.equal(done.status, 0, done.said);
    assert.equal(readFileSync(inside("opt/heavy-agent/x/run"), "utf8"), "#!/bin/sh\none");
    assert.equal(readlinkSync(inside("opt/heavy-agent/x")), `.x-${first.slice(0, 12)}`);
    assert.equal(readFileSync(inside("etc/heavy-agent/x.env"), "utf8"), 'TOKEN="a"\n');
    assert.equal(statSync(inside("etc/heavy-agent/x.env")).mode & 0o777, 0o600);
    assert.equal(
      readFileSync(inside("etc/systemd/system/heavy-agent@x.service.d/50-hive.conf"), "utf8"),
      "[Service]\nCPUQuota=90%\n",
    );
    assert.match(readlinkSync(inside("usr/local/bin/node")), /\/opt\/hive-agent\/current\/lib\/node$/);
    assert.equal(calls(), "systemctl daemon-reload\n");
    // What is put into it is the agent's to read, by its group, and nobody else's.
    assert.equal(statSync(inside("var/lib/heavy-agent-run/x")).mode & 0o7777, 0o2750);
    assert.equal(readFileSync(inside("group"), "utf8"), `antigravity ${inside("var/lib/heavy-agent-run/x")}\n`);
    // Again: nothing is unpacked, nothing reloaded; the upload may be gone by then.
    rmSync(inside(sourcesUpload(first)));
    assert.equal(place(first, 'TOKEN="a"\n').status, 0);
    assert.equal(calls(), "systemctl daemon-reload\n");
    // The second one keeps the first for a run that is going on; the third does not.
    const [second, third] = [uploaded("two"), uploaded("three")];
    assert.equal(place(second).status, 0);
    assert.equal(readFileSync(inside("opt/heavy-agent/x/run"), "utf8"), "#!/bin/sh\ntwo");
    writeFileSync(inside(sourcesUpload(third)), readFileSync(inside(sourcesUpload(uploaded("three")))));
    assert.equal(place(third).status, 0);
    const kept = readdirSync(inside("opt/heavy-agent")).toSorted();
    assert.deepEqual(kept, [`.x-${second.slice(0, 12)}`, `.x-${third.slice(0, 12)}`, "x"].toSorted());
  });

  it("refuse sources of another checksum, or none, and change nothing", () => {
    systemctl();
    const first = uploaded("one");
    assert.equal(place(first).status, 0);
    const second = uploaded("two");
    writeFileSync(inside(sourcesUpload(second)), "something else");
    const refused = place(second);
    assert.equal(refused.status, 1);
    assert.match(refused.said, /has sha256 \w{64}, wanted \w{64}; nothing was changed/);
    rmSync(inside(sourcesUpload(second)));
    assert.match(place(second).said, /are missing; upload them again/);
    assert.equal(readlinkSync(inside("opt/heavy-agent/x")), `.x-${first.slice(0, 12)}`);
  });

  it("put Docker's containers into the agents' slice", () => {
    systemctl();
    tool("dockerd", "");
    const done = place(uploaded("one"), "", "docker");
    assert.equal(done.status, 0, done.said);
    const config: unknown = JSON.parse(readFileSync(inside("etc/docker/daemon.json"), "utf8"));
    assert.deepEqual(config, {
      "exec-opts": ["native.cgroupdriver=systemd"],
      "cgroup-parent": "heavy-agent.slice",
      "log-driver": "journald",
    });
    assert.match(calls(), /restart docker\.service/);
  });

  it("make the agents' user once, and a folder for the upload that is the login's alone", () => {
    tool("getent", `test -e ${inside("user")}`);
    tool("useradd", `echo "$*" >>${inside("calls")}; : >${inside("user")}`);
    mkdirSync(inside("var/cache"), { recursive: true });
    for (let round = 0; round < 2; round += 1) {
      const done = ran(renderAccountStep(login));
      assert.equal(done.status, 0, done.said);
    }
    assert.match(calls(), /^--system [^\n]*--shell \/\S*nologin antigravity\n$/);
    assert.equal(statSync(inside("var/cache/hive-agent-sources")).mode & 0o777, 0o700);
  });

  it("wait until the Sentinel knows the runner, and say what to look at when it does not", () => {
    systemctl();
    tool("sleep", "");
    tool("journalctl", "echo the last lines");
    mkdirSync(inside("opt/hive-agent/current/bin"), { recursive: true });
    const agent = inside("opt/hive-agent/current/bin/hive-agent");
    const says = (text: string): void => {
      writeFileSync(agent, `#!/bin/sh\nprintf '%s\\n' '${text}'\n`);
      chmodSync(agent, 0o755);
    };
    const ready = (resident: boolean) => ran(renderReadyStep({ name: "x", resident, registerSec: 3 }));
    says('{"role":"runner","healthy":true,"sentinel":"up"}');
    assert.equal(ready(false).status, 0);
    assert.match(calls(), /disable --quiet heavy-agent@x\.service/);
    assert.doesNotMatch(calls(), /restart/);
    assert.equal(ready(true).status, 0);
    assert.match(calls(), /enable --quiet heavy-agent@x\.service\n.*\n.* restart heavy-agent@x\.service/);
    says('{"healthy":true,"sentinel":"the registration token was used by another server"}');
    const late = ready(false);
    assert.equal(late.status, 1);
    assert.match(late.said, /used by another server[^]*the last lines[^]*within 3 s; see that it is up/);
  });

  it("write an environment that a shell reads back as it was (property)", () => {
    const name = fc.stringMatching(/^[A-Z_][A-Z0-9_]{0,10}$/).filter((each) => !each.startsWith("HEAVY_AGENT_"));
    const value = fc.string().filter((text) => !/\p{Cc}/u.test(text) && text.isWellFormed());
    const environments = fc.dictionary(name, value, { noNullPrototype: true, maxKeys: 5 });
    fc.assert(
      fc.property(environments, (environment) => {
        assert.equal(environmentFault(environment), undefined);
        // The quoting of systemd.exec(5) is the shell's for these: what sh reads is what systemd reads.
        const script = `${environmentText(environment)}${Object.keys(environment)
          .map((key) => `printf '%s\\n' "$${key}"\n`)
          .join("")}`;
        const read = spawnSync("sh", { input: script, encoding: "utf8", env: {} }).stdout;
        assert.equal(
          read,
          Object.values(environment)
            .map((text) => `${text}\n`)
            .join(""),
        );
      }),
      { numRuns: 20 },
    );
    const refused = environmentFault({ "a b": "x", HEAVY_AGENT_RUN_ID: "x", LINES: "canary\nb", OK: "x" });
    assert.match(refused ?? "", /^environment: a b, HEAVY_AGENT_RUN_ID, LINES: /);
    assert.ok(!refused?.includes("canary"));
  });

  it("say farewell over SSH, never fail, and leave no key behind", () => {
    const script = renderFarewell({ user: "admin", port: 2222 });
    const seen = inside("seen");
    tool(
      "ssh",
      `printf '%s\\n' "$@" >${seen}; while [ "$1" != -i ]; do shift; done; cat "$2" >>${seen}; stat -c %a "$2" >>${seen}`,
    );
    const env = { HIVE_HOST: "203.0.113.9" };
    assert.equal(ran(script, "the key", env).status, 0);
    const lines = readFileSync(seen, "utf8").split("\n");
    assert.ok(lines.includes("203.0.113.9") && lines.includes("2222") && lines.includes("the key"));
    assert.ok(lines.includes("600"), "only the owner may read the key");
    assert.ok(lines.some((line) => /^sudo -n \S*hive-agent farewell$/.test(line)));
    tool("ssh", "exit 255");
    const gone = ran(script, "the key", env);
    assert.equal(gone.status, 0);
    assert.match(gone.said, /no farewell from 203\.0\.113\.9 \(status 255\)/);
    const left = readdirSync(world).filter((name) => !["bin", "seen"].includes(name));
    assert.deepEqual(left, []);
    const pinned = renderFarewell({ user: "root", port: 22, hostKey: "ssh-ed25519 AAAA" });
    assert.match(pinned, /StrictHostKeyChecking=yes/);
    assert.doesNotMatch(pinned, /sudo/);
  });

  it("leave no key behind when a farewell is ended by a signal", async () => {
    const seen = inside("seen");
    tool("ssh", `: >${seen}; exec sleep 60`);
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
      rmSync(seen, { force: true });
      const env = { HIVE_HOST: "203.0.113.9", PATH: `${world}/bin:${process.env["PATH"] ?? ""}`, TMPDIR: world };
      const child = spawn("sh", ["-c", renderFarewell({ user: "root", port: 22 })], {
        env,
        stdio: ["pipe", "ignore", "ignore"],
      });
      const ended = once(child, "exit");
      child.stdin.end("the key");
      while (!existsSync(seen) && child.exitCode === null) await new Promise((resolve) => setTimeout(resolve, 5));
      const keys = (): string[] => readdirSync(world).filter((name) => name.startsWith("tmp."));
      assert.equal(keys().length, 1);
      const sentMs = performance.now();
      child.kill(signal);
      await ended;
      assert.deepEqual(keys(), [], signal);
      assert.notEqual(child.exitCode, 0, "it was not said");
      // Not at the end of the call, which takes 20 s.
      assert.ok(performance.now() - sentMs < 15_000);
    }
  });

  it("call the check elsewhere once when they install it, and fail when that fails", () => {
    systemctl();
    for (const folder of ["etc/systemd/system"]) mkdirSync(inside(folder), { recursive: true });
    const { create, delete: undo } = renderDeadMan();
    const done = ran(create, "https://hc.example/canary\n");
    assert.equal(done.status, 0, done.said);
    assert.equal(statSync(inside("etc/hive-dead-man/url")).mode & 0o777, 0o600);
    assert.match(calls(), /enable --quiet --now hive-dead-man\.timer\nsystemctl start hive-dead-man\.service\n/);
    assert.ok(!create.includes("canary"));
    assert.equal(ran(create, "").status, 1);
    assert.equal(ran(undo).status, 0);
    assert.deepEqual(readdirSync(inside("etc/systemd/system")), []);
    tool("systemctl", 'case "$*" in *start*) exit 1 ;; esac');
    tool("journalctl", "echo why");
    const failed = ran(create, "https://hc.example/x");
    assert.deepEqual([failed.status, failed.said], [1, "why\n"]);
  });
});
