import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hostKeyIn, keepHostKey, renderHostKey } from "../../components/shared/vps/hostKey.ts";

const key = `ssh-ed25519 ${"A".repeat(68)}`;

describe("the host key of a new server", () => {
  let world = "";
  beforeEach(() => {
    world = mkdtempSync(join(tmpdir(), "host-key-"));
  });
  afterEach(() => rmSync(world, { recursive: true }));

  const tool = (name: string, text: string): void => {
    writeFileSync(join(world, name), `#!/bin/sh\n${text}\n`);
    chmodSync(join(world, name), 0o755);
  };
  const ran = (script: string, env: Readonly<Record<string, string>>) => {
    const done = spawnSync("sh", ["-c", script], {
      encoding: "utf8",
      env: { PATH: `${world}:${process.env["PATH"] ?? ""}`, ...env },
    });
    return [done.status, done.stdout, done.stderr] as const;
  };
  const at = { HIVE_HOST: "203.0.113.5", HIVE_PORT: "22" };

  it("is the one that was told; then the server is not asked, and nothing is said", () => {
    tool("ssh-keyscan", `: >${world}/asked`);
    assert.deepEqual(ran(renderHostKey(), { ...at, HIVE_HOST_KEY: key }), [0, key, ""]);
    assert.equal(existsSync(join(world, "asked")), false);
  });

  it("is else the first that it shows, once it answers; which is said with its fingerprint", () => {
    tool("sleep", "");
    tool("ssh-keygen", "echo '256 SHA256:abc no comment (ED25519)'");
    tool(
      "ssh-keyscan",
      `echo "$*" >>${world}/asked; [ "$(wc -l <${world}/asked)" -ge 3 ] && echo "# banner" && echo "[203.0.113.5]:22 ${key}"`,
    );
    const [status, stdout, stderr] = ran(renderHostKey(), { ...at, HIVE_HOST_KEY: "" });
    assert.deepEqual([status, stdout], [0, key]);
    assert.match(stderr, /^203\.0\.113\.5: nobody could say beforehand .* It showed SHA256:abc, which is kept/);
    assert.equal(readFileSync(join(world, "asked"), "utf8"), "-T 5 -t ed25519 -p 22 203.0.113.5\n".repeat(3));
  });

  it("is of a container the one that root on its host reads there; whoever cannot be asked ends it", () => {
    tool("ssh-keyscan", `: >${world}/asked`);
    tool("ssh", `echo "$*" >${world}/line; [ ! -e ${world}/down ] && echo "${key} root@agent-x"`);
    const env = { ...at, HIVE_HOST_KEY: "", HIVE_CONTAINER: "310", HIVE_PROXMOX_SSH: "root@pve" };
    assert.deepEqual(ran(renderHostKey(), env), [0, key, ""]);
    assert.match(
      readFileSync(join(world, "line"), "utf8"),
      /StrictHostKeyChecking=yes .*-- root@pve pct exec 310 -- cat \/etc\/ssh\/ssh_host_ed25519_key\.pub$/m,
    );
    writeFileSync(join(world, "down"), "");
    assert.equal(ran(renderHostKey(), env)[0], 1);
    assert.equal(existsSync(join(world, "asked")), false);
  });

  it("is none where something else is told than one, by whomever: what was told is shown", () => {
    tool("ssh-keyscan", `: >${world}/asked`);
    tool("ssh", `cat ${world}/says`);
    const env = { ...at, HIVE_HOST_KEY: "", HIVE_CONTAINER: "310", HIVE_PROXMOX_SSH: "root@pve" };
    for (const said of ["", "Welcome to pve\n", `Welcome to pve\n${key} root@agent-x\n`, "ssh-ed25519 AAAA\n"]) {
      writeFileSync(join(world, "says"), said);
      const [status, stdout, stderr] = ran(renderHostKey(), env);
      assert.deepEqual([status, stdout], [1, ""], said);
      assert.match(stderr, /root@pve: .*no SSH host key of the form ssh-ed25519 AAAA….*: /);
      assert.ok(stderr.endsWith(`: ${said.startsWith("Welcome") ? "Welcome to" : said.trim()}\n`), stderr);
    }
    for (const given of ["AAAA", `ssh-rsa ${"A".repeat(68)}`, `${key}\nmore`, `${key}; more`]) {
      const [status, stdout, stderr] = ran(renderHostKey(), { ...at, HIVE_HOST_KEY: given });
      assert.deepEqual([status, stdout], [1, ""], given);
      assert.match(stderr, /no SSH host key of the form/);
    }
    assert.equal(existsSync(join(world, "asked")), false);
  });

  it("is none of a server that never answers", () => {
    tool("sleep", "");
    tool("ssh-keyscan", "exit 1");
    const [status, stdout, stderr] = ran(renderHostKey(), { ...at, HIVE_HOST_KEY: "" });
    assert.deepEqual([status, stdout], [1, ""]);
    assert.match(stderr, /no SSH server with a key of ed25519 answers at 203\.0\.113\.5 port 22/);
  });

  it("stays what it was when the script, the address or what a provider says changes", () => {
    assert.deepEqual(ran(keepHostKey, { PULUMI_COMMAND_STDOUT: key }), [0, key, ""]);
  });

  it("is read out of Lightsail's answer, whether it has its type before it or not", () => {
    const answer = (...hostKeys: unknown[]) => ({ accessDetails: { hostKeys } });
    const rsa = { algorithm: "ssh-rsa", publicKey: "B".repeat(68) };
    for (const publicKey of ["A".repeat(68), key, `${key} root@host`])
      assert.equal(hostKeyIn(answer(rsa, { algorithm: "ssh-ed25519", publicKey })), key);
    for (const none of [answer(), answer(rsa), {}, undefined, answer({ algorithm: "ssh-ed25519", publicKey: "x" })])
      assert.equal(hostKeyIn(none), undefined);
  });
});
