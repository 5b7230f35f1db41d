import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { hostRootFolder, type LabInfo, startLabProcess } from "../../lab/index.ts";
import { compareSnapshots, readRoot, takeHostSnapshot } from "../support/hostSnapshot.ts";
import { LabClient, record } from "../support/lab-client.ts";
import { Hive, stackFrames } from "./hive.ts";

const parse = (text: string): Record<string, unknown> => record(JSON.parse(text));

/** Resources of the stack's state by URN. */
function stateOf(hive: Hive): Map<string, Record<string, unknown>> {
  const file = join(hive.folder, "backend", ".pulumi", "stacks", "hive", "genesis.json");
  const latest = record(record(parse(readFileSync(file, "utf8"))["checkpoint"])["latest"]);
  const { resources } = latest;
  return new Map(
    (Array.isArray(resources) ? resources : []).map((each) => [String(record(each)["urn"]), record(each)]),
  );
}

const vmUrn = "urn:pulumi:genesis::hive::hive:index:ProxmoxGuest$proxmoxve:index/vmLegacy:VmLegacy::cortex-vm";
const bridgeUrn =
  "urn:pulumi:genesis::hive::hive:index:HostNetwork$proxmoxve:network/linux/bridge:Bridge::host-network-vmbr2";

describe("hive adopt on a host that somebody used before us", () => {
  const hive = new Hive();
  let lab: LabInfo;
  let client: LabClient;
  const vm = async (path: string): Promise<Record<string, unknown>> =>
    record(await readRoot(lab.rootSocket, `/nodes/pve/qemu/401/${path}`));

  before(async () => {
    lab = await startLabProcess(hive.lab, { fixture: "occupied", taskDelayMs: 5 });
    const port = Number(new URL(lab.apiUrl).port);
    client = new LabClient({ port, caCertFile: lab.caCertFile, tokenFile: lab.tokenFile, rootSocket: lab.rootSocket });
    const root = { root: true };
    await client.run(
      "POST",
      "/nodes/pve/network",
      { iface: "vmbr2", type: "bridge", autostart: 1, comments: "old test net" },
      root,
    );
    await client.run("PUT", "/nodes/pve/network", {}, root);
    await client.run(
      "POST",
      "/storage",
      { storage: "hive-zfs", type: "zfspool", pool: "rpool/hive", content: "images,rootdir", sparse: 1 },
      root,
    );
    await client.run(
      "POST",
      "/nodes/pve/qemu",
      {
        vmid: 401,
        name: "old-nvr",
        cores: 2,
        memory: 4096,
        ostype: "l26",
        scsihw: "virtio-scsi-single",
        scsi0: "hive-zfs:64",
        net0: "virtio=BC:24:11:00:04:01,bridge=vmbr0",
        boot: "order=scsi0",
        onboot: 1,
        // Its agent answers and tells an address: the provider waits for both.
        agent: "enabled=1",
        tags: "agent-installed",
        description: "cameras, made by hand",
        smbios1: "uuid=2f1e63b0-5a37-4c80-9d0c-000000000401",
        localtime: 1,
      },
      root,
    );
    await client.run(
      "POST",
      "/nodes/pve/qemu/401/firewall/rules",
      { type: "in", action: "ACCEPT", dport: 554, proto: "tcp", comment: "rtsp", enable: 1 },
      root,
    );
    await client.run("POST", "/nodes/pve/qemu/401/status/start", {}, root);
  });

  after(async () => {
    await hive.close();
  });

  it("up refuses them by name, before any change, and points to adopt", async () => {
    const before = await takeHostSnapshot(lab, hostRootFolder(hive.lab));
    const { code, stderr } = await hive.run(["up"]);
    assert.equal(code, 1, stderr);
    assert.match(stderr, /guest 401 is taken by "old-nvr".*hive adopt --only 401/);
    assert.match(stderr, /bridge vmbr2 is there already, and not ours.*hive adopt --only vmbr2/);
    assert.deepEqual(stackFrames(stderr), []);
    assert.deepEqual(compareSnapshots(before, await takeHostSnapshot(lab, hostRootFolder(hive.lab))), []);
  });

  it("--dry-run shows every difference and changes neither host nor state", async () => {
    const before = await takeHostSnapshot(lab, hostRootFolder(hive.lab));
    const { code, stdout, stderr } = await hive.run(["adopt", "--dry-run"]);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /adopt +guest 401 as VmLegacy cortex-vm/);
    assert.match(stdout, /cores: found 2, declared 4/);
    assert.match(stdout, /memory: found 4096, declared 8192/);
    assert.match(stdout, /adopt +bridge vmbr2/);
    assert.match(stdout, /comment: found old test net, declared Hive dmz \[mark of genesis\]/);
    assert.match(stdout, /reference bridge vmbr0 \(adopted by reference, never managed\)/);
    assert.match(stdout, /reference pool rpool/);
    assert.match(stdout, /stranger +guest 900/);
    assert.match(stdout, /missing +guest 100/);
    assert.doesNotMatch(stdout, /(adopt|missing|stranger) +bridge vmbr0\b/);
    assert.deepEqual(compareSnapshots(before, await takeHostSnapshot(lab, hostRootFolder(hive.lab))), []);
    assert.equal(stateOf(hive).has(vmUrn), false);
  });

  it("refuses to adopt without a yes, and names that are none", async () => {
    const asked = await hive.run(["adopt", "--only", "401"]);
    assert.equal(asked.code, 2, asked.stderr);
    assert.match(asked.stderr, /add --yes/);
    const named = await hive.run(["adopt", "--yes", "--only", "900,vmbr0,777"]);
    assert.equal(named.code, 1);
    for (const id of ["900, which the stack does not declare", "vmbr0, which the stack uses", "777, which is not on"])
      assert.ok(named.stderr.includes(id), named.stderr);
    assert.equal(stateOf(hive).has(vmUrn), false);
  });

  it("takes them in under their own URNs without touching the host", async () => {
    const before = await takeHostSnapshot(lab, hostRootFolder(hive.lab));
    const { code, stdout, stderr } = await hive.run(["adopt", "--yes", "--only", "401,vmbr2,hive-zfs", "--json"]);
    assert.equal(code, 0, stderr);
    assert.equal(parse(stdout)["result"], "succeeded");
    const state = stateOf(hive);
    assert.equal(state.get(vmUrn)?.["id"], "401");
    assert.equal(state.get(bridgeUrn)?.["id"], "pve:vmbr2");
    assert.equal(
      [...state.values()].find(({ type }) => type === "proxmoxve:storage/zfspool:Zfspool")?.["id"],
      "hive-zfs",
    );
    assert.equal(state.get(vmUrn)?.["parent"], "urn:pulumi:genesis::hive::hive:index:ProxmoxGuest::cortex");
    assert.equal(record(state.get(vmUrn)?.["outputs"])["name"], "old-nvr");
    assert.deepEqual(compareSnapshots(before, await takeHostSnapshot(lab, hostRootFolder(hive.lab))), []);
  });

  it("up changes them in place: never deleted, never made again, never stopped", async () => {
    const strangers = await takeHostSnapshot(lab, hostRootFolder(hive.lab));
    const was = await vm("status/current");
    const { code, stdout, stderr } = await hive.run(["up", "--json"]);
    assert.equal(code, 0, stderr);
    assert.equal(record(parse(stdout)["changes"])["replace"], 0, stdout);
    assert.equal(record(parse(stdout)["changes"])["delete"], 0, stdout);
    const config = await vm("config");
    assert.equal(config["smbios1"], "uuid=2f1e63b0-5a37-4c80-9d0c-000000000401");
    assert.equal(String(config["localtime"]), "1");
    assert.match(String(config["description"]), /\[hive project=hive stack=genesis urn=.*cortex-vm\]/);
    assert.match(String(config["scsi0"]), /hive-zfs:vm-401-disk-\d+.*size=64G/);
    assert.equal(String(config["name"]), "cortex");
    const is = await vm("status/current");
    assert.equal(is["status"], "running");
    assert.equal(is["pid"], was["pid"]);
    assert.ok(Number(is["uptime"]) >= Number(was["uptime"]));
    const tasks = await readRoot(lab.rootSocket, "/nodes/pve/tasks?vmid=401&limit=500");
    const types = (Array.isArray(tasks) ? tasks : []).map((task) => String(record(task)["type"]));
    for (const type of ["qmdestroy", "qmstop", "qmshutdown", "qmreboot", "qmreset"])
      assert.equal(types.includes(type), false, `${type} among ${types.join(", ")}`);
    assert.equal(types.filter((type) => type === "qmcreate").length, 1, types.join(", "));
    const after = await takeHostSnapshot(lab, hostRootFolder(hive.lab));
    for (const name of Object.keys(strangers).filter((each) => /\b(900|110|vmbr9|vmbr0|backup-usb)\b/.test(each)))
      assert.equal(after[name], strangers[name], name);
    assert.match(String(after["network vmbr2"]), /mark|hive project=hive/);
  });

  it("the next up changes nothing", async () => {
    const { code, stdout, stderr } = await hive.run(["up", "--json"]);
    assert.equal(code, 0, stderr);
    const { same, ...others } = record(parse(stdout)["changes"]);
    assert.ok(Number(same) > 50);
    assert.deepEqual(
      Object.entries(others).filter(([, count]) => count !== 0),
      [],
      stderr,
    );
  });
});
