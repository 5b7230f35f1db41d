import assert from "node:assert/strict";
import type { RunningProxmox } from "../../lab/proxmox/index.ts";
import { lab, type LabClient, record, rows } from "../support/lab-client.ts";

const VM = "/nodes/pve/qemu";
const CT = "/nodes/pve/lxc";

describe("simulated Proxmox: guests", () => {
  let pve: RunningProxmox;
  let client: LabClient;
  before(async () => ({ pve, client } = await lab({ bootDelayMs: 10 })));
  after(() => pve.close());

  const config = async (path: string): Promise<Record<string, unknown>> =>
    record((await client.call("GET", `${path}/config`)).data);
  const volumes = async (): Promise<unknown[]> =>
    rows((await client.call("GET", "/nodes/pve/storage/local-zfs/content")).data).map((v) => v["volid"]);
  const agentReady = async (vmid: number): Promise<void> => {
    for (let n = 0; n < 500; n += 1) {
      if ((await client.call("POST", `${VM}/${vmid}/agent/ping`)).status === 200) return;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    assert.fail("the guest agent never answers");
  };

  it("runs a VM's whole life: create, configure, start, agent, resize, destroy", async () => {
    assert.equal(
      await client.run("POST", VM, {
        vmid: 100,
        name: "brain",
        memory: 4096,
        cores: 2,
        agent: "1",
        scsi0: "local-zfs:32,iothread=1",
        ide2: "file=local-zfs:cloudinit,media=cdrom",
        net0: "model=virtio,bridge=vmbr0,firewall=1",
        ipconfig0: "ip=192.168.1.20/24,gw=192.168.1.1",
        tags: "ZED;ai;ai",
      }),
      "OK",
    );
    const made = await config(`${VM}/100`);
    assert.equal(made["scsi0"], "local-zfs:vm-100-disk-0,iothread=1,size=32G");
    assert.equal(made["ide2"], "local-zfs:vm-100-cloudinit,media=cdrom,size=4M");
    assert.match(String(made["net0"]), /^virtio=BC:24:11(:[0-9A-F]{2}){3},bridge=vmbr0,firewall=1$/);
    assert.deepEqual([made["tags"], made["cores"], made["memory"]], ["ai;zed", 2, "4096"]);
    assert.equal((await client.call("POST", `${VM}/100/agent/ping`)).message, "VM 100 is not running");
    assert.equal(await client.run("POST", `${VM}/100/status/start`), "OK");
    assert.equal((await client.call("POST", `${VM}/100/status/start`)).message, "VM 100 already running");
    await agentReady(100);
    const { result } = record((await client.call("GET", `${VM}/100/agent/network-get-interfaces`)).data);
    assert.deepEqual(rows(rows(result)[1]?.["ip-addresses"])[0]?.["ip-address"], "192.168.1.20");
    assert.equal(await client.run("PUT", `${VM}/100/resize`, { disk: "scsi0", size: "+8G" }), "OK");
    assert.equal((await config(`${VM}/100`))["scsi0"], "local-zfs:vm-100-disk-0,iothread=1,size=40G");
    assert.equal(
      (await client.call("PUT", `${VM}/100/resize`, { disk: "scsi0", size: "1G" })).message,
      "shrinking disks is not supported",
    );
    assert.equal((await client.call("DELETE", `${VM}/100`)).message, "VM 100 is running - destroy failed");
    await client.run("POST", `${VM}/100/status/stop`);
    assert.equal(await client.run("DELETE", `${VM}/100`), "OK");
    const gone = await client.call("GET", `${VM}/100/status/current`);
    assert.deepEqual(
      [gone.status, gone.message],
      [500, "Configuration file 'nodes/pve/qemu-server/100.conf' does not exist"],
    );
    assert.deepEqual(await volumes(), []);
  });

  it("refuses a taken id, and every faulty parameter at once", async () => {
    await client.run("POST", VM, { vmid: 110 });
    const taken = await client.call("POST", VM, { vmid: 110 });
    assert.equal(taken.message, "unable to create VM 110 - VM 110 already exists on node 'pve'");
    const bad = await client.call("POST", VM, { vmid: 111, cores: 0, name: "a_b", memory: "many" });
    assert.equal(bad.status, 400);
    assert.deepEqual(Object.keys(bad.errors).sort(), ["cores", "memory", "name"]);
    const unknown = await client.call("POST", VM, { vmid: 111, colour: "red" });
    assert.deepEqual(Object.keys(unknown.errors), ["colour"]);
  });

  it("holds the create lock while the task runs", async () => {
    const slow = await lab({ taskDelayMs: 400 });
    try {
      const { data } = await slow.client.call("POST", VM, { vmid: 100 });
      assert.match(String(data), /^UPID:pve:[0-9A-F]{8}:[0-9A-F]{8}:[0-9A-F]{8}:qmcreate:100:hive@pve!pulumi:$/);
      assert.equal(record((await slow.client.call("GET", `${VM}/100/config`)).data)["lock"], "create");
      assert.equal((await slow.client.call("PUT", `${VM}/100/config`, { name: "x" })).message, "VM is locked (create)");
      assert.equal((await slow.client.call("POST", `${VM}/100/status/start`)).message, "VM is locked (create)");
      assert.equal(await slow.client.wait(String(data)), "OK");
      assert.equal((await slow.client.call("PUT", `${VM}/100/config`, { name: "x" })).status, 200);
    } finally {
      await slow.pve.close();
    }
  });

  it("keeps what a running VM cannot take as pending until it is started anew", async () => {
    await client.run("POST", VM, { vmid: 120, memory: 2048, shares: 0, balloon: 1024 });
    await client.run("POST", `${VM}/120/status/start`);
    await client.run("PUT", `${VM}/120/config`, { cores: 4, name: "later" });
    const pending = rows((await client.call("GET", `${VM}/120/pending`)).data);
    assert.deepEqual(
      pending.filter((r) => r["pending"] !== undefined),
      [{ key: "cores", pending: 4 }],
    );
    assert.equal((await client.call("GET", `${VM}/120/config`, { current: 1 })).status, 200);
    // shares=0: the balloon is moved at once.
    await client.run("PUT", `${VM}/120/config`, { balloon: 1536 });
    assert.equal(record((await client.call("GET", `${VM}/120/status/current`)).data)["balloon"], 1536 * 1024 ** 2);
    await client.run("POST", `${VM}/120/status/reboot`);
    assert.equal(record((await client.call("GET", `${VM}/120/status/current`)).data)["cpus"], 4);
    const stale = await client.call("PUT", `${VM}/120/config`, { cores: 2, digest: "0".repeat(40) });
    assert.equal(stale.message, "checksum mismatch (file change by other user?)");
    await client.run("POST", `${VM}/120/status/suspend`);
    assert.equal(record((await client.call("GET", `${VM}/120/status/current`)).data)["qmpstatus"], "paused");
    await client.run("POST", `${VM}/120/status/stop`);
  });

  it("starts only what fits: memory, bridges, one holder of a PCI device", async () => {
    await client.run("POST", "/cluster/mapping/pci", {
      id: "gpu",
      map: "node=pve,path=0000:01:00.0,id=10de:2204,iommugroup=12",
    });
    await client.run("POST", VM, { vmid: 130, memory: 65536, hostpci0: "mapping=gpu,pcie=1", machine: "q35" });
    await client.run("POST", VM, { vmid: 131, memory: 1024, hostpci0: "mapping=gpu" });
    await client.run("POST", VM, { vmid: 132, memory: 65536 });
    await client.run("POST", VM, { vmid: 133, net0: "virtio,bridge=vmbr7" });
    assert.equal(await client.run("POST", `${VM}/130/status/start`), "OK");
    assert.equal(
      await client.run("POST", `${VM}/131/status/start`),
      "PCI device '0000:01:00.0' already in use by VMID '130'",
    );
    assert.equal(await client.run("POST", `${VM}/132/status/start`), "start failed: QEMU exited with code 1");
    assert.equal(await client.run("POST", `${VM}/133/status/start`), "bridge 'vmbr7' does not exist");
    await client.run("POST", `${VM}/130/status/stop`);
    assert.equal(await client.run("POST", `${VM}/131/status/start`), "OK");
    assert.equal(await client.run("POST", `${VM}/132/status/start`), "OK");
    for (const vmid of [131, 132]) await client.run("POST", `${VM}/${vmid}/status/stop`);
  });

  it("downloads a template, and runs a container's whole life", async () => {
    const sum = "a".repeat(64);
    const url = "https://mirror.example/alpine-3.22-default_amd64.tar.xz";
    assert.equal(
      await client.run("POST", "/nodes/pve/storage/local/download-url", {
        content: "vztmpl",
        filename: "alpine.tar.xz",
        url,
        checksum: sum,
        "checksum-algorithm": "sha256",
      }),
      "OK",
    );
    const meta = record((await client.call("GET", "/nodes/pve/query-url-metadata", { url })).data);
    const file = rows((await client.call("GET", "/nodes/pve/storage/local/content", { content: "vztmpl" })).data)[0];
    assert.deepEqual([file?.["volid"], file?.["size"]], ["local:vztmpl/alpine.tar.xz", meta["size"]]);
    const params = {
      vmid: 300,
      ostemplate: "local:vztmpl/alpine.tar.xz",
      hostname: "w300",
      rootfs: "local-zfs:4",
      unprivileged: 1,
      net0: "name=eth0,bridge=vmbr0,ip=10.0.0.3/24",
    };
    const missing = await client.call("POST", CT, { ...params, ostemplate: "local:vztmpl/none.tar.xz" });
    assert.match(missing.message, /does not exist/);
    assert.equal(await client.run("POST", CT, params), "OK");
    assert.equal((await config(`${CT}/300`))["rootfs"], "local-zfs:subvol-300-disk-0,size=4G");
    await client.run("POST", `${CT}/300/status/start`);
    const [, eth0] = rows((await client.call("GET", `${CT}/300/interfaces`)).data);
    assert.equal(eth0?.["inet"], "10.0.0.3/24");
    const device = await client.call("PUT", `${CT}/300/config`, { dev0: "/dev/dri/card0" });
    assert.deepEqual(
      [device.status, device.message],
      [403, "Permission check failed (configuring device passthrough is only allowed for root@pam)"],
    );
    await client.run("POST", `${CT}/300/status/stop`);
    assert.equal(await client.run("DELETE", `${CT}/300`), "OK");
  });

  it("clones, snapshots, makes a template and moves a disk", async () => {
    await client.run("POST", VM, { vmid: 140, scsi0: "local-zfs:4", net0: "virtio,bridge=vmbr0" });
    assert.equal(await client.run("POST", `${VM}/140/clone`, { newid: 141, name: "copy", full: 1 }), "OK");
    const [source, copy] = [await config(`${VM}/140`), await config(`${VM}/141`)];
    assert.equal(copy["scsi0"], "local-zfs:vm-141-disk-0,size=4G");
    assert.notEqual(copy["net0"], source["net0"]);
    // The token's role holds no snapshots: nothing of the estate takes one.
    await client.run("POST", `${VM}/140/snapshot`, { snapname: "before" }, { root: true });
    assert.equal(
      (await client.call("POST", `${VM}/140/snapshot`, { snapname: "before" }, { root: true })).message,
      "snapshot name 'before' already used",
    );
    await client.run("DELETE", `${VM}/140/snapshot/before`, {}, { root: true });
    assert.equal(await client.run("POST", `${VM}/140/template`), "OK");
    assert.equal((await config(`${VM}/140`))["scsi0"], "local-zfs:base-140-disk-0,size=4G");
    assert.equal(
      (await client.call("POST", `${VM}/141/move_disk`, { disk: "scsi0", storage: "local-zfs" })).message,
      "you can't move to the same storage with same format",
    );
    assert.equal(await client.run("PUT", `${VM}/141/config`, { delete: "scsi0" }), "OK");
    assert.equal((await config(`${VM}/141`))["unused0"], "local-zfs:vm-141-disk-0");
    await client.run("PUT", `${VM}/141/config`, { delete: "unused0" });
    assert.ok(!(await volumes()).includes("local-zfs:vm-141-disk-0"));
  });
});
