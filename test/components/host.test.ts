import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HostDevices, HostFirewall, HostNetwork, HostStorage } from "../../components/index.ts";
import {
  renderDatasetStep,
  renderSnapshotProgram,
  renderSnapshotUnits,
} from "../../components/proxmox/storageScripts.ts";
import { isRegisteredSecret, recordProgram, type Registration } from "../support/recordedProgram.ts";

const host = { host: "192.168.1.10", port: 22, user: "root", privateKey: "key" };

function named(seen: readonly Registration[], name: string): Registration {
  const found = seen.find((registration) => registration.name === name);
  assert.ok(found, `${name} among ${seen.map((registration) => registration.name).join(", ")}`);
  return found;
}

function urnOf(seen: readonly Registration[], name: string): string {
  const { parent, type } = named(seen, name);
  const [head, parentPath] = [parent.split("::").slice(0, 2).join("::"), parent.split("::")[2] ?? ""];
  return `${head}::${parentPath}$${type}::${name}`;
}

/** Runs a script under a real shell with a `zfs` that answers from its environment and notes its calls. */
function runWithZfs(script: string, environment: Record<string, string>, args: readonly string[] = []) {
  const folder = mkdtempSync(join(tmpdir(), "zfs-"));
  const zfs = `#!/bin/sh
echo "$*" >>"$ZFS_FOLDER/calls"
case "$*" in
  get*) echo "\${ZFS_OWNER:-$(cat "$ZFS_FOLDER/owner")}" ;;
  create*) echo hive/genesis >"$ZFS_FOLDER/owner" ;;
  destroy*@*) [ -z "\${ZFS_STUCK:-}" ] ;;
  *snapshot*-s*) for disk; do :; done; printf '%s@hive-daily-1\\n%s@hive-daily-2\\n' "$disk" "$disk" ;;
  *"-t snapshot"*) echo rpool/hive@hive-daily-1 ;;
  list*) [ -n "\${ZFS_BELOW:-}\${ZFS_OWNER:-}" ] || [ -f "$ZFS_FOLDER/owner" ] || exit 1; printf '%s\\n' "\${ZFS_BELOW:-rpool/hive}" ;;
esac
`;
  for (const [name, text] of [
    ["zfs", zfs],
    ["zpool", "#!/bin/sh\n"],
  ] as const) {
    writeFileSync(join(folder, name), text, { mode: 0o755 });
  }
  const { status, stderr } = spawnSync("/bin/sh", ["-c", script, "sh", ...args], {
    encoding: "utf8",
    env: { PATH: `${folder}:/usr/bin:/bin`, ZFS_FOLDER: folder, ...environment },
  });
  const calls = readFileSync(join(folder, "calls"), "utf8");
  rmSync(folder, { recursive: true });
  return { status, stderr, calls };
}

describe("HostNetwork", () => {
  const networks = [
    { name: "lan", bridge: "vmbr0", cidr: "192.168.1.0/24", gateway: "192.168.1.1", mtu: 1500 },
    { name: "private", bridge: "vmbr1", cidr: "10.20.10.0/24", vlanId: 10, mtu: 9000, hostAddress: "10.20.10.1/24" },
    { name: "dmz", bridge: "vmbr2", cidr: "10.20.20.0/24", mtu: 1500 },
  ] as const;

  it("never declares the adopted bridge that carries the management address", async () => {
    const seen = await recordProgram(() => new HostNetwork("net", { nodeName: "pve", networks }));
    assert.equal(
      seen.some((registration) => registration.inputs["name"] === "vmbr0"),
      false,
    );
  });

  it("gives the private bridge jumbo frames, its VLAN and the host's leg, and no bridge an uplink", async () => {
    const seen = await recordProgram(() => new HostNetwork("net", { nodeName: "pve", networks }));
    const { comment: _comment, ...bridge } = named(seen, "net-vmbr1").inputs;
    assert.deepEqual(bridge, { nodeName: "pve", name: "vmbr1", mtu: 9000, vlanAware: true, autostart: true });
    const { comment: _legComment, ...leg } = named(seen, "net-vmbr1-host").inputs;
    assert.deepEqual(leg, { nodeName: "pve", name: "vmbr1.10", mtu: 9000, address: "10.20.10.1/24", autostart: true });
    assert.equal(named(seen, "net-vmbr2").inputs["vlanAware"], false);
    for (const { inputs } of seen) assert.ok(!("ports" in inputs));
  });

  it("changes the host's network one step after the other", async () => {
    const seen = await recordProgram(() => new HostNetwork("net", { nodeName: "pve", networks }));
    assert.deepEqual(named(seen, "net-vmbr1-host").dependencies, [urnOf(seen, "net-vmbr1")]);
    assert.deepEqual(named(seen, "net-vmbr2").dependencies, [urnOf(seen, "net-vmbr1-host")]);
  });
});

describe("HostStorage", () => {
  const args = {
    nodeName: "pve",
    pool: "rpool",
    dataset: "hive",
    storageId: "hive-zfs",
    schedules: [{ label: "hourly", onCalendar: "hourly", keep: 24 }],
    snapshotGuests: [100, 200],
    host,
  } as const;

  it("puts a storage on a dataset of ours, and touches the pool itself nowhere", async () => {
    const seen = await recordProgram(() => new HostStorage("storage", args));
    assert.equal(named(seen, "storage-zfs").inputs["zfsPool"], "rpool/hive");
    for (const { inputs } of seen) {
      const scripts = `${String(inputs["create"])}${String(inputs["delete"])}`;
      assert.doesNotMatch(scripts, /zpool (create|destroy|add)/);
      assert.doesNotMatch(scripts, /zfs destroy -r/);
    }
  });

  it("sends the connection's key as a secret", async () => {
    const seen = await recordProgram(() => new HostStorage("storage", args));
    const connection: unknown = named(seen, "storage-dataset").inputs["connection"];
    assert.ok(connection instanceof Object);
    assert.ok(isRegisteredSecret(connection));
  });

  it("marks its dataset, and takes over or destroys none that is not so marked", () => {
    const { create, delete: remove } = renderDatasetStep("rpool", "rpool/hive", "hive/genesis");
    const owned = (owner: string, below = "rpool/hive") => ({ ZFS_OWNER: owner, ZFS_BELOW: below });
    assert.match(runWithZfs(create, {}).calls, /create -p -o hive:stack=hive\/genesis rpool\/hive/);
    const stranger = runWithZfs(create, owned("-"));
    assert.equal(stranger.status, 1);
    assert.match(stranger.stderr, /is not of this stack/);
    assert.doesNotMatch(runWithZfs(remove, owned("-")).calls, /destroy/);
    assert.match(
      runWithZfs(remove, owned("hive/genesis")).calls,
      /destroy rpool\/hive@hive-daily-1\n[^]*destroy rpool\/hive\n/,
    );
  });

  it("keeps every snapshot of a dataset that still holds disks", () => {
    const { delete: remove } = renderDatasetStep("rpool", "rpool/hive", "hive/genesis");
    const held = { ZFS_OWNER: "hive/genesis", ZFS_BELOW: "rpool/hive\nrpool/hive/vm-100-disk-0" };
    const { status, calls } = runWithZfs(remove, held);
    assert.equal(status, 0);
    assert.doesNotMatch(calls, /destroy/);
  });

  it("snapshots every covered disk, prunes the oldest, and tells of a guest without a disk", () => {
    const program = renderSnapshotProgram("rpool/hive", [100, 200]);
    const disks = "rpool/hive\nrpool/hive/vm-100-disk-0\nrpool/hive/vm-300-disk-0";
    const { status, calls, stderr } = runWithZfs(program, { ZFS_BELOW: disks, ZFS_STUCK: "1" }, ["daily", "1"]);
    assert.equal(status, 1);
    assert.match(stderr, /guest 200 has no disk/);
    assert.match(calls, /snapshot rpool\/hive\/vm-100-disk-0@hive-daily-/);
    assert.match(calls, /destroy rpool\/hive\/vm-100-disk-0@hive-daily-1\n/);
    assert.doesNotMatch(calls, /destroy .*@hive-daily-2|vm-300-disk-0@/);
    const units = renderSnapshotUnits({ label: "daily", onCalendar: "daily", keep: 14 });
    assert.match(units["hive-snapshot-daily.service"] ?? "", /ExecStart=\/usr\/local\/sbin\/hive-snapshot daily 14/);
    assert.match(units["hive-snapshot-daily.timer"] ?? "", /OnCalendar=daily\nPersistent=true/);
  });
});

describe("HostDevices", () => {
  it("declares only what the host has", async () => {
    const gpu = { mapping: "gpu", path: "0000:01:00", id: "10de:2204", iommuGroup: 14 };
    const seen = await recordProgram(() => new HostDevices("devices", { nodeName: "pve", gpu }));
    assert.deepEqual(named(seen, "devices-gpu").inputs["maps"], [
      { node: "pve", path: "0000:01:00", id: "10de:2204", iommuGroup: 14 },
    ]);
    assert.equal(
      seen.some((registration) => registration.name === "devices-tpu"),
      false,
    );
  });
});

describe("HostFirewall", () => {
  it("turns the firewall on only after the group with the admin's rows is there", async () => {
    const rules = [
      { direction: "in", action: "ACCEPT", proto: "tcp", dport: "8006", source: "192.168.1.50", comment: "admin" },
    ] as const;
    const seen = await recordProgram(() => new HostFirewall("firewall", { group: "hive-host", rules, host }));
    assert.deepEqual(named(seen, "firewall-enable").dependencies, [urnOf(seen, "firewall-group")]);
    const create = String(named(seen, "firewall-enable").inputs["create"]);
    assert.ok(create.indexOf("pvesh create /cluster/firewall/rules") < create.indexOf("--enable 1 --policy_in DROP"));
    const remove = String(named(seen, "firewall-enable").inputs["delete"]);
    assert.ok(remove.indexOf("--enable 0") < remove.indexOf("pvesh delete"), "off before the rules go");
  });
});
