import assert from "node:assert/strict";
import fc from "fast-check";
import { jobAnnotations } from "../../components/shared/nerve/names.ts";
import { jobOf } from "../../runtime-agent/src/nerve/core/annotations.ts";
import { parseDuration } from "../../runtime-agent/src/nerve/core/duration.ts";
import { asyncPod, oddText, patient } from "../support/nerve.ts";

const hour = 3_600_000;
const faultsOf = (annotations: Readonly<Record<string, unknown>>): readonly string[] => {
  const job = jobOf(asyncPod(annotations));
  return job.ok ? [] : job.faults.map(({ property }) => property);
};

describe("Nerve: what a job's annotations say", () => {
  it("reads all of them", () => {
    const job = jobOf(
      asyncPod({
        "nerve.io/deadline": "2026-12-24T08:00:00.5+01:00",
        "nerve.io/expected-duration": "1h30m",
        "nerve.io/checkpoint": "http:8080/save/all",
        "nerve.io/checkpoint-seconds": "12.5",
        "nerve.io/zones": "eu-west-3a, eu-west-3c,eu-west-3a",
        "nerve.io/carbon-weight": "0.25",
        "nerve.io/decided": "an older one",
        "example.org/other": "x",
      }),
    );
    assert.deepEqual(job, {
      ok: true,
      value: {
        deadline: { kind: "at", ms: Date.UTC(2026, 11, 24, 7, 0, 0, 500) },
        expectedMs: 1.5 * hour,
        checkpoint: { port: 8080, path: "/save/all", takesMs: 12_500 },
        zones: ["eu-west-3a", "eu-west-3c"],
        carbonWeight: 0.25,
      },
    });
  });

  it("takes price alone, every zone and no checkpoint where nothing is said", () => {
    assert.deepEqual(jobOf(asyncPod()), {
      ok: true,
      value: {
        deadline: { kind: "after", ms: 24 * hour },
        expectedMs: 4 * hour,
        checkpoint: undefined,
        zones: undefined,
        carbonWeight: 0,
      },
    });
  });

  it("tells everything that is wrong at once, and what was probably meant", () => {
    const annotations = {
      "nerve.io/deadline": "tomorrow",
      "nerve.io/expected-durations": "4h",
      "nerve.io/checkpoint": "https://10.0.0.1/",
      "nerve.io/checkpoint-seconds": "0",
      "nerve.io/zones": "eu-west-3a,,",
      "nerve.io/carbon-weight": "1.1",
    };
    assert.deepEqual(faultsOf(annotations), [
      "nerve.io/expected-durations",
      ...["nerve.io/deadline", "nerve.io/expected-duration", "nerve.io/checkpoint-seconds", "nerve.io/checkpoint"],
      ...["nerve.io/zones", "nerve.io/carbon-weight"],
    ]);
    const job = jobOf(asyncPod(annotations));
    assert.equal(job.ok ? "" : job.faults[0]?.fix, "Did you mean nerve.io/expected-duration?");
    assert.deepEqual(faultsOf({}), ["nerve.io/deadline", "nerve.io/expected-duration"]);
  });

  it("refuses instants without a zone and days that no calendar has", () => {
    const taken = (deadline: string): boolean => faultsOf({ ...patient, "nerve.io/deadline": deadline }).length === 0;
    const good = ["2028-02-29T00:00:00Z", "2026-06-30t23:59:59z", "2026-06-30T23:59:59.123456789-11:30", "90s", "2d"];
    const bad = ["2026-02-30T00:00:00Z", "2026-06-30T24:00:00Z", "2026-06-30T10:00:00", "2026-06-30", "1e3h", "0h", ""];
    assert.deepEqual([good.filter((one) => !taken(one)), bad.filter(taken)], [[], []]);
  });

  it("refuses ports and paths that no request can name", () => {
    const taken = (checkpoint: string): boolean =>
      faultsOf({ ...patient, "nerve.io/checkpoint": checkpoint }).length === 0;
    const good = ["http:1", "http:65535/", "http:8080/a/b.c?".slice(0, -1)];
    const bad = [
      "http:0/",
      "http:65536/",
      "8080/",
      "http:80 80",
      "http:80/a b",
      "http:80/?q",
      "http:80/#x",
      "http:80/\n",
    ];
    assert.deepEqual([good.filter((one) => !taken(one)), bad.filter(taken)], [[], []]);
  });

  it("reads back each duration that it could have been told", () => {
    const parts = fc.tuple(...[30, 40, 90, 90].map((max) => fc.integer({ min: 0, max })));
    fc.assert(
      fc.property(parts, ([d = 0, h = 0, m = 0, s = 0]) => {
        fc.pre(d + h + m + s > 0);
        const text = [`${d}d`, `${h}h`, `${m}m`, `${s}s`].filter((part) => !part.startsWith("0")).join("");
        assert.equal(parseDuration(text), d * 24 * hour + h * hour + m * 60_000 + s * 1000);
      }),
    );
    assert.equal(parseDuration("367d"), undefined);
  });

  it("takes any JSON and any text without throwing, with a fault for each thing or a job within its bounds", () => {
    const name = fc.oneof(
      fc.constantFrom(...Object.values(jobAnnotations)),
      fc.string().map((end) => `nerve.io/${end}`),
    );
    const value = fc.oneof(
      fc.constantFrom<unknown>("8h", "0.5", "http:80/x", "a,b", "2026-01-01T00:00:00Z", 7, null, [], {}),
      oddText,
    );
    const annotations = fc.dictionary(name, value, { maxKeys: 9 });
    const anything = fc.oneof(
      fc.jsonValue(),
      annotations.map((given) => asyncPod({ ...patient, ...given })),
    );
    fc.assert(
      fc.property(anything, (pod) => {
        const job = jobOf(pod);
        if (!job.ok) return assert.ok(job.faults.length > 0 && job.faults.every(({ fix, limit }) => fix && limit));
        const { expectedMs, carbonWeight, checkpoint, zones } = job.value;
        assert.ok(expectedMs > 0 && carbonWeight >= 0 && carbonWeight <= 1);
        assert.ok(checkpoint === undefined || (checkpoint.path.startsWith("/") && checkpoint.takesMs > 0));
        assert.ok(zones === undefined || zones.length > 0);
      }),
      { numRuns: 200 },
    );
  });

  it("says of thousands of unknown names a few, at once", () => {
    const many = Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [`nerve.io/deadlin${index}`, "x"]));
    assert.equal(faultsOf({ ...patient, ...many }).length, 5);
  });
});
