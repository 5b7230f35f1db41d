import assert from "node:assert/strict";
import fc from "fast-check";
import { decodeState, withoutProtection } from "../../cli/repair/deployment.ts";
import { type HolderFacts, decodeLock, judgeLock, locksInMessage } from "../../cli/repair/lock.ts";
import { type HostObject, markOf, objectOf } from "../../cli/repair/objects.ts";
import { planRepair } from "../../cli/repair/plan.ts";
import { judgeReported } from "../../cli/repair/reportedLock.ts";
import { orphanedPlugins } from "../../cli/repair/plugins.ts";
import { runningGuests } from "../../cli/repair/runState.ts";
import { planRelease } from "../../cli/destroy/protection.ts";
import { renderMarker } from "../../components/shared/marker.ts";

const urnOf = (id: number): string => `urn:pulumi:genesis::hive::proxmoxve:index/vmLegacy:VmLegacy::vm-${String(id)}`;
const vm = (id: number, protect = false): Record<string, unknown> => ({
  urn: urnOf(id),
  type: "proxmoxve:index/vmLegacy:VmLegacy",
  inputs: { vmId: id, name: `vm-${String(id)}` },
  protect,
});
const mark = (id: number, stack = "genesis"): HostObject["mark"] => ({ project: "hive", stack, urn: urnOf(id) });
const guest = (id: number, more: Partial<HostObject> = {}): HostObject => ({
  kind: "guest",
  id: String(id),
  guestType: "qemu",
  mark: mark(id),
  ...more,
});
const stateOf = (resources: unknown[], pending: unknown[] = []): ReturnType<typeof decodeState> =>
  decodeState({ resources, pending_operations: pending });
const plan = (state: ReturnType<typeof decodeState>, host: HostObject[]): ReturnType<typeof planRepair> =>
  planRepair({ project: "hive", stack: "genesis", state, host });

describe("planRepair", () => {
  it("deletes the half-made object of a pending create that carries our mark", () => {
    const { steps, faults } = plan(stateOf([], [{ type: "creating", resource: vm(100) }]), [
      guest(100, { lock: "create" }),
    ]);
    assert.deepEqual(faults, []);
    assert.deepEqual(
      steps.map(({ kind }) => kind),
      ["unlock-guest", "delete", "forget"],
    );
  });

  it("stops by name at an object without our mark, or with another's", () => {
    for (const object of [
      guest(100, { mark: undefined }),
      guest(100, { mark: mark(100, "other") }),
      guest(100, { mark: mark(101) }),
    ]) {
      const { steps, faults } = plan(stateOf([], [{ type: "creating", resource: vm(100) }]), [object]);
      assert.equal(faults[0]?.property, "guest 100");
      assert.ok(steps.every((step) => step.kind !== "delete"));
    }
  });

  it("never takes an orphan that is protected or runs", () => {
    for (const object of [guest(100, { protected: true }), guest(100, { running: true })])
      assert.equal(plan(stateOf([]), [object]).faults.length, 1);
  });

  it("stops at an empty state beside running guests of ours: the login is to another backend", () => {
    const host = [guest(100, { running: true }), guest(101, { neverStarted: true }), guest(102, { mark: undefined })];
    const empty = plan(stateOf([]), host);
    assert.deepEqual(empty.steps, []);
    assert.deepEqual(
      empty.faults.map(({ property, value }) => [property, value]),
      [["state of stack genesis", "empty, while the host runs its guests 100"]],
    );
    assert.deepEqual(plan(stateOf([]), host.slice(1)).faults, [], "guests that never ran are half-made");
    const stack = { urn: "urn:pulumi:genesis::hive::pulumi:pulumi:Stack::hive-genesis", type: "pulumi:pulumi:Stack" };
    assert.deepEqual(
      plan(stateOf([stack]), host).faults.map(({ property }) => property),
      ["guest 100"],
    );
  });

  it("deletes an orphan that was never started, protected or not, for nothing is in it", () => {
    const { steps, faults } = plan(stateOf([]), [guest(100, { protected: true, neverStarted: true })]);
    assert.deepEqual(faults, []);
    assert.deepEqual(
      steps.map(({ kind }) => kind),
      ["delete"],
    );
  });

  it("deletes an orphan that runs only while it is fresh and its component is in the state", () => {
    const urn =
      "urn:pulumi:genesis::hive::hive:index:ProxmoxGuest$proxmoxve:index/containerLegacy:ContainerLegacy::worker-300-container";
    const component = (name: string): Record<string, unknown> => ({
      urn: `urn:pulumi:genesis::hive::hive:index:ProxmoxGuest::${name}`,
      type: "hive:index:ProxmoxGuest",
    });
    const running = (madeSecAgo: number | undefined): HostObject =>
      guest(300, {
        guestType: "lxc",
        running: true,
        neverStarted: false,
        madeSecAgo,
        mark: { project: "hive", stack: "genesis", urn },
      });
    const deleted = (names: string[], object: HostObject): boolean =>
      plan(stateOf(names.map(component)), [object]).steps.some(({ kind }) => kind === "delete");
    assert.ok(deleted(["worker-300"], running(20)));
    assert.ok(!deleted([], running(20)), "a state that was lost is no reason to delete");
    assert.ok(!deleted(["worker-301"], running(20)), "another component is no reason to delete");
    assert.ok(!deleted(["worker-300"], running(90_000)), "somebody uses it by now");
    assert.ok(!deleted(["worker-300"], running(undefined)), "its age is not known");
    const pending = stateOf([], [{ type: "creating", resource: { ...vm(300), urn } }]);
    assert.equal(plan(pending, [running(20)]).faults.length, 0);
    assert.equal(plan(pending, [running(90_000)]).faults.length, 1);
  });

  it("leaves a security group alone that the host's rules refer to", () => {
    const group = { kind: "group", id: "hive-host", mark: mark(1), inUse: true } as const;
    assert.equal(plan(stateOf([]), [group]).faults[0]?.property, "security group hive-host");
    assert.deepEqual(
      plan(stateOf([]), [{ ...group, inUse: false }]).steps.map(({ kind }) => kind),
      ["delete"],
    );
  });

  it("clears the rules of a guest whose firewall the state does not know, of no other", () => {
    const kinds = (resources: unknown[], object: HostObject): string[] =>
      plan(stateOf(resources), [object]).steps.map(({ kind }) => kind);
    const rules = {
      urn: `${urnOf(100)}-rules`,
      type: "proxmoxve:firewall/rulesLegacy:RulesLegacy",
      inputs: { vmId: 100 },
    };
    const options = { ...rules, type: "proxmoxve:firewall/optionsLegacy:OptionsLegacy" };
    assert.deepEqual(kinds([vm(100)], guest(100, { rules: 3 })), ["clear-rules"]);
    assert.deepEqual(kinds([vm(100)], guest(100, { rules: 0 })), []);
    assert.deepEqual(kinds([vm(100), rules], guest(100, { rules: 3 })), []);
    assert.deepEqual(kinds([vm(100), options], guest(100, { rules: 3 })), []);
    assert.deepEqual(kinds([vm(100)], guest(100, { rules: 3, mark: undefined })), []);
    assert.deepEqual(kinds([vm(100)], guest(100, { rules: 3, mark: mark(100, "other") })), []);
  });

  it("deletes files with our name that the state does not know, and keeps those that it knows", () => {
    const file = { kind: "file", id: "local:import/hive-genesis-debian.qcow2" } as const;
    const resource = {
      urn: "urn:pulumi:genesis::hive::proxmoxve:download/file:File::images-debian",
      type: "proxmoxve:download/file:File",
      inputs: { datastoreId: "local", contentType: "import", fileName: "hive-genesis-debian.qcow2" },
    };
    const snippet = {
      urn: "urn:pulumi:genesis::hive::proxmoxve:index/fileLegacy:FileLegacy::images-agent",
      type: "proxmoxve:index/fileLegacy:FileLegacy",
      inputs: { datastoreId: "local", contentType: "snippets", sourceRaw: { fileName: "hive-genesis-a.yaml" } },
    };
    const kinds = (state: ReturnType<typeof decodeState>, id: string = file.id): string[] =>
      plan(state, [{ ...file, id }]).steps.map(({ kind }) => kind);
    assert.deepEqual(kinds(stateOf([])), ["delete"]);
    assert.deepEqual(kinds(stateOf([resource])), []);
    assert.deepEqual(kinds(stateOf([snippet]), "local:snippets/hive-genesis-a.yaml"), []);
    assert.deepEqual(kinds(stateOf([], [{ type: "creating", resource }])), ["delete", "forget"]);
  });

  it("reads again what an update or delete left open", () => {
    const { steps } = plan(stateOf([vm(100)], [{ type: "updating", resource: vm(100) }]), [guest(100)]);
    assert.deepEqual(
      steps.map(({ kind }) => kind),
      ["forget", "refresh"],
    );
  });

  it("deletes only objects with our stack's mark that the state does not hold; strangers never", () => {
    const object = fc.record({
      id: fc.integer({ min: 100, max: 110 }),
      owner: fc.constantFrom("none", "ours", "other"),
      lock: fc.constantFrom(undefined, "create", "backup"),
      protected: fc.boolean(),
      running: fc.boolean(),
    });
    const some = fc.uniqueArray(object, { selector: ({ id }) => id });
    fc.assert(
      fc.property(
        some,
        fc.uniqueArray(fc.integer({ min: 100, max: 110 })),
        fc.uniqueArray(fc.integer({ min: 100, max: 110 })),
        (objects, inState, pending) => {
          const host = objects.map(({ id, owner, ...more }) =>
            guest(id, {
              ...more,
              mark: owner === "none" ? undefined : mark(id, owner === "ours" ? "genesis" : "other"),
            }),
          );
          const { steps } = plan(
            stateOf(
              inState.map((id) => vm(id)),
              pending.map((id) => ({ type: "creating", resource: vm(id) })),
            ),
            host,
          );
          for (const step of steps) {
            if (step.kind !== "delete" && step.kind !== "unlock-guest") continue;
            assert.equal(step.object.mark?.stack, "genesis");
            if (step.kind === "delete") assert.ok(!inState.includes(Number(step.object.id)));
          }
          const deleted = steps.flatMap((step) => (step.kind === "delete" ? [step.object.id] : []));
          assert.equal(new Set(deleted).size, deleted.length);
        },
      ),
    );
  });
});

describe("plugins", () => {
  it("of a killed engine on this backend are ended, of a live engine or another backend never", () => {
    const provider = ["/x/pulumi-resource-proxmoxve", "127.0.0.1:1"];
    const pack = ["node", "/y/run-policy-pack/index.js", "127.0.0.1:1"];
    const facts = { args: provider, parent: "systemd", backend: "file:///b" };
    const processes = [
      { ...facts, pid: 1 },
      { ...facts, pid: 2, parent: "pulumi" },
      { ...facts, pid: 3, backend: "file:///other" },
      { ...facts, pid: 4, backend: undefined },
      { ...facts, pid: 5, args: pack },
      { ...facts, pid: 6, args: ["node", "cli/main.ts", "up"] },
      { ...facts, pid: 7, args: ["pulumi", "up"] },
    ];
    assert.deepEqual(orphanedPlugins(processes, "file:///b"), [1, 5]);
  });
});

describe("run state", () => {
  it("of guests that a destroy stopped is remembered, of ours alone, over several attempts", () => {
    const owner = { project: "hive", stack: "genesis" };
    const objects = [
      guest(100, { running: true }),
      guest(101, { running: false }),
      guest(102, { running: false }),
      guest(900, { running: true, mark: undefined }),
      guest(300, { running: true, mark: mark(300, "other") }),
    ];
    assert.deepEqual(runningGuests(objects, owner, []), ["100"]);
    assert.deepEqual(runningGuests(objects, owner, ["101", "900", "555"]), ["100", "101"]);
  });
});

describe("locks", () => {
  const lock = { place: "x", pid: 42, username: "u", hostname: "here", timestamp: "2026-11-21T12:00:00Z" };
  const facts = (startedAtMs: number | undefined): HolderFacts => ({ thisHost: "here", startedAtMs, bootedAtMs: 0 });

  it("is dead only when its process on this machine is gone, or younger than the lock", () => {
    const taken = Date.parse(lock.timestamp);
    assert.equal(judgeLock(lock, facts(undefined)).kind, "dead");
    assert.equal(judgeLock(lock, facts(taken - 1000)).kind, "alive");
    assert.equal(judgeLock(lock, facts(taken + 60_000)).kind, "dead");
    assert.equal(judgeLock({ ...lock, hostname: "there" }, facts(undefined)).kind, "elsewhere");
  });

  it("reads the engine's lock file and refusal, and no torn file", () => {
    assert.equal(decodeLock("x", '{"pid":42,"username":"u","hostname":"h","timestamp":"t"}')?.pid, 42);
    assert.equal(decodeLock("x", '{"pid":4'), undefined);
    assert.equal(
      locksInMessage("locked\n  s3://b/.pulumi/locks/a.json: created by root@vm (pid 9641) at 2026-11-21T12:26:30Z")[0]
        ?.pid,
      9641,
    );
  });

  it("that a backend reports is broken only when every holder is dead, and none that cannot be read", () => {
    const taken = Date.parse(lock.timestamp);
    const locks = [lock, { ...lock, pid: lock.pid + 1 }];
    assert.ok("broken" in judgeReported(locks, () => facts(undefined)));
    assert.ok("stays" in judgeReported(locks, ({ pid }) => facts(pid === lock.pid ? undefined : taken - 1000)));
    assert.ok("stays" in judgeReported([{ ...lock, hostname: "there" }], () => facts(undefined)));
    assert.ok("stays" in judgeReported([], () => facts(undefined)));
  });
});

describe("objects and protection", () => {
  it("finds a resource's object by the identity in its inputs", () => {
    assert.deepEqual(objectOf("proxmoxve:index/vmLegacy:VmLegacy", { vmId: 200 }), { kind: "guest", id: "200" });
    assert.deepEqual(objectOf("proxmoxve:network/linux/bridge:Bridge", { name: "vmbr1" }), {
      kind: "bridge",
      id: "vmbr1",
    });
    assert.equal(objectOf("command:remote:Command", {}), undefined);
  });

  it("reads a mark, URL-encoded or not", () => {
    const text = `The Brain ${renderMarker({ project: "hive", stack: "genesis", urn: urnOf(100) })}`;
    assert.equal(markOf(text)?.urn, urnOf(100));
    assert.equal(markOf(encodeURIComponent(text))?.urn, urnOf(100));
    assert.equal(markOf("%E0%A4%A"), undefined);
  });

  it("holds every protected guest that was not named, and lifts exactly the named", () => {
    const deployment = { resources: [vm(100, true), vm(200, true), vm(101)] };
    const { resources } = decodeState(deployment);
    const release = planRelease(resources, ["200"]);
    assert.deepEqual(
      release.held.map(({ id }) => id),
      ["100"],
    );
    const lifted = decodeState(withoutProtection(deployment, new Set(release.released.flatMap(({ urns }) => urns))));
    assert.deepEqual(
      lifted.resources.map(({ protect }) => protect),
      [true, false, false],
    );
    assert.deepEqual(planRelease(resources, ["all"]).held, []);
    assert.deepEqual(planRelease(resources, ["101"]).unknown, ["101"]);
  });

  it("lets a protected object that is no guest go with `all` alone, whatever its name begins with", () => {
    const urn = "urn:pulumi:genesis::hive::proxmoxve:storage/zfspool:Zfspool::vm-100-disks";
    const disks = { urn, type: "proxmoxve:storage/zfspool:Zfspool", inputs: { resourceId: "tank" }, protect: true };
    const { released, others } = planRelease(decodeState({ resources: [vm(100, true), disks] }).resources, ["100"]);
    assert.deepEqual(others, [urn]);
    assert.deepEqual(
      released.flatMap(({ urns }) => urns),
      [urnOf(100)],
    );
  });
});
