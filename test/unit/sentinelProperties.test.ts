/** The guarantee of signals, under kills of either side at any point, loss, duplicates and reordering. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { createModel } from "../support/sentinelModel.ts";

const keys = ["a", "b", "c", "d", "e", "f", "g", "h"];
/** A step of the world, or (every so often) somebody who asks for a run. */
const steps = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: fc.record({ kind: fc.constant("step" as const), choice: fc.nat(1_000_000) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("ask" as const), choice: fc.nat(keys.length - 1) }) },
  ),
  { minLength: 20, maxLength: 120 },
);

describe("Sentinel: the guarantee of signals", () => {
  for (const idempotent of [true, false])
    it(`loses none, gives one run id for each key and starts no completed run again (idempotent: ${String(idempotent)})`, () => {
      fc.assert(
        fc.property(steps, (played) => {
          const model = createModel(idempotent);
          for (const { kind, choice } of played)
            if (kind === "step") model.step(choice);
            else model.signal(keys[choice] ?? "a");
          model.settle();
          for (const [key, ids] of model.heard) {
            assert.equal(ids.size, 1, `${key} has several run ids: ${[...ids].join(", ")}`);
            assert.ok(model.endOf(key) !== undefined, `${key} is lost`);
            assert.notEqual(model.endOf(key), "dead", key);
          }
          assert.equal(model.begunAfterEnd, 0);
          if (!idempotent) for (const [id, count] of model.begun) assert.equal(count, 1, `${id} was begun twice`);
          // Asked for again at the end, each key is still the same run.
          for (const [key, [id]] of [...model.heard].map(([name, ids]) => [name, [...ids]] as const)) {
            model.signal(key);
            model.settle();
            assert.deepEqual([...(model.heard.get(key) ?? [])], [id]);
          }
          assert.equal(model.begunAfterEnd, 0);
        }),
        { numRuns: 150 },
      );
    });

  it("hands over in the order of acceptance", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(1_000_000), { minLength: 20, maxLength: 80 }), (choices) => {
        const model = createModel(true);
        for (const key of keys.slice(0, 4)) model.signal(key);
        // All steps but a new server, which is given again what its predecessor had.
        for (const choice of choices) if (choice % 17 !== 16) model.step(choice);
        for (const key of keys.slice(4)) model.signal(key);
        model.settle();
        const order = new Map([...model.heard].flatMap(([key, ids]) => [...ids].map((id) => [id, keys.indexOf(key)])));
        const taken = model.taken.map((id) => order.get(id)).filter((place) => place !== undefined);
        assert.deepEqual(
          taken,
          taken.toSorted((a, b) => a - b),
        );
      }),
      { numRuns: 100 },
    );
  });
});
