import assert from "node:assert/strict";
import fc from "fast-check";
import {
  agentKinds,
  checkSize,
  isOfSize,
  oomWindowMs,
  parseAgentKind,
  proposeSize,
  sizeFor,
  vpsSizes,
  type AgentKind,
  type VpsSize,
} from "../../components/shared/vps/sizing.ts";
import { cheapestOffer, formatCents, type Offer } from "../../components/shared/vps/offers.ts";

const sizes: readonly VpsSize[] = ["XS", "S", "M", "L"];
const kinds: readonly AgentKind[] = ["micro-service", "browser-light", "browser-heavy", "batch", "experimental"];

describe("sizes of throwaway servers", () => {
  it("gives each kind of agent the seed's size", () => {
    assert.deepEqual(Object.keys(agentKinds), kinds);
    assert.deepEqual(kinds.map(sizeFor), ["XS", "S", "M", "M", "XS"]);
    assert.deepEqual(vpsSizes.XS.ramMiB, { least: 1024, most: 1024 });
    assert.deepEqual(vpsSizes.S.ramMiB, { least: 2048, most: 4096 });
    assert.deepEqual(vpsSizes.M.ramMiB, { least: 8192, most: 16384 });
  });

  it("has sizes that no server is of twice", () => {
    const server = fc.record({ ramMiB: fc.integer({ min: 1, max: 100_000 }), vcpus: fc.integer({ min: 1, max: 64 }) });
    fc.assert(fc.property(server, (one) => sizes.filter((size) => isOfSize(size, one)).length <= 1));
  });

  it("has room in each kind's floor for what the kind usually takes, within the 80 % that agents get", () => {
    for (const kind of kinds) {
      const usual = agentKinds[kind].typical.ramMiB.most ?? 0;
      assert.ok(usual <= vpsSizes[sizeFor(kind)].ramMiB.most * 0.8, kind);
    }
  });

  it("knows a mistyped kind, and refuses any other", () => {
    assert.deepEqual(parseAgentKind("kind", "batch"), { ok: true, value: "batch" });
    const refused = (text: string) => {
      const read = parseAgentKind("kind", text);
      return read.ok ? undefined : read.faults[0]?.fix;
    };
    assert.equal(refused("browser-ligth"), "Did you mean browser-light?");
    assert.equal(refused("toString"), "Choose one of them.");
    assert.equal(refused("__proto__"), "Choose one of them.");
  });

  it("takes a size that the grid gives the kind, and refuses every other with the one to write", () => {
    for (const kind of kinds)
      for (const size of sizes) {
        const read = checkSize("size", kind, size);
        assert.equal(read.ok, agentKinds[kind].sizes.includes(size), `${kind} ${size}`);
      }
    assert.deepEqual(checkSize("size", "browser-heavy", "S"), {
      ok: false,
      faults: [
        {
          property: "size",
          value: '"S"',
          limit: "M for browser-heavy",
          fix: "Write M: on less it would be killed for its memory.",
        },
      ],
    });
    const tooLarge = checkSize("size", "experimental", "L");
    assert.match(tooLarge.ok ? "" : String(tooLarge.faults[0]?.fix), /^Write XS, or choose the kind/);
    const unknown = checkSize("size", "batch", "XXL");
    assert.deepEqual(unknown.ok ? [] : unknown.faults.map(({ value, fix }) => [value, fix]), [['"XXL"', "Write M."]]);
  });
});

describe("the move from S to M", () => {
  const light = { kind: "browser-light", size: "S" } as const;
  const now = Date.UTC(2026, 0, 31);
  const ago = fc.integer({ min: -oomWindowMs, max: 3 * oomWindowMs });

  it("is proposed for a light browser agent after the second kill in seven days, not after the first", () => {
    assert.equal(proposeSize(light, [], now), undefined);
    assert.equal(proposeSize(light, [now], now), undefined);
    assert.deepEqual(proposeSize(light, [now, now - oomWindowMs + 1], now), { from: "S", to: "M", kills: 2 });
    assert.equal(proposeSize(light, [now, now - oomWindowMs], now), undefined);
    assert.equal(proposeSize(light, [now, now + 1], now), undefined);
  });

  it("is proposed for no other kind and no other size", () => {
    for (const kind of kinds)
      for (const size of sizes)
        if (kind !== "browser-light" || size !== "S")
          assert.equal(proposeSize({ kind, size }, [now, now, now], now), undefined);
  });

  it("depends on the kills of the week alone: not on their order, the date, or older ones", () => {
    fc.assert(
      fc.property(fc.array(ago), fc.array(ago), fc.integer({ min: 0, max: now }), (some, others, shift) => {
        const kills = some.map((ms) => now - ms);
        const proposed = proposeSize(light, kills, now);
        const week = some.filter((ms) => ms >= 0 && ms < oomWindowMs).length;
        assert.equal(proposed?.kills, week > 1 ? week : undefined);
        assert.deepEqual(proposeSize(light, kills.toReversed(), now), proposed);
        const moved = kills.map((at) => at + shift);
        assert.deepEqual(proposeSize(light, moved, now + shift), proposed);
        const old = others.map((ms) => now - oomWindowMs - Math.abs(ms));
        assert.deepEqual(proposeSize(light, [...old, ...kills], now), proposed);
      }),
    );
  });

  it("is never taken back by one more kill", () => {
    fc.assert(
      fc.property(fc.array(ago), fc.integer({ min: 0, max: oomWindowMs - 1 }), (some, one) => {
        const kills = some.map((ms) => now - ms);
        const before = proposeSize(light, kills, now)?.kills ?? 0;
        assert.ok((proposeSize(light, [...kills, now - one], now)?.kills ?? 0) >= before);
      }),
    );
  });
});

describe("offers", () => {
  const offer = (id: string, ramMiB: number, vcpus: number, centsPerMonth: number, centsPerHour = 1): Offer => {
    return { id, ramMiB, vcpus, centsPerMonth, centsPerHour };
  };
  /** Lightsail, us-east-1, USD a month. */
  const lightsail = [
    offer("nano", 512, 2, 500),
    offer("micro", 1024, 2, 700),
    offer("small", 2048, 2, 1200, 2),
    offer("medium", 4096, 2, 2400, 4),
    offer("large", 8192, 2, 4400, 6),
    offer("xlarge", 16384, 4, 8400, 12),
    offer("2xlarge", 32768, 8, 16400, 22),
  ];
  const faultsOf = (size: VpsSize, offers: readonly Offer[], budget: number) => {
    const chosen = cheapestOffer(size, offers, budget);
    return chosen.ok ? [] : chosen.faults;
  };

  it("chooses the cheapest of a size", () => {
    const ids = sizes.map((size) => {
      const chosen = cheapestOffer(size, lightsail, 100_000);
      return chosen.ok ? chosen.value.id : chosen.faults;
    });
    assert.deepEqual(ids, ["micro", "small", "large", "2xlarge"]);
  });

  it("refuses what the budget does not pay, with the price", () => {
    assert.deepEqual(faultsOf("M", lightsail, 4400), []);
    assert.deepEqual(faultsOf("M", lightsail, 4399), [
      {
        property: "budgetLeftCents",
        value: "43.99 USD",
        limit: "at least 44.00 USD a month, the price of large, the cheapest of size M",
        fix: "Raise the budget, or destroy a server that is not needed.",
      },
    ]);
    assert.equal(formatCents(5), "0.05 USD");
  });

  it("says that there is none of a size, and which offers and budgets make no sense", () => {
    assert.match(String(faultsOf("L", lightsail.slice(0, 3), 1)[0]?.limit), /size L: 32 GiB to 64 GiB with 4 to 32/);
    const odd = [offer("", 1024, 1.5, Number.NaN, -1)];
    assert.deepEqual(
      faultsOf("XS", odd, 0.5).map(({ property }) => property),
      ["offers[0].id", "offers[0].vcpus", "offers[0].centsPerMonth", "offers[0].centsPerHour", "budgetLeftCents"],
    );
  });

  it("chooses, from any list in any order, one of the size that no other of the size is cheaper than", () => {
    const any = fc.record({
      id: fc.stringMatching(/^[a-z]{1,3}$/),
      ramMiB: fc.constantFrom(512, 1024, 2048, 8192, 16384, 32768),
      vcpus: fc.integer({ min: 1, max: 16 }),
      centsPerMonth: fc.integer({ min: 0, max: 50 }),
      centsPerHour: fc.integer({ min: 0, max: 5 }),
    });
    fc.assert(
      fc.property(
        fc.constantFrom(...sizes),
        fc.uniqueArray(any, { selector: ({ id }) => id }),
        fc.integer({ min: 0, max: 60 }),
        (size, offers, budget) => {
          const chosen = cheapestOffer(size, offers, budget);
          assert.deepEqual(cheapestOffer(size, offers.toReversed(), budget), chosen);
          const prices = offers.filter((one) => isOfSize(size, one)).map(({ centsPerMonth }) => centsPerMonth);
          const least = Math.min(...prices);
          assert.equal(chosen.ok, least <= budget);
          if (chosen.ok) assert.ok(isOfSize(size, chosen.value) && chosen.value.centsPerMonth === least);
        },
      ),
    );
  });
});
