import assert from "node:assert/strict";
import fc from "fast-check";
import { decodeState, withoutProtection } from "../../cli/repair/deployment.ts";
import { type HolderFacts, decodeLock, judgeLock, locksInMessage } from "../../cli/repair/lock.ts";
import { type HostObject, markOf, objectOf } from "../../cli/repair/objects.ts";
import { planRepair } from "../../cli/repair/plan.ts";
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
});
