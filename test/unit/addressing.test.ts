import assert from "node:assert/strict";
import fc from "fast-check";
import { planAddresses } from "../../components/shared/addressing.ts";
import { valueOrThrow } from "../../components/shared/faults.ts";
import { hasHost, parseCidr, parseIpv4 } from "../../components/shared/ipv4.ts";
import { estate, worker } from "../../components/shared/machineTable.ts";
import { machines } from "../support/arbitraries.ts";
import { genesisSettings } from "../support/genesisSettings.ts";

const { networks } = genesisSettings();
const seed = valueOrThrow("estate", estate(2));
const network = fc
  .record({ prefix: fc.integer({ min: 16, max: 28 }), firstHost: fc.integer({ min: 1, max: 60 }) })
  .map(({ prefix, firstHost }) => ({
    ...networks,
    lan: { ...networks.lan, cidr: `192.168.0.0/${String(prefix)}`, gateway: "192.168.0.1", firstHost },
  }));

describe("planAddresses", () => {
  it("gives the seed's machines their ids as host numbers where they fit, and 400 the DMZ's gateway", () => {
    const plan = valueOrThrow("plan", planAddresses({ networks, machines: seed }));
    const of = (machine: number, name: string): string | undefined =>
      plan.nics.find((nic) => nic.machine === machine && nic.network === name)?.cidr;
    assert.deepEqual(
      [of(100, "lan"), of(100, "private"), of(200, "private"), of(300, "lan")],
      ["192.168.1.100/24", "10.20.10.100/24", "10.20.10.200/24", "192.168.1.20/24"],
    );
    assert.equal(`${plan.networks[2]?.gateway ?? ""}/24`, of(400, "dmz"));
    assert.equal(
      plan.nics.find((nic) => nic.machine === 100 && nic.network === "private")?.fqdn,
      "brain.private.hive.internal",
    );
    assert.deepEqual(
      plan.nics.filter((nic) => nic.gateway !== undefined).map((nic) => nic.network),
      seed.map(() => "lan"),
    );
  });

  it("holds all 100 workers in a /24", () => {
    assert.ok(planAddresses({ networks, machines: valueOrThrow("estate", estate(100)) }).ok);
  });

  it("gives unique addresses inside their subnets that never are a gateway or reserved; or refuses with numbers", () => {
    let planned = 0;
    fc.assert(
      fc.property(network, machines(30), (settings, list) => {
        const reserved = ["192.168.0.25", "10.20.10.130"];
        const result = planAddresses({ networks: settings, machines: list, reserved });
        if (!result.ok) {
          for (const { limit } of result.faults) assert.match(limit, /\d/);
          return;
        }
        planned += 1;
        const { nics, networks: plans } = result.value;
        assert.equal(
          nics.length,
          list.reduce((sum, machine) => sum + machine.networks.length, 0),
        );
        for (const key of ["address", "mac", "fqdn"] as const)
          assert.equal(new Set(nics.map((nic) => nic[key])).size, nics.length, key);
        for (const nic of nics) {
          const subnet = parseCidr(plans.find(({ name }) => name === nic.network)?.cidr ?? "");
          assert.ok(subnet !== undefined && hasHost(subnet, parseIpv4(nic.address) ?? -1), nic.cidr);
          assert.ok(![...reserved, "192.168.0.1", "10.20.10.1"].includes(nic.address), nic.address);
          assert.match(nic.mac, /^02(:[0-9a-f]{2}){5}$/);
        }
      }),
      { numRuns: 300, seed: 20261121 },
    );
    assert.ok(planned > 100, `only ${String(planned)} plans were possible`);
  });

  it("moves no address when other machines come and go", () => {
    fc.assert(
      fc.property(machines(20), fc.integer({ min: 0, max: 99 }), (list, index) => {
        const added = [...list.filter(({ id }) => id !== 300 + index), worker(index)];
        const [before, after] = [list, added].map((given) => planAddresses({ networks, machines: given }));
        if (before?.ok !== true || after?.ok !== true) return;
        const { nics } = after.value;
        for (const nic of before.value.nics.filter(({ machine }) => machine !== 300 + index)) {
          assert.ok(
            nics.some((other) => other.machine === nic.machine && other.cidr === nic.cidr && other.mac === nic.mac),
            nic.fqdn,
          );
        }
      }),
      { seed: 3 },
    );
  });

  it("tells all faults at once", () => {
    const result = planAddresses({
      machines: seed,
      networks: {
        lan: { bridge: "vmbr0", cidr: "192.168.1.0/24", gateway: "192.168.2.1", firstHost: 300 },
        private: { bridge: "vmbr0", cidr: "192.168.1.128/25", vlanId: 4095, mtu: 100 },
        dmz: { bridge: "a bridge", cidr: "8.8.8.0/24", vlanId: 0 },
        domain: "Hive_",
        dnsServers: ["dns"],
      },
    });
    assert.ok(!result.ok);
    const expected =
      "dmz.bridge dmz.cidr dmz.vlanId dnsServers[0] domain lan.firstHost lan.gateway private.bridge private.cidr private.mtu private.vlanId";
    assert.deepEqual(
      result.faults.map(({ property }) => property.slice("networks.".length)).sort(),
      expected.split(" "),
    );
  });

  it("refuses a subnet that is too small, and says how many addresses are missing", () => {
    const small = { ...networks, private: { ...networks.private, cidr: "10.20.10.0/29" } };
    const result = planAddresses({ networks: small, machines: seed });
    assert.ok(!result.ok);
    assert.match(result.faults[0]?.limit ?? "", /\d/);
  });
});
