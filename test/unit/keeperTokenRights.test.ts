import assert from "node:assert/strict";
import { keeperPrivileges } from "../../components/shared/privileges.ts";
import { createTokenRights } from "../../runtime-agent/src/keeper/host/tokenRights.ts";
import { manualClock } from "../../runtime-agent/src/shared/clock.ts";
import { keeperNeeds } from "../../runtime-agent/src/shared/proxmox/keeperRights.ts";
import { missingRights, rightsFix, rightsInWords } from "../../runtime-agent/src/shared/proxmox/rights.ts";
import type { Need } from "../../runtime-agent/src/shared/proxmox/rights.ts";

const token = "keeper@pve!host=01234567-89ab-cdef-0123-456789abcdef";
const guest = { role: "ai", priority: 2, essential: false, gpuContender: false, balloonMinMiB: 1024 };
const needs = (enabled: boolean): readonly Need[] =>
  keeperNeeds({
    guests: [100, 101].map((vmid) => ({ ...guest, vmid })),
    handoff: { enabled, mapping: "gpu", stopTimeoutSec: 120, startTimeoutSec: 180, cpuFallback: true },
  });
const lackAudit: readonly Need[] = [{ path: "/vms/100", privileges: ["VM.Audit"] }];

describe("Keeper, host side: rights of the token", () => {
  it("needs the role's privileges on each guest, and on the card where it may be moved", () => {
    assert.deepEqual(
      needs(false).map(({ path }) => path),
      ["/vms/100", "/vms/101"],
    );
    const all = needs(true);
    assert.deepEqual(all.at(-1), { path: "/mapping/pci/gpu", privileges: ["Mapping.Use"] });
    assert.deepEqual([...new Set(all.flatMap(({ privileges }) => privileges))].toSorted(), keeperPrivileges);
  });

  it("takes a path without privileges in both forms that Proxmox gives it, and no other form", async () => {
    const say = (data: unknown) => missingRights({ call: () => Promise.resolve(data) }, lackAudit);
    assert.deepEqual(await say({}), lackAudit);
    assert.deepEqual(await say({ "/vms/100": {} }), lackAudit);
    assert.deepEqual(await say({ "/vms": { "VM.Audit": 1 } }), lackAudit, "another path's are none");
    // Not inherited below, and held here all the same.
    assert.deepEqual(await say({ "/vms/100": { "VM.Audit": 0 } }), []);
    for (const other of [null, [], "", { "/vms/100": 1 }])
      await assert.rejects(say(other), { kind: "nonsense" }, JSON.stringify(other));
  });

  it("says what is missing where, and how to give it, without the token's secret", () => {
    const missing = [
      { path: "/vms/100", privileges: ["VM.Audit", "VM.PowerMgmt"] },
      { path: "/vms/101", privileges: ["VM.Audit", "VM.PowerMgmt"] },
      { path: "/mapping/pci/gpu", privileges: ["Mapping.Use"] },
    ];
    assert.equal(
      rightsInWords(token, missing),
      "keeper@pve!host lacks VM.Audit, VM.PowerMgmt on /vms/100, /vms/101; Mapping.Use on /mapping/pci/gpu",
    );
    assert.equal(
      rightsFix(token, "Keeper", missing),
      'On the host: pveum role modify Keeper --append --privs "Mapping.Use VM.Audit VM.PowerMgmt" && ' +
        "pveum acl modify / --users 'keeper@pve' --roles Keeper && " +
        "pveum acl modify / --tokens 'keeper@pve!host' --roles Keeper",
    );
    assert.equal(rightsInWords(token, []), undefined);
  });

  it("asks at the first list, when a list lacks other guests, and while something is missing", async () => {
    const clock = manualClock(0);
    let asked = 0;
    let answer: readonly Need[] | Error = [];
    const told: (string | undefined)[] = [];
    let errors = 0;
    const rights = createTokenRights({
      ...{ token, clock, configured: () => [100, 101], onFault: (fault) => told.push(fault) },
      ask: () => {
        asked += 1;
        return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
      },
      onError: () => (errors += 1),
    });
    const list = async (...vmids: number[]): Promise<number> => {
      clock.advance(1000);
      await rights.listed(vmids);
      return asked;
    };
    answer = new Error("Proxmox is away");
    assert.deepEqual([await list(100, 101), await list(100, 101), errors], [1, 1, 1]);
    clock.advance(30_000);
    answer = [];
    assert.deepEqual([await list(100, 101), await list(101, 100), rights.fault()], [2, 2, undefined]);
    // A guest that was deleted: asked once, and then believed.
    assert.deepEqual([await list(100), await list(100), told], [3, 3, []]);
    answer = lackAudit;
    assert.deepEqual(
      [await list(), await list(), rights.fault()],
      [4, 4, "keeper@pve!host lacks VM.Audit on /vms/100"],
    );
    assert.deepEqual(rights.missing(), lackAudit);
    answer = [];
    clock.advance(30_000);
    assert.deepEqual([await list(100, 101), rights.fault()], [5, undefined]);
    assert.deepEqual(told, ["keeper@pve!host lacks VM.Audit on /vms/100", undefined]);
    rights.reconfigured();
    assert.equal(await list(100, 101), 6);
  });
});
