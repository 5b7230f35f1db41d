import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer } from "node:net";
import { RootApi } from "../../lab/host/root-api.ts";
import { findLab, LabAlreadyRunning, startLab, startLabProcess, stopLabProcess } from "../../lab/index.ts";
import type { LabInfo, StartProxmox } from "../../lab/index.ts";
import { run } from "./host-client.ts";
import { startFakeProxmox } from "./host-fake-api.ts";

const fake: StartProxmox = (options) => startFakeProxmox(options.stateDir, options.port);

describe("lab", function () {
  this.timeout(120_000);
  let stateDir: string;
  beforeEach(() => {
    stateDir = join(mkdtempSync(join(tmpdir(), "lab-whole-")), "state");
  });
  afterEach(() => rmSync(join(stateDir, ".."), { recursive: true, force: true }));

  describe("in this process", () => {
    it("is found while it lives, keeps its ports, and refuses a second one on its folder", async () => {
      const first = await startLab({ stateDir }, { startProxmox: fake });
      const found = await findLab(stateDir);
      assert.equal(found?.ssh.port, first.info().ssh.port);
      assert.equal(found.adminAddress, "192.168.1.50");
      assert.equal(statSync(join(stateDir, "lab.json")).mode & 0o777, 0o600);
      assert.equal(statSync(stateDir).mode & 0o777, 0o700);
      await assert.rejects(startLab({ stateDir }, { startProxmox: fake }), LabAlreadyRunning);
      await first.close();
      assert.equal(await findLab(stateDir), undefined);
      const second = await startLab({ stateDir }, { startProxmox: fake });
      const { ssh, pageUrl } = second.info();
      await second.close();
      assert.equal(ssh.port, found.ssh.port);
      assert.equal(ssh.hostPublicKey, found.ssh.hostPublicKey);
      assert.equal(new URL(pageUrl).port, new URL(found.pageUrl).port);
      assert.notEqual(pageUrl, found.pageUrl, "the page's token is new at each start");
    });

    it("does not believe a file or a lock whose process is another one by now", async () => {
      const lab = await startLab({ stateDir }, { startProxmox: fake });
      const info: LabInfo = lab.info();
      await lab.close();
      // as after SIGKILL, with the pid in use again by a process that started at another time
      writeFileSync(join(stateDir, "lab.json"), JSON.stringify({ ...info, pid: process.pid, processStart: "1" }));
      writeFileSync(join(stateDir, "lab.lock"), JSON.stringify({ pid: process.pid, processStart: "1" }));
      assert.equal(await findLab(stateDir), undefined);
      const again = await startLab({ stateDir }, { startProxmox: fake });
      assert.equal((await findLab(stateDir))?.pid, process.pid);
      await again.close();
    });

    it("names the port that another program has, and leaves nothing behind", async () => {
      const other = createServer();
      await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
      const address = other.address();
      const sshPort = typeof address === "object" && address !== null ? address.port : 0;
      await assert.rejects(
        startLab({ stateDir, sshPort }, { startProxmox: fake }),
        new RegExp(`SSH port ${sshPort} .*--ssh-port`),
      );
      other.close();
      assert.equal(existsSync(join(stateDir, "lab.lock")), false);
      await (await startLab({ stateDir, sshPort }, { startProxmox: fake })).close();
    });
  });

  describe("as a process, with the real API", () => {
    it("comes back after SIGKILL with the same ports, keys and guests", async () => {
      const first = await startLabProcess(stateDir, { taskDelayMs: 0 });
      try {
        const privateKey = readFileSync(first.ssh.privateKeyFile, "utf8");
        const to = { port: first.ssh.port, privateKey };
        if (first.limitation === undefined) {
          const made = await run(
            to,
            "qm create 300 --name worker --memory 512 --cores 1 --ostype l26 && qm set 300 --affinity 4-5 && systemctl --version >/dev/null; echo kept > /root/kept",
          );
          assert.equal(made.code, 0, made.stderr);
        }
        await assert.rejects(startLabProcess(stateDir), LabAlreadyRunning);
        process.kill(first.pid, "SIGKILL");
        while ((await findLab(stateDir)) !== undefined) await new Promise((resolve) => setTimeout(resolve, 20));
        const second = await startLabProcess(stateDir, { taskDelayMs: 0 });
        assert.equal(second.ssh.port, first.ssh.port);
        assert.equal(second.apiUrl, first.apiUrl);
        assert.equal(second.ssh.hostPublicKey, first.ssh.hostPublicKey);
        if (second.limitation === undefined) {
          const read = await run(
            to,
            "cat /root/kept; qm config 300 | grep affinity; echo '#cloud-config' > /var/lib/vz/snippets/u.yaml",
          );
          assert.equal(read.stdout, "kept\naffinity: 4-5\n", read.stderr);
          const api = new RootApi(second.rootSocket);
          assert.equal(Object(await api.get("/nodes/pve/qemu/300/config")).affinity, "4-5");
          const content = await api.list("/nodes/pve/storage/local/content");
          assert.equal(
            content.some((row) => row["volid"] === "local:snippets/u.yaml"),
            true,
          );
        }
        await stopLabProcess(second);
        assert.equal(existsSync(join(stateDir, "lab.json")), false);
      } finally {
        const live = await findLab(stateDir);
        if (live !== undefined) await stopLabProcess(live);
      }
    });
  });
});
