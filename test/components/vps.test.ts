import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import { Vps, type VpsArgs } from "../../components/vps/index.ts";
import { isRegisteredSecret, recordProgram, type Registration } from "../support/recordedProgram.ts";

const created = "2026-11-21T11:00:00Z";
const nowMs = Date.UTC(2026, 10, 21, 12);
const openings: VpsArgs["openings"] = [
  { port: 22, from: ["203.0.113.7"], comment: "administration" },
  { port: 8943, from: ["198.51.100.4"], comment: "signals" },
];
const publicKey = `ssh-ed25519 AAAA${"C".repeat(64)}`;
const args: VpsArgs = {
  hostname: "agent-x",
  kind: "browser-light",
  life: { estate: "hive", agent: "x", created, ttlSec: 86_400 },
  place: { provider: "lightsail", zone: "eu-west-3a" },
  budget: { centsPerMonth: 5000 },
  openings,
  publicKey,
  nowMs,
};
const onProxmox: VpsArgs = {
  ...args,
  place: {
    provider: "proxmox",
    nodeName: "pve",
    vmId: 310,
    storageId: "hive-zfs",
    image: "local:vztmpl/debian-13.tar.zst",
    nic: { bridge: "vmbr2", mtu: 1500, mac: "02:60:de:00:01:36", cidr: "10.20.20.31/24", gateway: "10.20.20.1" },
    dns: { domain: "hive.internal", servers: ["10.20.20.1"] },
    pool: "hive-throwaway",
  },
  peers: [{ address: "10.20.20.5", port: 8944 }],
};
const outputs = (type: string): Record<string, unknown> =>
  type.includes("lightsail/instance:") ? { publicIpAddress: "203.0.113.50" } : { ipAddress: "203.0.113.60" };

async function recorded(given: VpsArgs, told?: (vps: Vps) => void): Promise<readonly Registration[]> {
  const program = (): void => {
    const vps = new Vps("server", given);
    told?.(vps);
  };
  return recordProgram(program, {}, undefined, { stack: "agent-x", outputs });
}

function only(seen: readonly Registration[], type: string): Registration {
  const found = seen.filter((each) => each.type.toLowerCase().includes(type.toLowerCase()));
  const [first] = found;
  assert.ok(first !== undefined && found.length === 1, `one ${type} among ${seen.map((each) => each.type).join(", ")}`);
  return first;
}

/** What the constructor throws. */
async function refusal(given: VpsArgs): Promise<{ readonly message: string; readonly registered: number }> {
  let message = "";
  const seen = await recordProgram(() => {
    try {
      return new Vps("server", given);
    } catch (error) {
      assert.ok(error instanceof Error);
      message = error.message;
      return undefined;
    }
  });
  return { message, registered: seen.filter(({ type }) => type !== "pulumi:pulumi:Stack").length };
}

describe("Vps", () => {
  it("is at Lightsail an instance with a key of its own, tags, and no open port but those asked for", async () => {
    const seen = await recorded(args);
    const instance = only(seen, "lightsail/instance:Instance");
    assert.deepEqual(instance.inputs["tags"], {
      "hive:throwaway": "true",
      "hive:estate": "hive",
      "hive:agent": "x",
      "hive:expires": "2026-11-22T11:00:00Z",
    });
    const { bundleId, ipAddressType, addOn, keyPairName } = instance.inputs;
    assert.deepEqual([bundleId, ipAddressType, addOn, keyPairName], ["small_3_0", "ipv4", undefined, "agent-x-key"]);
    assert.equal(only(seen, "keyPair").inputs["publicKey"], publicKey);
    const ports = only(seen, "instancePublicPorts");
    assert.match(ports.deletedWith, /::server-instance$/);
    assert.deepEqual(ports.inputs["portInfos"], [
      { fromPort: 22, toPort: 22, protocol: "tcp", cidrs: ["203.0.113.7/32"] },
      { fromPort: 8943, toPort: 8943, protocol: "tcp", cidrs: ["198.51.100.4/32"] },
    ]);
    assert.ok(seen.every(({ protect }) => !protect));
    assert.ok(seen.every(({ type }) => !/staticIp/i.test(type)));
  });

  it("is for the Sentinel protected, with a static address and daily snapshots", async () => {
    const addresses: string[] = [];
    const seen = await recorded({ ...args, hostname: "sentinel", kind: "micro-service", life: "sentinel" }, (vps) => {
      vps.address.apply((address) => addresses.push(address));
    });
    const instance = only(seen, "lightsail/instance:Instance");
    assert.deepEqual([instance.protect, only(seen, "staticIp:").protect], [true, true]);
    assert.deepEqual(instance.inputs["addOn"], { type: "AutoSnapshot", snapshotTime: "03:00", status: "Enabled" });
    assert.deepEqual(instance.inputs["tags"], { "hive:role": "sentinel" });
    assert.deepEqual(addresses, ["203.0.113.60"]);
    const names = ["keyPair", "lightsail/instance:Instance", "staticIp:"].map(
      (type) => only(seen, type).inputs["name"],
    );
    assert.equal(new Set(names).size, names.length, "Lightsail takes each name once, whatever it names");
    // What is protected must not take with it what has to change.
    for (const type of ["keyPair", "instancePublicPorts", "staticIpAttachment"])
      assert.equal(only(seen, type).protect, false, type);
  });

  it("is on Proxmox a fenced guest of the estate, with its tags, in the reaper's pool", async () => {
    const seen = await recorded(onProxmox);
    const guest = only(seen, "containerLegacy");
    const { tags, poolId, cpu, memory, features } = guest.inputs;
    const expires = String(Date.UTC(2026, 10, 22, 11) / 1000);
    const own = ["hive-agent-x", "hive-estate-hive", `hive-expires-${expires}`, "hive-throwaway"];
    assert.deepEqual(tags, ["hive", ...own, "owner-pulumi", "role-worker"]);
    assert.deepEqual([poolId, features], ["hive-throwaway", { nesting: true }]);
    assert.deepEqual(
      [cpu, memory],
      [
        { cores: 2, units: 100 },
        { dedicated: 2048, swap: 0 },
      ],
    );
    const { rules } = only(seen, "rulesLegacy").inputs;
    assert.ok(Array.isArray(rules));
    const told = rules.map((rule: Record<string, unknown>) =>
      [rule["type"], rule["action"], rule["proto"], rule["dport"], rule["source"] ?? rule["dest"]].join(" ").trim(),
    );
    assert.deepEqual(told, [
      "in ACCEPT tcp 22 203.0.113.7/32",
      "in ACCEPT tcp 8943 198.51.100.4/32",
      "out ACCEPT tcp 8944 10.20.20.5",
      "out ACCEPT udp 53 10.20.20.1",
      "out ACCEPT tcp 53 10.20.20.1",
      "out DROP   10.0.0.0/8",
      "out DROP   172.16.0.0/12",
      "out DROP   192.168.0.0/16",
    ]);
    assert.equal(guest.protect, false);
    const vm = await recorded({
      ...onProxmox,
      place: { ...onProxmox.place, guest: "vm", vmId: 210 } as VpsArgs["place"],
    });
    const { tags: words } = only(vm, "vmLegacy").inputs;
    assert.ok(Array.isArray(words) && words.includes("role-sandbox"));
  });

  it("tells price, size and end in its outputs", async () => {
    const told: unknown[] = [];
    await recorded(args, ({ centsPerMonth, centsPerHour, serverId, address }) => {
      pulumi.all([centsPerMonth, centsPerHour, serverId, address]).apply((values) => told.push(...values));
    });
    assert.deepEqual(told, [1200, 2, "agent-x", "203.0.113.50"]);
  });

  it("is refused with every fault at once, before anything is registered", async () => {
    const { message, registered } = await refusal({
      ...args,
      budget: { centsPerMonth: 100 },
      openings: [{ port: 22, from: ["0.0.0.0/0"], comment: "" }],
      nowMs: nowMs + 2 * 86_400_000,
    });
    for (const part of [/budget is 1\.00 USD/, /openings\[0\]\.from\[0\]/, /hive agent renew x/])
      assert.match(message, part);
    assert.equal(registered, 0);
    const elsewhere = await refusal({ ...args, place: { provider: "lightsail", zone: "ap-south-1a" } });
    assert.match(elsewhere.message, /at least one offer of size S/);
  });

  it("registers no secret and nothing in clear that is one", async () => {
    const seen = await recorded(args);
    for (const { inputs } of seen) assert.ok(!Object.values(inputs).some(isRegisteredSecret));
  });
});
