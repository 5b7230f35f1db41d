import assert from "node:assert/strict";
import fc from "fast-check";
import {
  budgetInWords,
  commitmentsOf,
  committedOf,
  leftOf,
  type Budget,
  type KnownServer,
} from "../../components/shared/vps/budget.ts";
import { knownBundles } from "../../components/shared/vps/lightsail.ts";
import { cheapestOffer } from "../../components/shared/vps/offers.ts";
import type { VpsSize } from "../../components/shared/vps/sizing.ts";

const offers = knownBundles("eu-west-3");
const priceOf = (size: VpsSize): number => {
  const offer = cheapestOffer(size, offers, 10_000_000);
  return offer.ok ? offer.value.centsPerMonth : Number.NaN;
};
const servers = fc.array(
  fc.record<KnownServer>({
    what: fc.constantFrom("the Sentinel", "agent a", "agent b", "agent c"),
    provider: fc.constantFrom("proxmox", "lightsail"),
    size: fc.constantFrom("XS", "S", "M", "L"),
    offers: fc.constant(offers),
  }),
  { maxLength: 8 },
);

describe("budget of a Hive", () => {
  it("counts each server once, at its dearest, in any order, and not the one that is asked for (property)", () => {
    fc.assert(
      fc.property(servers, (known) => {
        const found = commitmentsOf(known, "agent a");
        assert.deepEqual(commitmentsOf(known.toReversed(), "agent a"), found);
        assert.deepEqual(commitmentsOf([...known, ...known], "agent a"), found, "told by two");
        const billed = known.filter(({ what, provider }) => what !== "agent a" && provider === "lightsail");
        assert.deepEqual(
          found,
          [...new Set(billed.map(({ what }) => what))].toSorted().map((what) => {
            const prices = billed.filter((one) => one.what === what).map(({ size }) => priceOf(size));
            return { what, centsPerMonth: Math.max(...prices) };
          }),
        );
        // A destroyed agent gives back exactly what it was promised.
        const without = commitmentsOf(
          known.filter(({ what }) => what !== "agent b"),
          "agent a",
        );
        const its = found.find(({ what }) => what === "agent b")?.centsPerMonth ?? 0;
        assert.equal(
          committedOf({ centsPerMonth: 0, committed: without }) + its,
          committedOf({ centsPerMonth: 0, committed: found }),
        );
      }),
    );
  });

  it("adds the Hive's servers to what a person wrote, and never leaves less than nothing (property)", () => {
    const cents = fc.integer({ min: 0, max: 100_000 });
    fc.assert(
      fc.property(cents, cents, servers, (centsPerMonth, committedCents, known) => {
        const budget: Budget = { centsPerMonth, committedCents, committed: commitmentsOf(known, "") };
        const sum = committedOf(budget);
        assert.equal(sum, committedCents + committedOf({ ...budget, committedCents: 0 }));
        const left = leftOf(budget);
        assert.ok(left.ok);
        assert.equal(left.value, Math.max(0, centsPerMonth - sum));
        for (const { what } of budget.committed ?? [])
          assert.ok(budgetInWords(budget).includes(`USD to ${what}`), what);
      }),
    );
  });

  it("names every part that is no whole number of cents", () => {
    const committed = [{ what: "agent a", centsPerMonth: -1 }];
    const left = leftOf({ centsPerMonth: 0.5, committedCents: Number.NaN, committed });
    assert.ok(!left.ok);
    assert.deepEqual(
      left.faults.map(({ property }) => property),
      ["budget.centsPerMonth", "budget.committedCents", "budget.committed[0].centsPerMonth"],
    );
  });
});
