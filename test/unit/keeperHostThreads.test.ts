import assert from "node:assert/strict";
import fc from "fast-check";
import type { PinningInput, PinningDeed, ThreadSeen } from "../../runtime-agent/src/keeper/host/core/threads.ts";
import { planPinning, threadKind } from "../../runtime-agent/src/keeper/host/core/threads.ts";

describe("Keeper, host side: CPUs of the trading VM", () => {
  const threads = fc
    .record({
      vcpus: fc.integer({ min: 0, max: 8 }),
      helpers: fc.integer({ min: 0, max: 4 }),
      cpus: fc.array(fc.integer({ min: 0, max: 15 }), { minLength: 1, maxLength: 16 }),
      policy: fc.constantFrom(0, 1, 2, 3),
    })
    .map(({ vcpus, helpers, cpus, policy }) =>
      [...Array.from({ length: vcpus }, (_, n) => `CPU ${String(n)}/KVM`), ...Array(helpers).fill("IO x"), "kvm"].map(
        (name, n): ThreadSeen => ({
          tid: 1000 + n,
          ...threadKind(String(name)),
          cpus: [...new Set(cpus)].sort((a, b) => a - b),
          policy,
          priority: policy === 1 || policy === 2 ? 5 : 0,
        }),
      ),
    );
  const given = fc.record({
    own: fc.uniqueArray(fc.integer({ min: 0, max: 15 }), { minLength: 1, maxLength: 15 }),
    threads,
    others: threads.map((list) => list.map((thread) => ({ ...thread, tid: thread.tid + 1000 }))),
    groups: fc.array(fc.uniqueArray(fc.integer({ min: 0, max: 15 }), { minLength: 1 }), { maxLength: 4 }),
    realtimePriority: fc.constantFrom(0, 1, 49),
  });
  const online = Array.from({ length: 16 }, (_, n) => n);

  function applied(input: PinningInput, deeds: readonly PinningDeed[]): PinningInput {
    const move = (thread: ThreadSeen): ThreadSeen =>
      deeds.reduce<ThreadSeen>((now, deed) => {
        if (deed.kind === "affinity" && deed.tid === now.tid) return { ...now, cpus: deed.cpus };
        if (deed.kind === "scheduler" && deed.tid === now.tid)
          return { ...now, policy: deed.policy, priority: deed.priority };
        return now;
      }, thread);
    return {
      ...input,
      threads: input.threads.map(move),
      others: input.others.map(move),
      groups: input.groups.map((group) => {
        const deed = deeds.find((each) => each.kind === "group" && each.path === group.path);
        return deed?.kind === "group" ? { ...group, cpus: deed.cpus } : group;
      }),
    };
  }

  it("property: afterwards its threads are on its cores and nothing else is, and a second look finds nothing", () => {
    fc.assert(
      fc.property(given, ({ own, threads: mine, others, groups, realtimePriority }) => {
        const input: PinningInput = {
          rule: { vmid: 200, cpus: own, realtimePriority },
          online,
          threads: mine,
          others,
          groups: groups.map((cpus, n) => ({ path: `g${String(n)}`, cpus })),
        };
        const plan = planPinning(input);
        assert.ok(plan.ok);
        const after = applied(input, plan.deeds);
        for (const thread of after.threads) {
          assert.ok(thread.cpus.length > 0 && thread.cpus.every((cpu) => own.includes(cpu)));
          if (realtimePriority > 0 && thread.kind === "vcpu")
            assert.deepEqual([thread.policy, thread.priority], [1, realtimePriority]);
        }
        for (const other of [...after.others, ...after.groups])
          assert.ok(other.cpus.length > 0 && !other.cpus.some((cpu) => own.includes(cpu)));
        const again = planPinning(after);
        assert.deepEqual(again, { ok: true, deeds: [] });
      }),
      { numRuns: 300 },
    );
  });

  it("lets a helper interrupt the real-time vCPU whose core it must share, and gives it a core of its own where it can", () => {
    const thread = (tid: number, name: string): ThreadSeen => ({
      tid,
      ...threadKind(name),
      cpus: [0, 1, 2, 3],
      policy: 0,
      priority: 0,
    });
    const mine = [thread(1, "CPU 0/KVM"), thread(2, "CPU 1/KVM"), thread(3, "IO disk")];
    const planned = (cpus: readonly number[]): readonly PinningDeed[] => {
      const rest = { online: [0, 1, 2, 3, 4], threads: mine, others: [], groups: [] };
      const plan = planPinning({ ...rest, rule: { vmid: 200, cpus, realtimePriority: 10 } });
      assert.ok(plan.ok);
      return plan.deeds.filter((deed) => deed.kind !== "group" && deed.tid === 3);
    };
    assert.deepEqual(planned([2, 3]), [
      { kind: "affinity", tid: 3, cpus: [2, 3] },
      { kind: "scheduler", tid: 3, policy: 1, priority: 11 },
    ]);
    assert.deepEqual(planned([1, 2, 3]), [{ kind: "affinity", tid: 3, cpus: [3] }]);
  });

  it("refuses cores that are offline, and to take the last one", () => {
    const rest = { threads: [], others: [], groups: [] };
    const no = planPinning({ ...rest, rule: { vmid: 200, cpus: [9], realtimePriority: 0 }, online: [0, 1] });
    assert.ok(!no.ok && /offline/.test(no.reason));
    const all = planPinning({ ...rest, rule: { vmid: 200, cpus: [0, 1], realtimePriority: 0 }, online: [0, 1] });
    assert.ok(!all.ok && /no CPU to the host/.test(all.reason));
  });

  it("tells threads by the names that QEMU gives them", () => {
    assert.deepEqual(["CPU 3/KVM", "IO iothread0", "vhost-1234", "kvm", "iou-wrk-1"].map(threadKind), [
      { kind: "vcpu", vcpu: 3 },
      { kind: "io" },
      { kind: "io" },
      { kind: "emulator" },
      { kind: "io" },
    ]);
  });
});
