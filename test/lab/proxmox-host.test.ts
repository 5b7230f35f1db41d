import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { lab, LabClient, record, rows, temporaryDirectory } from "../support/lab-client.ts";

describe("simulated Proxmox: host", () => {
  it("stages network changes, applies them by a task, and reverts what is not applied", async () => {
    const { client, pve } = await lab();
    try {
      const names = async (): Promise<unknown[]> =>
        rows((await client.call("GET", "/nodes/pve/network")).data).map((r) => [r["iface"], r["active"]]);
      await client.run("POST", "/nodes/pve/network", {
        iface: "vmbr1",
        type: "bridge",
        mtu: 9000,
        cidr: "10.10.1.1/24",
        autostart: 1,
      });
      assert.deepEqual(
        (await names()).find((n) => Array.isArray(n) && n[0] === "vmbr1"),
        ["vmbr1", undefined],
        "staged, not active",
      );
      await client.run("POST", "/nodes/pve/qemu", { vmid: 100, net0: "virtio,bridge=vmbr1" });
      assert.equal(await client.run("POST", "/nodes/pve/qemu/100/status/start"), "bridge 'vmbr1' does not exist");
      await client.run("DELETE", "/nodes/pve/network");
      assert.ok(!(await names()).some((n) => Array.isArray(n) && n[0] === "vmbr1"));
      await client.run("POST", "/nodes/pve/network", { iface: "vmbr1", type: "bridge" });
      assert.equal(
        (await client.call("POST", "/nodes/pve/network", { iface: "vmbr1", type: "bridge" })).errors["iface"],
        "interface already exists",
      );
      assert.equal(await client.run("PUT", "/nodes/pve/network"), "OK");
      assert.equal(await client.run("POST", "/nodes/pve/qemu/100/status/start"), "OK");
      const gateway = await client.call("POST", "/nodes/pve/network", {
        iface: "vmbr2",
        type: "bridge",
        cidr: "10.0.0.1/24",
        gateway: "10.0.0.254",
      });
      assert.equal(gateway.errors["gateway"], "Default gateway already exists on interface 'vmbr0'.");
      const port = await client.call("POST", "/nodes/pve/network", {
        iface: "vmbr2",
        type: "bridge",
        bridge_ports: "eno1",
      });
      assert.equal(port.errors["bridge_ports"], "eno1 is already used on interface 'vmbr0'.");
    } finally {
      await pve.close();
    }
  });

  it("shows files of the host's root as content, and answers 501 to what it does not know", async () => {
    const { client, pve } = await lab();
    try {
      const folder = join(pve.hostRoot, "var/lib/vz/snippets");
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, "user.yaml"), "#cloud-config\n");
      const list = rows((await client.call("GET", "/nodes/pve/storage/local/content", { content: "snippets" })).data);
      assert.deepEqual(
        list.map((f) => [f["volid"], f["size"]]),
        [["local:snippets/user.yaml", 14]],
      );
      await client.run("DELETE", `/nodes/pve/storage/local/content/${encodeURIComponent("local:snippets/user.yaml")}`);
      assert.deepEqual(
        rows((await client.call("GET", "/nodes/pve/storage/local/content", { content: "snippets" })).data),
        [],
      );
      const unknown = await client.call("GET", "/nodes/pve/ceph/status");
      assert.deepEqual([unknown.status, unknown.message], [501, "Method 'GET /nodes/pve/ceph/status' not implemented"]);
      assert.equal((await client.call("GET", "/lab/state")).status, 501);
      assert.match((await client.call("GET", "/nodes/other/status")).message, /hostname lookup 'other' failed/);
    } finally {
      await pve.close();
    }
  });

  it("puts a new firewall rule first, and refuses a writer who saw an older list", async () => {
    const { client, pve } = await lab();
    try {
      for (const dport of ["22", "8006"])
        await client.run("POST", "/cluster/firewall/rules", {
          type: "in",
          action: "ACCEPT",
          proto: "tcp",
          dport,
          enable: 1,
        });
      const list = rows((await client.call("GET", "/cluster/firewall/rules")).data);
      assert.deepEqual(
        list.map((r) => [r["pos"], r["dport"]]),
        [
          [0, "8006"],
          [1, "22"],
        ],
      );
      const digest = String(list[0]?.["digest"]);
      await client.run("PUT", "/cluster/firewall/rules/0", { moveto: 2, digest });
      assert.equal(record((await client.call("GET", "/cluster/firewall/rules/1")).data)["dport"], "8006");
      const stale = await client.call("DELETE", "/cluster/firewall/rules/0", { digest });
      assert.equal(stale.message, "detected modified configuration - file changed by other user? Try again.");
      assert.equal((await client.call("GET", "/cluster/firewall/rules/7")).message, "no rule at position 7");
    } finally {
      await pve.close();
    }
  });

  it("starts with strangers in the other fixture", async () => {
    const { client, pve } = await lab({ fixture: "occupied" });
    try {
      const guests = rows((await client.call("GET", "/cluster/resources", { type: "vm" })).data);
      assert.deepEqual(
        guests.map((g) => [g["vmid"], g["type"], g["status"]]),
        [
          [110, "lxc", "stopped"],
          [900, "qemu", "running"],
        ],
      );
      assert.ok(rows((await client.call("GET", "/storage")).data).some((s) => s["storage"] === "backup-usb"));
    } finally {
      await pve.close();
    }
  });

  it("fails as told: 500, dropped after the work, full storage; only root's socket may tell it", async () => {
    const { client, pve } = await lab();
    try {
      assert.equal((await client.call("POST", "/lab/faults", { kind: "500" })).status, 501);
      const root = { root: true };
      await client.run(
        "POST",
        "/lab/faults",
        { kind: "500", method: "GET", path: "^/version$", times: 2, message: "got timeout" },
        root,
      );
      for (const expected of [500, 500, 200]) assert.equal((await client.call("GET", "/version")).status, expected);
      await client.run("POST", "/lab/faults", { kind: "drop", method: "POST", path: "/qemu$", phase: "after" }, root);
      await assert.rejects(client.call("POST", "/nodes/pve/qemu", { vmid: 100 }));
      assert.equal(
        (await client.call("GET", "/nodes/pve/qemu/100/config")).status,
        200,
        "the work was done, the answer was lost",
      );
      await client.run("POST", "/lab/faults", { kind: "drop", method: "POST", path: "/qemu$" }, root);
      await assert.rejects(client.call("POST", "/nodes/pve/qemu", { vmid: 101 }));
      assert.equal((await client.call("GET", "/nodes/pve/qemu/101/config")).status, 500);
      await client.run("POST", "/lab/faults", { kind: "full-storage", storage: "local-zfs" }, root);
      assert.match(
        await client.run("POST", "/nodes/pve/qemu", { vmid: 102, scsi0: "local-zfs:1" }),
        /^unable to create VM 102 - zfs error: .*out of space$/,
      );
      assert.equal(
        (await client.call("GET", "/nodes/pve/qemu/102/config")).status,
        500,
        "a failed creation leaves nothing",
      );
      await client.run("DELETE", "/lab/faults", {}, root);
      assert.equal(await client.run("POST", "/nodes/pve/qemu", { vmid: 102, scsi0: "local-zfs:1" }), "OK");
      const events = rows((await client.call("GET", "/lab/events", {}, root)).data);
      assert.equal(events.filter((e) => e["kind"] === "fault").length, 4);
    } finally {
      await pve.close();
    }
  });

  it("recovers from SIGKILL during tasks: interrupted, unlocked, nothing half there", async () => {
    const stateDir = temporaryDirectory();
    const main = join(import.meta.dirname, "../../lab/proxmox/main.ts");
    const child = spawn(process.execPath, [main, "--state-dir", stateDir, "--task-delay-ms", "3000"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    try {
      const line = await new Promise<string>((resolve) =>
        createInterface({ input: child.stdout }).once("line", resolve),
      );
      const facts: { port: number; caCertFile: string; tokenFile: string; rootSocket: string } = JSON.parse(line);
      const client = new LabClient(facts);
      const upid = String((await client.call("POST", "/nodes/pve/qemu", { vmid: 100, scsi0: "local-zfs:8" })).data);
      await client.call("POST", "/pools", { poolid: "kept" }, { root: true });
      assert.equal(record((await client.call("GET", `/nodes/pve/tasks/${upid}/status`)).data)["status"], "running");
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGKILL");
      await ended;
      const again = await lab({ stateDir });
      try {
        const task = record((await again.client.call("GET", `/nodes/pve/tasks/${upid}/status`)).data);
        assert.deepEqual([task["status"], task["exitstatus"]], ["stopped", "unexpected status"]);
        assert.deepEqual(rows((await again.client.call("GET", "/nodes/pve/qemu")).data), []);
        assert.equal(
          rows((await again.client.call("GET", "/pools", {}, { root: true })).data)[0]?.["poolid"],
          "kept",
          "what was answered is on disk",
        );
        assert.equal(await again.client.run("POST", "/nodes/pve/qemu", { vmid: 100, scsi0: "local-zfs:8" }), "OK");
        assert.match(readFileSync(join(stateDir, "events.jsonl"), "utf8"), /"task-interrupted"/);
      } finally {
        await again.pve.close();
      }
    } finally {
      child.kill("SIGKILL");
    }
  });
});
