import assert from "node:assert/strict";
import { Histogram, exposition, processFamilies } from "../../runtime-agent/src/nerve/exposition.ts";

describe("Nerve: metrics as Prometheus reads them", () => {
  it("writes families with their samples, and escapes what a label must not hold", () => {
    const text = exposition([
      { name: "a_total", help: "As", type: "counter", samples: [{ labels: { x: 'q"\\\n', y: "1" }, value: 2 }] },
      { name: "b", help: "Bs", type: "gauge", samples: [{ value: Number.NaN }, { value: Number.NEGATIVE_INFINITY }] },
    ]);
    assert.equal(
      text,
      '# HELP a_total As\n# TYPE a_total counter\na_total{x="q\\"\\\\\\n",y="1"} 2\n' +
        "# HELP b Bs\n# TYPE b gauge\nb NaN\nb -Inf\n",
    );
  });

  it("counts durations up to each bound, and beyond the last", () => {
    const histogram = new Histogram([0.1, 1]);
    for (const seconds of [0.1, 0.5, 2]) histogram.observe(seconds);
    assert.deepEqual(
      histogram.samples().map(({ suffix, labels, value }) => [suffix, labels?.["le"], value]),
      [
        ["_bucket", "0.1", 1],
        ["_bucket", "1", 2],
        ["_bucket", "+Inf", 3],
        ["_sum", undefined, 2.6],
        ["_count", undefined, 3],
      ],
    );
  });

  it("tells the process's memory and time by the names that every role has", () => {
    const text = exposition(processFamilies());
    assert.match(text, /^hive_agent_info\{version="[^"]+",node="v\d+[^"]*"\} 1$/m);
    assert.match(text, /^hive_agent_resident_bytes [1-9]\d{6,}$/m);
    assert.match(text, /^hive_agent_cpu_seconds_total [\d.]+$/m);
  });
});
