import assert from "node:assert/strict";
import { planHostFirewall } from "../../components/shared/firewallPlan.ts";
import { reaches } from "../support/adminReach.ts";

const admin = "192.168.1.50";
const plan = planHostFirewall({ adminCidrs: [`${admin}/32`], dmzCidr: "10.20.20.0/24" });
const groupRules = (plan.ok ? plan.value : []).map(({ direction, ...rule }) => ({
  ...rule,
  type: direction,
  enable: "1",
}));
const group = { type: "group", action: "hive-host", enable: "1" };
const monitoring = { type: "in", action: "ACCEPT", enable: "1", source: "192.168.1.0/24", proto: "tcp", dport: "9100" };
const firewall = (
  options: Record<string, unknown>,
  rules: unknown[] = [],
  groups: unknown = { "hive-host": { rules: groupRules } },
): unknown => ({ cluster: { options, rules }, node: { options: {}, rules: [] }, groups });
const both = (state: unknown): boolean => reaches(state, admin, 8006) && reaches(state, admin, 22);
const on = { enable: "1", policy_in: "DROP" };

describe("reach of the admin address", () => {
  it("is open while the firewall is off, and by the plan's group when it is on", () => {
    assert.ok(both(firewall({})));
    assert.ok(both(firewall({ enable: "0" }, [monitoring])));
    assert.ok(both(firewall(on, [group, monitoring])));
    assert.ok(!reaches(firewall(on, [group]), "192.168.1.51", 22));
    assert.ok(!reaches(firewall(on, [group]), admin, 3128));
  });

  it("is closed when the group is missing, empty, disabled, or behind a refusal", () => {
    assert.ok(!both(firewall(on, [monitoring])));
    assert.ok(!both(firewall(on, [group], {})));
    assert.ok(!both(firewall(on, [{ ...group, enable: "0" }])));
    const refusal = { type: "in", action: "DROP", enable: "1" };
    assert.ok(!both(firewall(on, [refusal, group])));
    assert.ok(!both(firewall({ enable: "1" })), "without a policy it is DROP");
    assert.ok(!both(firewall(on, [group], { "hive-host": { rules: [refusal, ...groupRules] } })));
    assert.ok(!both(firewall(on, [group], { "hive-host": { rules: groupRules.slice(1) } })));
  });

  it("takes the strict side of what it does not understand", () => {
    assert.ok(!both(firewall(on, [{ type: "in", action: "ACCEPT", enable: "1", source: "+admins" }])));
    assert.ok(
      !both(
        firewall({ enable: "1", policy_in: "ACCEPT" }, [{ type: "in", action: "DROP", enable: "1", macro: "SSH" }]),
      ),
    );
    assert.ok(both(firewall({ enable: "1", policy_in: "ACCEPT" })));
  });
});
