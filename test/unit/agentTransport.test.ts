/** An agent whose signals come by SSH: what is opened for them, what its runner tells, and what its server lets in. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { planHeavyAgent, type HeavyAgentSpec } from "../../components/shared/vps/heavyAgentPlan.ts";
import { proxmoxOffers } from "../../components/shared/vps/serverPlan.ts";
import { authorizedLine, renderSshDoor, shutSshDoor } from "../../components/shared/vps/sshDoor.ts";
import { authorizedKeyOf } from "../../lab/host/authorized-keys.ts";

const key = `ssh-ed25519 ${"A".repeat(68)}`;
const spec: HeavyAgentSpec = {
  ...{ name: "x", estate: "hive", kind: "browser-light", created: "2026-11-21T11:00:00Z", ttlSec: 86_400 },
  ...{ mode: {}, sentinel: { host: "198.51.100.4", port: 8944, sshKey: key }, transport: "ssh" },
  ...{ runnerAddress: "203.0.113.50:8943", sshAddress: "203.0.113.50:22", adminCidrs: ["203.0.113.7/32"] },
  ...{ release: { version: "1.0.0", sha256: "a".repeat(64) }, healthSec: 60, sourcesSha256: "b".repeat(64) },
};
const place = {
  ...{ provider: "proxmox" as const, offers: proxmoxOffers, budget: { centsPerMonth: 0 } },
  nowMs: Date.UTC(2026, 10, 21, 12),
};

describe("an agent whose signals come by SSH", () => {
  it("has no port but sshd's open, to administrators and the Sentinel; its runner tells that way", () => {
    const plan = planHeavyAgent(spec, place);
    assert.ok(plan.ok);
    const { openings, runner, door } = plan.value;
    assert.deepEqual(
      openings.map(({ port, from }) => [port, from]),
      [[22, ["203.0.113.7/32", "198.51.100.4"]]],
    );
    assert.deepEqual(runner.ssh, { address: "203.0.113.50:22", user: "hive-signal" });
    assert.equal(runner.listen, "127.0.0.1:8943");
    assert.deepEqual(door, { agent: "x", key, from: ["198.51.100.4/32"] });
    // As the firewall has it, which lets the whole network in.
    const wide = planHeavyAgent({ ...spec, sentinel: { ...spec.sentinel, from: ["10.10.1.5/24"] } }, place);
    assert.ok(wide.ok);
    assert.deepEqual(wide.value.door?.from, ["10.10.1.0/24"]);
  });

  it("is refused without the Sentinel's key; by HTTP it needs none and opens its port as ever", () => {
    const { sshKey: _, ...sentinel } = spec.sentinel;
    const refused = planHeavyAgent({ ...spec, sentinel }, place);
    assert.deepEqual(refused.ok ? [] : refused.faults.map(({ property }) => property), ["sentinel.sshKey"]);
    const plain = planHeavyAgent({ ...spec, sentinel, transport: undefined }, place);
    assert.ok(plain.ok);
    const { openings, runner, door } = plain.value;
    assert.deepEqual(
      openings.map(({ port }) => port),
      [22, 8943],
    );
    assert.deepEqual([runner.ssh, runner.listen, door], [undefined, undefined, undefined]);
  });

  it("lets the Sentinel's key run one command from one place, by an account without a password", () => {
    const world = mkdtempSync(join(tmpdir(), "ssh-door-"));
    try {
      for (const folder of ["bin", "etc/ssh", "var/lib"]) mkdirSync(join(world, folder), { recursive: true });
      for (const [name, text] of Object.entries({ getent: "exit 2", useradd: "", usermod: "" })) {
        writeFileSync(join(world, "bin", name), `#!/bin/sh\necho "${name} $*" >>${world}/calls\n${text}\n`);
        chmodSync(join(world, "bin", name), 0o755);
      }
      const door = { agent: "x", key, from: ["198.51.100.4", "10.0.0.0/8"] };
      const script = renderSshDoor(door).replace(/(?<![\w/.$}"-])\/(etc|var)\//g, `${world}/$1/`);
      const run = () =>
        spawnSync("sh", ["-c", script], {
          encoding: "utf8",
          env: { PATH: `${world}/bin:${process.env["PATH"] ?? ""}` },
        });
      assert.match(run().stderr, /no SSH host key of ed25519/);
      writeFileSync(join(world, "etc/ssh/ssh_host_ed25519_key.pub"), key);
      assert.equal(run().status, 0);
      const file = join(world, "var/lib/hive-signal/.ssh/authorized_keys");
      const line = `restrict,command="/opt/hive-agent/current/bin/hive-agent signal --name x",from="198.51.100.4,10.0.0.0/8" ${key} hive-sentinel\n`;
      assert.equal(readFileSync(file, "utf8"), line);
      assert.equal(statSync(file).mode & 0o777, 0o644);
      assert.match(readFileSync(join(world, "calls"), "utf8"), /usermod --password \* hive-signal/);
    } finally {
      rmSync(world, { recursive: true });
    }
  });

  it("is shut again without a trace; where there never was one nothing is done", () => {
    const world = mkdtempSync(join(tmpdir(), "ssh-door-"));
    try {
      for (const folder of ["bin", "var/lib/hive-signal/.ssh"]) mkdirSync(join(world, folder), { recursive: true });
      for (const [name, text] of Object.entries({
        getent: `[ -e ${world}/account ]`,
        userdel: `rm ${world}/account`,
      })) {
        writeFileSync(join(world, "bin", name), `#!/bin/sh\necho "${name} $*" >>${world}/calls\n${text}\n`);
        chmodSync(join(world, "bin", name), 0o755);
      }
      writeFileSync(join(world, "account"), "");
      const script = `set -eu\n${shutSshDoor}`.replaceAll("/var/", `${world}/var/`);
      for (const round of ["open", "shut"]) {
        const { status, stderr } = spawnSync("sh", ["-c", script], {
          encoding: "utf8",
          env: { PATH: `${world}/bin:${process.env["PATH"] ?? ""}` },
        });
        assert.deepEqual([status, stderr], [0, ""], round);
        assert.equal(existsSync(join(world, "var/lib/hive-signal")), false);
      }
      assert.equal(
        readFileSync(join(world, "calls"), "utf8"),
        "getent passwd hive-signal\nuserdel --force hive-signal\ngetent passwd hive-signal\n",
      );
    } finally {
      rmSync(world, { recursive: true });
    }
  });

  it("is understood by the lab's SSH servers: the command of the key runs, whatever is asked for", () => {
    const door = { agent: "x", key, from: ["198.51.100.4", "10.0.0.0/8"] };
    assert.deepEqual(authorizedKeyOf(authorizedLine(door)), {
      type: "ssh-ed25519",
      base64: "A".repeat(68),
      command: "/opt/hive-agent/current/bin/hive-agent signal --name x",
    });
    assert.deepEqual(authorizedKeyOf(`${key} somebody`), { type: "ssh-ed25519", base64: "A".repeat(68) });
    assert.equal(authorizedKeyOf('command="x" nonsense'), undefined);
  });
});
