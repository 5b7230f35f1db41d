import assert from "node:assert/strict";
import fc from "fast-check";
import { asAdopted, type Declared } from "../../cli/adopt/declared.ts";
import { losses, rulesId } from "../../cli/adopt/execute.ts";
import { differences, foundDisks, foundFields } from "../../cli/adopt/fields.ts";
import { adoptionHazards } from "../../cli/adopt/hazards.ts";
import { planAdoption, renderAdoption } from "../../cli/adopt/plan.ts";
import { providerReference, withAdopted } from "../../cli/adopt/state.ts";
import type { HostObject } from "../../cli/repair/objects.ts";
import { step } from "../policies/reviewFixture.ts";

const vm = (inputs: Readonly<Record<string, unknown>> = {}): Declared => ({
  urn: "urn:pulumi:genesis::hive::hive:index:ProxmoxGuest$proxmoxve:index/vmLegacy:VmLegacy::cortex-vm",
  type: "proxmoxve:index/vmLegacy:VmLegacy",
  name: "cortex-vm",
  parent: "urn:pulumi:genesis::hive::hive:index:ProxmoxGuest::cortex",
  protect: false,
  inputs: { vmId: 401, disks: [{ interface: "scsi0", datastoreId: "hive-zfs", size: 64 }], ...inputs },
  object: { kind: "guest", id: "401" },
});
const container: Declared = {
  ...vm(),
  type: "proxmoxve:index/containerLegacy:ContainerLegacy",
  inputs: { vmId: 401, unprivileged: true, disk: { datastoreId: "hive-zfs", size: 8 } },
};
const hazards = (
  config: Readonly<Record<string, unknown>>,
  more: { readonly running?: boolean; readonly guestType?: "qemu" | "lxc"; readonly declared?: Declared } = {},
): readonly (readonly [string, string])[] =>
  adoptionHazards(more.declared ?? vm(), { guestType: more.guestType ?? "qemu", running: more.running, config }).map(
    ({ property, fix }) => [property, fix] as const,
  );

describe("adoption", () => {
  it("lets a guest in that loses nothing", () => {
    assert.deepEqual(
      hazards({ scsi0: "hive-zfs:vm-401-disk-0,size=64G", ide2: "none,media=cdrom" }, { running: true }),
      [],
    );
    assert.deepEqual(
      hazards({ scsi0: "local-zfs:vm-401-disk-0,size=20G" }),
      [],
      "a stopped guest's disk is moved and grown",
    );
  });

  it("refuses what up would delete, shrink, move or replace, each with the command that helps", () => {
    const cases: readonly (readonly [ReturnType<typeof hazards>, string, RegExp])[] = [
      [
        hazards({ scsi0: "hive-zfs:a,size=64G", virtio1: "tank:b,size=1T" }),
        "guest 401: virtio1",
        /qm set 401 --delete virtio1/,
      ],
      [hazards({ scsi0: "hive-zfs:a,size=65G" }), "guest 401: scsi0", /machines\["401"\]\.diskGiB' 65$/],
      [
        hazards({ scsi0: "hive-zfs:a,size=20G" }, { running: true }),
        "guest 401: scsi0",
        /qm disk resize 401 scsi0 64G/,
      ],
      [
        hazards({ scsi0: "local-zfs:a,size=64G" }, { running: true }),
        "guest 401: scsi0",
        /qm disk move 401 scsi0 hive-zfs/,
      ],
      [hazards({ rootfs: "x:y,size=8G" }, { guestType: "lxc" }), "guest 401", /another id/],
      [
        hazards({ rootfs: "local-zfs:a,size=8G", unprivileged: 1 }, { guestType: "lxc", declared: container }),
        "guest 401: rootfs",
        /pct move-volume 401 rootfs hive-zfs/,
      ],
      [
        hazards({ rootfs: "hive-zfs:a,size=8G" }, { guestType: "lxc", declared: container }),
        "guest 401: unprivileged",
        /restore/,
      ],
    ];
    for (const [found, property, fix] of cases) {
      assert.deepEqual(
        found.map(([name]) => name),
        [property],
      );
      assert.match(found[0]?.[1] ?? "", fix);
    }
  });

  it("no disk of the host that is not declared slips through (property)", () => {
    const slot = fc.stringMatching(/^(scsi|virtio|sata|ide)(\d|1\d)$/);
    fc.assert(
      fc.property(fc.uniqueArray(slot, { maxLength: 8 }), (slots) => {
        const config = Object.fromEntries(slots.map((name) => [name, `tank:vm-401-${name},size=1G`]));
        const named = new Set(hazards(config).map(([property]) => property));
        for (const { slot: name } of foundDisks(config))
          assert.equal(named.has(`guest 401: ${name}`), name !== "scsi0", name);
      }),
    );
  });

  it("hides what may be secret and shows the rest", () => {
    const found = foundFields("guest", {
      name: "x",
      cipassword: "hunter2",
      my_token: "hunter3",
      net0: "virtio=AA:BB:CC:DD:EE:FF,bridge=vmbr0,tag=7",
    });
    assert.doesNotMatch(JSON.stringify(found), /hunter/);
    assert.equal(found["net0"], "vmbr0 AA:BB:CC:DD:EE:FF tag 7");
    assert.deepEqual(differences({ a: "1", b: "2" }, { a: "1", b: "3", c: "4" }), [
      { field: "b", found: "3", declared: "2" },
      { field: "c", found: "4", declared: undefined },
    ]);
  });

  it("enters resources below their components, once, parents first, whatever the order (property)", () => {
    const provider = "urn:pulumi:genesis::hive::pulumi:providers:proxmoxve::proxmox";
    const base = { resources: [{ urn: provider, id: "7" }, { urn: "stack" }] };
    const reference = providerReference(base, provider);
    assert.equal(reference, `${provider}::7`);
    assert.equal(providerReference({ resources: [] }, provider), undefined);
    const components = [
      { urn: "inner", type: "hive:index:Inner", parent: "outer", inputs: {} },
      { urn: "outer", type: "hive:index:Outer", parent: "stack", inputs: {} },
    ];
    const entries = ["a", "b", "c", "stack"].map((urn) => ({ declared: { ...vm(), urn, parent: "inner" }, id: urn }));
    fc.assert(
      fc.property(fc.shuffledSubarray(entries), (some) => {
        const once = withAdopted(base, some, components, reference ?? "");
        assert.deepEqual(withAdopted(once, some, components, reference ?? ""), once, "a second time changes nothing");
        const { resources } = once;
        assert.ok(Array.isArray(resources));
        const urns = resources.map((each: unknown) => String(Reflect.get(Object(each), "urn")));
        assert.equal(new Set(urns).size, urns.length);
        resources.forEach((each: unknown, index) => {
          const parent: unknown = Reflect.get(Object(each), "parent");
          if (parent !== undefined) assert.ok(urns.indexOf(String(parent)) < index, `${String(parent)} first`);
        });
      }),
    );
  });

  it("never adopts what is not declared, is the stack's already, or is only referred to", () => {
    const host: HostObject[] = [
      { kind: "guest", id: "401", guestType: "qemu" },
      { kind: "guest", id: "900", guestType: "qemu" },
      { kind: "bridge", id: "vmbr0" },
    ];
    const plan = (
      only: readonly string[],
      known: readonly Pick<HostObject, "kind" | "id">[] = [],
    ): ReturnType<typeof planAdoption> =>
      planAdoption({
        declared: [vm()],
        host,
        known,
        references: [{ kind: "bridge", id: "vmbr0" }],
        pools: ["rpool"],
        only,
        differencesOf: () => [],
        hazardsOf: () => [],
      });
    assert.deepEqual(
      plan([]).adoptable.map(({ object }) => object.id),
      ["401"],
    );
    assert.deepEqual(plan([]).references, ["pool rpool", "bridge vmbr0"]);
    assert.deepEqual(
      plan([]).strangers.map(({ id }) => id),
      ["900"],
    );
    assert.deepEqual(plan([], [{ kind: "guest", id: "401" }]).adoptable, []);
    assert.equal(plan(["900", "vmbr0", "7"]).faults.length, 3);
    assert.match(renderAdoption(plan([], [{ kind: "guest", id: "401" }])), /^nothing to adopt/);
  });

  it("leaves first-boot data out for a VM without a cloud-init drive", () => {
    const declared = vm({ initialization: { dns: {} } });
    assert.equal("initialization" in asAdopted(declared, { scsi0: "a:b" }).inputs, false);
    assert.equal("initialization" in asAdopted(declared, { ide0: "a:vm-401-cloudinit,media=cdrom" }).inputs, true);
  });

  it("names what the next up would replace, and by which field", () => {
    const event = step({
      op: "replace",
      name: "worker-300",
      before: { unprivileged: false },
      after: { unprivileged: true },
      keys: ["unprivileged"],
    });
    const urn = event.resourcePreEvent?.metadata.urn ?? "";
    const [fault] = losses({ events: [event] }, new Set([urn]));
    assert.match(fault?.value ?? "", /replaced because of unprivileged/);
    assert.deepEqual(losses({ events: [event] }, new Set(["another"])), []);
  });

  it("knows the provider's id of a guest's firewall rules", () => {
    // As the provider wrote it into the state of an `up` on the lab.
    assert.equal(rulesId("pve", "qemu", "401"), "rule-1169296938");
  });
});
