import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import ssh2 from "ssh2";
import { containedPath, isBelow } from "../../lab/host/contained-path.ts";
import { startHost } from "../../lab/host/index.ts";
import type { RunningHost } from "../../lab/host/index.ts";
import { generateKeyPair } from "../../lab/host/keys.ts";
import { Ports } from "../../lab/host/ports.ts";
import { skip } from "../run/skip.ts";
import { exec, login, openSftp, outcome, run } from "./host-client.ts";
import type { Login } from "./host-client.ts";
import { startFakeProxmox } from "./host-fake-api.ts";
import type { FakeProxmox } from "./host-fake-api.ts";

describe("lab host", function () {
  this.timeout(60_000);
  let stateDir: string;
  let api: FakeProxmox;
  let host: RunningHost;
  let root: Login;

  before(async () => {
    stateDir = mkdtempSync(join(tmpdir(), "lab-host-"));
    api = await startFakeProxmox(stateDir);
    host = await startHost({ stateDir, rootSocket: api.rootSocket, ports: new Ports(stateDir), guestPollMs: 50 });
    root = { port: host.port, privateKey: host.privateKey };
  });
  after(async () => {
    await host.close();
    await api.close();
    rmSync(stateDir, { recursive: true, force: true });
  });
  const needsCommands = (context: Mocha.Context): void => {
    if (host.limitation !== undefined) skip(context, host.limitation);
  };

  describe("login", () => {
    it("refuses an unknown key, a password and another user", async () => {
      const stranger = generateKeyPair().privateKey;
      await assert.rejects(login({ ...root, privateKey: stranger }), /authentication/i);
      await assert.rejects(login({ ...root, user: "admin" }), /authentication/i);
      await assert.rejects(
        new Promise((resolve, reject) => {
          const client = new ssh2.Client();
          client.on("ready", () => resolve(undefined));
          client.on("error", reject);
          client.connect({ host: "127.0.0.1", port: root.port, username: "root", password: "" });
        }),
        /authentication/i,
      );
    });

    it("keeps private keys readable by their owner alone", () => {
      for (const name of ["client", "host"]) assert.equal(statSync(join(stateDir, "keys", name)).mode & 0o777, 0o600);
      assert.equal(statSync(join(stateDir, "keys")).mode & 0o777, 0o700);
    });
  });

  describe("commands", () => {
    beforeEach(function () {
      needsCommands(this);
    });

    it("pass exit codes, signals, input and both streams through", async () => {
      const seven = await run(root, "cat; echo wrong >&2; exit 7", "typed");
      assert.deepEqual(seven, { code: 7, signal: undefined, stdout: "typed", stderr: "wrong\n" });
      const killed = await run(root, "kill -TERM $$");
      assert.equal(killed.signal, "SIGTERM");
    });

    it("write absolute paths into the private root and cannot write the system", async () => {
      const ran = await run(root, "echo '[Timer]' > /etc/systemd/system/x.timer && touch /usr/lib/should-not-exist");
      assert.notEqual(ran.code, 0);
      assert.match(ran.stderr, /Read-only file system/);
      assert.equal(readFileSync(join(host.root, "etc/systemd/system/x.timer"), "utf8"), "[Timer]\n");
      assert.equal(existsSync("/etc/systemd/system/x.timer"), false);
    });

    it("see neither the outside's files nor its network", async () => {
      const ran = await run(root, `test -e ${stateDir} && echo visible; cat /proc/net/dev | grep -c :`);
      assert.equal(ran.stdout.trim(), "1");
    });

    it("refuse environment that sshd of a Proxmox host would refuse", async () => {
      const client = await login(root);
      const seen = await new Promise<string>((resolve, reject) => {
        client.exec("echo $LC_ALL-$SECRET", { env: { LC_ALL: "C", SECRET: "x" } }, (error, channel) => {
          if (error !== undefined) return reject(error);
          channel.on("data", (chunk: Buffer) => resolve(chunk.toString()));
        });
      });
      client.end();
      assert.equal(seen, "C-\n");
    });

    it("die with their connection, children included", async () => {
      const client = await login(root);
      const alive = join(host.root, "tmp/alive");
      void exec(client, "while :; do date +%s%N > /tmp/alive; sleep 0.05; done & wait").catch(() => undefined);
      for (let tries = 0; !existsSync(alive) && tries < 200; tries += 1) await sleep(20);
      assert.equal(existsSync(alive), true);
      client.destroy();
      let last = "";
      for (let tries = 0; tries < 100; tries += 1) {
        await sleep(200);
        const now = readFileSync(alive, "utf8");
        if (now === last) return;
        last = now;
      }
      assert.fail("the command still runs after its connection has gone");
    });

    it("are killed when they write or run too long", async () => {
      const limits = { commandTimeoutSec: 1, maxOutputBytes: 100_000 };
      const folder = mkdtempSync(join(tmpdir(), "lab-limits-"));
      const small = await startHost({ stateDir: folder, rootSocket: api.rootSocket, ports: new Ports(folder), limits });
      try {
        const to = { port: small.port, privateKey: small.privateKey };
        const long = await run(to, "sleep 60");
        assert.equal(long.signal, "SIGKILL");
        assert.match(long.stderr, /longer than 1 s/);
        const wide = await run(to, "yes");
        assert.equal(wide.signal, "SIGKILL");
        assert.match(wide.stderr, /more than 100000 bytes/);
      } finally {
        await small.close();
        rmSync(folder, { recursive: true, force: true });
      }
    });
  });

  describe("file transfer", () => {
    it("writes and reads inside the private root", async () => {
      const client = await login(root);
      const sftp = await openSftp(client);
      assert.equal(
        await outcome((done) => sftp.writeFile("/var/lib/vz/snippets/a.yaml", "#cloud-config\n", done)),
        "ok",
      );
      assert.equal(await outcome((done) => sftp.chmod("/var/lib/vz/snippets/a.yaml", 0o640, done)), "ok");
      client.end();
      assert.equal(readFileSync(join(host.root, "var/lib/vz/snippets/a.yaml"), "utf8"), "#cloud-config\n");
      assert.equal(statSync(join(host.root, "var/lib/vz/snippets/a.yaml")).mode & 0o777, 0o640);
    });

    it("does not leave the private root by .. or by links", async () => {
      const outside = join(stateDir, "outside");
      writeFileSync(outside, "untouched");
      symlinkSync(stateDir, join(host.root, "tmp/out"));
      symlinkSync("../../../../../../..", join(host.root, "tmp/up"));
      const client = await login(root);
      const sftp = await openSftp(client);
      for (const path of [
        "/../../outside",
        "/../../../../../../etc/shadow",
        "/tmp/out/outside",
        `/tmp/up${outside}`,
        "/.lab/node",
        "/tmp/../.lab/pve.sock",
      ]) {
        const read = await outcome((done) => sftp.readFile(path, (error) => done(error)));
        assert.notEqual(read, "ok", `read ${path}`);
        await outcome((done) => sftp.writeFile(path, "changed", done));
      }
      // the target of a link made by the client itself is inside, too
      assert.equal(await outcome((done) => sftp.symlink(outside, "/tmp/mine", done)), "ok");
      assert.notEqual(await outcome((done) => sftp.readFile("/tmp/mine", (error) => done(error))), "ok");
      client.end();
      assert.equal(readFileSync(outside, "utf8"), "untouched");
    });

    it("keeps every path below the root, whatever is asked", () => {
      const parts = fc.array(fc.constantFrom("..", ".", "", "a", "etc", "tmp", "out", "up", "usr"), { maxLength: 12 });
      fc.assert(
        fc.property(parts, fc.boolean(), (names, followLast) => {
          assert.equal(isBelow(host.root, containedPath(host.root, names.join("/"), { followLast })), true);
        }),
      );
      assert.throws(() => containedPath(host.root, "a\0b", { followLast: true }), /NUL/);
    });
  });

  describe("tools", () => {
    beforeEach(function () {
      needsCommands(this);
    });

    it("qm set reaches the API, and its errors come back as the tool's", async () => {
      const set = await run(root, "/usr/sbin/qm set 200 --affinity 2-5,18-21 --cpuunits 10000");
      assert.equal(set.code, 0, set.stderr);
      assert.equal(api.guests.get("200")?.config["affinity"], "2-5,18-21");
      const wrong = await run(root, "qm set 200 --nonsense 1");
      assert.equal(wrong.code, 255);
      assert.match(wrong.stderr, /nonsense: property is not defined in schema/);
      const absent = await run(root, "qm config 999");
      assert.equal(absent.code, 255);
      assert.match(absent.stderr, /does not exist/);
      assert.equal((await run(root, "qm frobnicate 200")).code, 255);
    });

    it("uploads a snippet with the very commands that the bpg provider runs", async () => {
      const probe = `if [ "$(id -u)" = "0" ]; then echo "0"; elif [ $(sudo -n /usr/sbin/pvesm apiinfo 2>&1 | grep "APIVER" | wc -l) -gt 0 ] || sudo -n /usr/sbin/qm --help >/dev/null 2>&1; then echo "1"; else echo "0"; fi`;
      const bash = (script: string): string => `/bin/bash -c '${script.replaceAll("'", `'"'"'`)}'`;
      assert.equal((await run(root, bash(probe))).stdout.trim(), "0");
      const script = `export TRY_SUDO_USE_SUDO=0; try_sudo(){ if [ "$TRY_SUDO_USE_SUDO" = "1" ]; then sudo "$@"; else "$@"; fi; }; try_sudo /usr/bin/tee /var/lib/vz/snippets/user.yaml`;
      const sent = await run(root, bash(script), "#cloud-config\nhostname: x\n");
      assert.equal(sent.code, 0, sent.stderr);
      assert.equal(
        readFileSync(join(host.root, "var/lib/vz/snippets/user.yaml"), "utf8"),
        "#cloud-config\nhostname: x\n",
      );
      assert.equal(
        (await run(root, "/usr/sbin/pvesm path local:snippets/user.yaml")).stdout,
        "/var/lib/vz/snippets/user.yaml\n",
      );
    });

    it("systemctl keeps enablement and running state across a restart of the lab", async () => {
      const unit = "[Unit]\nDescription=t\n[Timer]\nOnCalendar=hourly\n[Install]\nWantedBy=timers.target\n";
      writeFileSync(join(host.root, "etc/systemd/system/snap.timer"), unit);
      assert.equal((await run(root, "systemctl is-active snap.timer")).code, 3);
      assert.equal((await run(root, "systemctl is-enabled snap.timer")).stdout, "disabled\n");
      const on = await run(root, "systemctl daemon-reload && systemctl enable --now snap.timer");
      assert.equal(on.code, 0, on.stderr);
      await host.close();
      host = await startHost({ stateDir, rootSocket: api.rootSocket, ports: new Ports(stateDir), guestPollMs: 50 });
      assert.equal(host.port, root.port);
      const still = await run(
        root,
        "systemctl is-active snap.timer; systemctl is-enabled snap.timer; systemctl list-timers",
      );
      assert.match(still.stdout, /^active\nenabled\n/);
      assert.match(still.stdout, /hourly {2}snap\.timer/);
      assert.equal((await run(root, "systemctl disable --now snap.timer; systemctl is-enabled snap.timer")).code, 1);
      const none = await run(root, "systemctl start nothing.service");
      assert.equal(none.code, 5);
      assert.match(none.stderr, /Unit nothing\.service not found/);
    });

    it("zfs and zpool create, inherit, refuse and destroy", async () => {
      const made = await run(
        root,
        "zpool create -o ashift=12 -O compression=lz4 tank mirror /dev/sda /dev/sdb && zfs create -p tank/vm/disks && zfs snapshot -r tank@one",
      );
      assert.equal(made.code, 0, made.stderr);
      assert.equal((await run(root, "zfs list -H -o name -r tank")).stdout, "tank\ntank/vm\ntank/vm/disks\n");
      assert.equal(
        (await run(root, "zfs get -H -o value,source compression tank/vm")).stdout,
        "lz4\tinherited from tank\n",
      );
      const busy = await run(root, "zpool create other /dev/sda");
      assert.equal(busy.code, 1);
      assert.match(busy.stderr, /part of active pool 'tank'/);
      const kept = await run(root, "zfs destroy tank/vm");
      assert.equal(kept.code, 1);
      assert.match(kept.stderr, /use '-r'/);
      assert.equal(
        (await run(root, "zfs destroy -r tank/vm && zpool destroy tank && zpool list -H -o name")).stdout,
        "rpool\n",
      );
      assert.equal((await run(root, "zfs create nopool/x")).code, 1);
    });

    it("two tools at once lose nothing", async () => {
      const many = Array.from({ length: 6 }, (_, index) => run(root, `zfs create rpool/data/p${index}`));
      for (const ran of await Promise.all(many)) assert.equal(ran.code, 0, ran.stderr);
      const listed = await run(root, "zfs list -H -o name -r rpool/data");
      assert.equal(listed.stdout.split("\n").filter((line) => /\/p\d$/.test(line)).length, 6);
    });
  });

  describe("guests", () => {
    it("answer with their cloud-init key while they run, and leave nothing when they are gone", async () => {
      const key = generateKeyPair();
      const config = {
        name: "brain",
        ostype: "l26",
        ciuser: "hive",
        sshkeys: encodeURIComponent(`${key.publicKey} me\n`),
      };
      api.guests.set("100", { status: "running", config });
      await host.guests.refresh();
      const [guest] = host.guests.list();
      assert.equal(guest?.vmid, 100);
      const to = { port: guest.port, privateKey: key.privateKey, user: "hive" };
      if (host.limitation === undefined) assert.equal((await run(to, "hostname")).stdout, "brain\n");
      else (await login(to)).end();
      await assert.rejects(login({ ...to, user: "root" }), /authentication/i);
      api.guests.delete("100");
      await host.guests.refresh();
      assert.deepEqual(host.guests.list(), []);
      assert.equal(existsSync(join(stateDir, "roots/guest-100")), false);
      await assert.rejects(login(to));
    });

    it("Windows guests have no SSH", async () => {
      api.guests.set("200", { status: "running", config: { name: "trading-floor", ostype: "win10" } });
      await host.guests.refresh();
      assert.deepEqual(host.guests.list(), []);
    });
  });
});
