import assert from "node:assert/strict";
import { firewallRules } from "../../components/proxmox/firewallRules.ts";
import { planGuestFirewall } from "../../components/shared/firewallPlan.ts";
import { planGenesis } from "../../components/shared/genesisPlan.ts";
import { valueOrThrow } from "../../components/shared/faults.ts";
import { genesisSettings } from "../support/genesisSettings.ts";

describe("a guest's firewall", () => {
  it("keeps direction, action, addresses and card of every planned rule", () => {
    const settings = genesisSettings();
    const { machines, addresses } = valueOrThrow("the plan", planGenesis(settings));
    for (const machine of machines) {
      const planned = planGuestFirewall(machine, addresses, settings.adminCidrs);
      const declared = firewallRules(planned).map(({ type, enabled, ...rest }) => {
        assert.equal(enabled, true);
        return { direction: type, ...rest };
      });
      const given = planned.map((rule) =>
        Object.fromEntries(Object.entries(rule).filter(([, value]) => value !== undefined)),
      );
      assert.deepEqual(declared, given, machine.hostname);
    }
  });

  it("drops at the bastion what comes from the DMZ for the LAN or the private network, before anything is let through", () => {
    const settings = genesisSettings();
    const { machines, addresses } = valueOrThrow("the plan", planGenesis(settings));
    const bastion = machines.find(({ id }) => id === 400);
    assert.ok(bastion);
    const rules = firewallRules(planGuestFirewall(bastion, addresses, settings.adminCidrs));
    const fromDmz = rules.filter(({ source }) => source === settings.networks.dmz.cidr);
    assert.deepEqual(
      fromDmz.map(({ action, proto, dest }) => [action, proto, dest]),
      [
        ["DROP", undefined, settings.networks.lan.cidr],
        ["DROP", undefined, settings.networks.private.cidr],
        ["ACCEPT", "icmp", addresses.nics.find((nic) => nic.machine === 400 && nic.network === "dmz")?.address],
        ["DROP", undefined, addresses.nics.find((nic) => nic.machine === 400 && nic.network === "dmz")?.address],
        ["ACCEPT", undefined, undefined],
      ],
    );
    assert.equal(rules.at(-1)?.action, "DROP");
  });

  it("accepts what comes in when a rule says nothing else", () => {
    assert.deepEqual(firewallRules([{ proto: "tcp", dport: "22", comment: "login" }]), [
      { type: "in", action: "ACCEPT", enabled: true, comment: "login", proto: "tcp", dport: "22" },
    ]);
  });
});
