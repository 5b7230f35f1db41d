import assert from "node:assert/strict";
import type { FirewallRulePlan } from "../../components/shared/firewallPlan.ts";
import { valueOrThrow } from "../../components/shared/faults.ts";
import { planGuestFirewall, planHostFirewall } from "../../components/shared/firewallPlan.ts";
import { planGenesis } from "../../components/shared/genesisPlan.ts";
import { seedMachines, worker } from "../../components/shared/machineTable.ts";
import { planSnapshots } from "../../components/shared/storagePlan.ts";
import { smtTopology } from "../../components/shared/topology.ts";
import { genesisSettings } from "../support/genesisSettings.ts";

const settings = genesisSettings();
const plan = valueOrThrow("plan", planGenesis(settings));

describe("planGenesis", () => {
  it("has exactly the machines of the seed's table", () => {
    const rows = plan.machines.map(({ id, title, vcpus, ramMiB, devices }) => [
      id,
      title,
      vcpus,
      ramMiB / 1024,
      devices.join(),
    ]);
    assert.deepEqual(rows, [
      [100, "The Brain", 8, 64, "gpu"],
      [101, "The Council", 4, 32, ""],
      [200, "Trading Floor", 4, 8, ""],
      [300, "Worker 300", 1, 0.5, ""],
      [301, "Worker 301", 1, 0.5, ""],
      [400, "The Bastion", 2, 4, ""],
      [401, "Visual Cortex", 4, 8, "tpu"],
    ]);
    assert.deepEqual(
      plan.machines.filter(({ protect }) => protect).map(({ id }) => id),
      [100, 200, 400],
    );
    assert.equal(plan.machines.toSorted((a, b) => a.startupOrder - b.startupOrder)[0]?.id, 400);
  });

  it("gives no machine a device that the host lacks, and no address that the host has", () => {
    const bare = valueOrThrow(
      "plan",
      planGenesis({ ...settings, endpoint: "https://192.168.1.100:8006", devices: { gpu: undefined, tpu: undefined } }),
    );
    assert.deepEqual([...new Set(bare.machines.flatMap(({ devices, contends }) => [...devices, ...contends]))], []);
    assert.ok(bare.addresses.nics.every(({ address }) => address !== "192.168.1.100"));
  });

  it("tells the faults of every planner at once", () => {
    const result = planGenesis({
      ...settings,
      workers: 101,
      machines: { 999: {}, 101: { diskGiB: 0 } },
      agentTimeoutSec: 1,
      adminCidrs: [],
      host: {
        ...settings.host,
        ramMiB: 65_536,
        topology: smtTopology({ sockets: 1, coresPerSocket: 4, threadsPerCore: 1 }),
      },
      networks: { ...settings.networks, domain: "" },
      devices: { gpu: undefined, tpu: { mapping: "?", id: "18d1:9302" } },
      storage: { ...settings.storage, pool: "" },
      images: { ...settings.images, ubuntu: { url: "x", fileName: "x.qcow2" } },
    });
    assert.ok(!result.ok);
    const told = result.faults.map(({ property }) => property);
    const expected = [
      "agentTimeoutSec",
      "storage.pool",
      "images.ubuntu.url",
      "workers",
      "machines[999]",
      "machines[101].diskGiB",
      "machines[200].vcpus",
      "machines[100].vcpus",
      "networks.domain",
      "host.ramMiB",
      "devices.tpu.mapping",
      "adminCidrs",
    ];
    assert.deepEqual(
      expected.filter((property) => !told.includes(property)),
      [],
    );
  });
});

/** Whether the first matching rule lets a packet in; only the fields the test sets are compared. */
function verdict(
  rules: readonly FirewallRulePlan[],
  packet: { source: string; dport?: string; dest?: string; iface?: string },
): string {
  const first = rules.find(
    (rule) =>
      rule.direction === "in" &&
      !(rule.proto === "icmp" && packet.dport !== undefined) &&
      [undefined, packet.source].includes(rule.source) &&
      [undefined, packet.dport].includes(rule.dport) &&
      [undefined, packet.dest].includes(rule.dest) &&
      [undefined, packet.iface].includes(rule.iface),
  );
  return first?.action ?? "default";
}

describe("firewall plans", () => {
  const [lan, inner, dmz] = plan.addresses.networks.map(({ cidr }) => cidr);

  it("let the admin reach 8006 and 22 of the host before anything else, and nobody else", () => {
    const rules = valueOrThrow(
      "rules",
      planHostFirewall({ adminCidrs: ["10.1.2.3", "192.168.1.0/24"], dmzCidr: "10.20.20.0/24" }),
    );
    assert.deepEqual(
      rules.slice(0, 4).map(({ action, source, dport }) => [action, source, dport]),
      [
        ["ACCEPT", "10.1.2.3", "8006"],
        ["ACCEPT", "10.1.2.3", "22"],
        ["ACCEPT", "192.168.1.0/24", "8006"],
        ["ACCEPT", "192.168.1.0/24", "22"],
      ],
    );
    assert.equal(
      rules.some(({ action }) => action !== "ACCEPT"),
      false,
      "the policy drops, after other people's rules",
    );
    assert.equal(
      rules.some(({ source }) => source === undefined),
      false,
    );
  });

  it("keep the host's own ports open where the endpoint is a proxy or a tunnel", () => {
    const ports = { apiPort: 18_006, sshPort: 2222 };
    const input = { adminCidrs: ["10.1.2.3"], dmzCidr: "10.20.20.0/24", ...ports };
    const open = valueOrThrow("rules", planHostFirewall(input)).map(({ dport }) => dport);
    for (const port of ["8006", "22", "18006", "2222"]) assert.ok(open.includes(port), port);
  });

  it("refuse nobody, everybody and the DMZ as admin", () => {
    for (const adminCidrs of [[], ["0.0.0.0/0"], ["10.20.20.7"], ["10.0.0.0/8"], ["10.1.1.1/24"], ["host"]]) {
      assert.ok(!planHostFirewall({ adminCidrs, dmzCidr: "10.20.20.0/24" }).ok, adminCidrs.join());
    }
  });

  it("close the DMZ towards the LAN and the private network, at the bastion and at the guest", () => {
    const bastion = seedMachines.find(({ id }) => id === 400);
    assert.ok(bastion !== undefined && lan !== undefined && inner !== undefined && dmz !== undefined);
    const rules = planGuestFirewall(bastion, plan.addresses, ["192.168.1.0/24"]);
    for (const dest of [lan, inner]) assert.equal(verdict(rules, { source: dmz, dest, iface: "net2" }), "DROP");
    assert.equal(verdict(rules, { source: dmz, dest: "1.1.1.1", iface: "net2" }), "ACCEPT");
    const gateway = plan.addresses.nics.find((nic) => nic.machine === 400 && nic.network === "dmz")?.address;
    assert.ok(gateway !== undefined);
    assert.equal(verdict(rules, { source: dmz, dest: gateway, dport: "22", iface: "net2" }), "DROP");
    const arena = planGuestFirewall({ ...worker(0), networks: ["dmz"] }, plan.addresses, []);
    const out = arena.filter(({ direction, action }) => direction === "out" && action === "DROP");
    assert.deepEqual(
      out.map(({ dest }) => dest),
      [lan, inner],
    );
  });

  it("deny in by default for every machine", () => {
    for (const machine of plan.machines) {
      assert.equal(
        verdict(planGuestFirewall(machine, plan.addresses, ["10.9.9.9"]), { source: "8.8.8.8", dport: "22" }),
        "DROP",
      );
    }
  });
});

describe("planSnapshots", () => {
  it("takes and keeps more snapshots on a pool without redundancy", () => {
    const [safe, aggressive] = [planSnapshots(true), planSnapshots(false)];
    assert.deepEqual(
      safe.map(({ label }) => label),
      ["frequent", "hourly", "daily", "weekly"],
    );
    safe.forEach(({ keep }, index) => assert.ok(keep < (aggressive[index]?.keep ?? 0)));
  });
});
