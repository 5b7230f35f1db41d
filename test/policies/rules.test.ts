import assert from "node:assert/strict";
import { UnknownValueError, unknownCheckingProxy } from "@pulumi/policy";
import { readdirSync } from "node:fs";
import { rules } from "../../policies/rules/index.ts";
import type { RuleCases } from "./case.ts";
import { credentialCases } from "./credentialCases.ts";
import { estateCases } from "./estateCases.ts";
import { soundEstate } from "./estateFixture.ts";
import { guestCases } from "./guestCases.ts";
import { hostCases } from "./hostCases.ts";
import { runRule, unknown } from "./runRule.ts";
import { serverCases } from "./serverCases.ts";
import { serverPortCases } from "./serverPortCases.ts";
import { tradingCases } from "./tradingCases.ts";

/** Settings that follow from the host which the stack declares. */
const hostSettings: Readonly<Record<string, readonly string[]>> = {
  "dmz-bridge-only": ["bridge"],
  "memory-balloon-floors": ["ramMiB", "arcMiB", "hostMiB"],
  "private-bridge-declared": ["bridge"],
  "trading-ai-apart": ["physicalCores"],
  "trading-cores-exclusive": ["physicalCores"],
  "trading-cores-physical": ["physicalCores"],
};

const cases: RuleCases = {
  ...tradingCases,
  ...guestCases,
  ...estateCases,
  ...credentialCases,
  ...serverCases,
  ...serverPortCases,
};

describe("policy rules", () => {
  for (const rule of rules) {
    describe(rule.name, () => {
      for (const { title, resources, config, violations } of [
        ...(cases[rule.name] ?? []),
        ...(hostCases[rule.name] ?? []),
      ]) {
        it(`${violations.length === 0 ? "passes" : "fails"}: ${title}`, async () => {
          const messages = await runRule(rule, resources, config);
          assert.equal(messages.length, violations.length, messages.join("\n"));
          violations.forEach((expected, index) => {
            assert.match(messages[index] ?? "", expected);
            assert.ok(messages[index]?.endsWith(`\nWhy: ${rule.reason}\nFix: ${rule.fix}`));
          });
        });
      }
    });
  }
});

describe("policy pack", () => {
  it("has fixtures whose unknown values Pulumi takes for unknown", () => {
    for (const value of Object.values(unknown)) {
      assert.throws(() => Reflect.get(unknownCheckingProxy({ value }), "value"), UnknownValueError);
    }
  });

  const files = readdirSync(new URL("../../policies/rules/", import.meta.url)).filter((name) => name !== "index.ts");

  it("registers every file of rules/, once, under the file's name", () => {
    assert.deepEqual(rules.map((rule) => `${rule.name}.ts`).toSorted(), files.toSorted());
  });

  it("has for each rule a passing and a failing fixture, and no fixture of an unknown rule", () => {
    assert.deepEqual(Object.keys(cases).toSorted(), rules.map((rule) => rule.name).toSorted());
    for (const [name, list] of Object.entries(cases)) {
      assert.ok(
        list.some((c) => c.violations.length === 0),
        `${name} has no passing fixture`,
      );
      assert.ok(
        list.some((c) => c.violations.length > 0),
        `${name} has no failing fixture`,
      );
    }
  });

  for (const rule of rules) {
    it(`${rule.name} says what, why and how to repair it, and has defaults for every setting`, () => {
      for (const text of [rule.description, rule.reason, rule.fix]) assert.match(text, /^[A-Z].{20,}\.$/s);
      assert.ok(["advisory", "mandatory", "remediate", "disabled"].includes(rule.enforcementLevel));
      for (const [key, property] of Object.entries(rule.configSchema?.properties ?? {})) {
        // The engine hands a default on as if a person had set it: what the declared host says would never count.
        const ofHost = hostSettings[rule.name]?.includes(key) ?? false;
        assert.equal(property.default === undefined, ofHost, `default of ${key}`);
        assert.match(property.description ?? "", /\.$/, `${key} has no description`);
      }
    });

    it(`${rule.name} passes on the seed's estate with every value unknown`, async () => {
      const blank = soundEstate.map((resource) => ({ ...resource, props: {} }));
      assert.deepEqual(
        await runRule(
          rule,
          blank.map((r) => ({ ...r, protect: true, ignoreChanges: ["*"] })),
        ),
        [],
      );
    });
  }
});
