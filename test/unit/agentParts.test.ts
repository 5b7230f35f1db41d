import assert from "node:assert/strict";
import fc from "fast-check";
import { compressedClock, manualClock, realClock } from "../../runtime-agent/src/shared/clock.ts";
import { cgroup2Mounts } from "../../runtime-agent/src/shared/doctor/keeperChecks.ts";
import { failed, ok, renderFindings, runChecks } from "../../runtime-agent/src/shared/doctor/doctor.ts";
import { parseFailpoints } from "../../runtime-agent/src/shared/failpoints.ts";
import { decodeLine, encodeLine, longestLineBytes } from "../../runtime-agent/src/shared/journal/line.ts";
import { findRoute } from "../../runtime-agent/src/shared/localApi/router.ts";
import type { Route } from "../../runtime-agent/src/shared/localApi/index.ts";
import { createLog } from "../../runtime-agent/src/shared/log.ts";
import { createRegistry, metricsRoute } from "../../runtime-agent/src/shared/metrics.ts";
import { unixAddress } from "../../runtime-agent/src/shared/sdNotify.ts";
import { renderStatus } from "../../runtime-agent/src/shared/status/render.ts";

describe("clocks", () => {
  it("ends the sleeps of a manual clock in the order of their ends, whatever the wall clock does", async () => {
    const clock = manualClock(1000);
    const ended: number[] = [];
    const sleeps = [30, 10, 20].map((ms) => clock.sleep(ms).then(() => ended.push(ms)));
    clock.jumpWall(-3_600_000);
    clock.advance(25);
    await Promise.all(sleeps.slice(1));
    assert.deepEqual(ended, [10, 20]);
    assert.equal(clock.sleepers, 1);
    assert.equal(clock.monotonicMs(), 25);
    assert.equal(clock.wallMs(), 1025 - 3_600_000);
    assert.throws(() => clock.advance(-1), RangeError);
  });

  it("ends a sleep at once when its signal is aborted, on every clock", async () => {
    for (const clock of [realClock(), manualClock(), compressedClock(2, 0)]) {
      const stop = new AbortController();
      const sleep = clock.sleep(3_600_000, stop.signal);
      stop.abort();
      await sleep;
      await clock.sleep(3_600_000, stop.signal);
    }
  });

  it("runs a compressed clock at its factor, from the given wall time", async () => {
    const base = manualClock(5);
    const day = compressedClock(1000, 1_000_000, base);
    const sleep = day.sleep(60_000);
    base.advance(60);
    await sleep;
    assert.equal(day.monotonicMs(), 60_000);
    assert.equal(day.wallMs(), 1_060_000);
  });
});

describe("failpoints", () => {
  it("reads its three effects and refuses the rest", () => {
    const effects = parseFailpoints("journal.before-fsync=kill:3, a=delay:20,b=error,");
    assert.deepEqual(effects.get("journal.before-fsync"), { kind: "kill", at: 3 });
    assert.deepEqual(effects.get("a"), { kind: "delay", ms: 20 });
    assert.deepEqual(effects.get("b"), { kind: "error", from: 1, to: Infinity });
    assert.deepEqual(parseFailpoints("b=error:2-3").get("b"), { kind: "error", from: 2, to: 3 });
    for (const wrong of ["x", "x=explode", "=kill:1", "x=delay:-1", "x=kill:1-2"])
      assert.throws(() => parseFailpoints(wrong), RangeError);
  });
});

describe("journal lines", () => {
  it("gives back what was written (property)", () => {
    fc.assert(
      fc.property(
        fc.dictionary(
          fc.string().filter((key) => key !== "__proto__"),
          fc.jsonValue(),
        ),
        (entry) => {
          const line = encodeLine(entry);
          assert.equal(line.indexOf(0x0a), line.length - 1);
          const decoded = decodeLine(line.subarray(0, -1));
          assert.deepEqual(decoded.ok && decoded.value, JSON.parse(JSON.stringify(entry)));
        },
      ),
    );
  });

  it("believes no line in which any bit differs (property)", () => {
    fc.assert(
      fc.property(fc.string(), fc.nat(), (text, at) => {
        const line = encodeLine({ text }).subarray(0, -1);
        const bit = at % (line.length * 8);
        line.writeUInt8((line[bit >> 3] ?? 0) ^ (1 << (bit & 7)), bit >> 3);
        assert.equal(decodeLine(line).ok, false);
      }),
    );
  });

  it("never throws on any bytes, and refuses to write what it would not read (property)", () => {
    fc.assert(fc.property(fc.uint8Array(), (bytes) => assert.equal(decodeLine(Buffer.from(bytes)).ok, false)));
    assert.throws(() => encodeLine([1]), TypeError);
    assert.throws(() => encodeLine({ text: "x".repeat(longestLineBytes) }), RangeError);
  });
});

describe("local API routes", () => {
  const handle = (): { json: string } => ({ json: "" });
  const routes: Route[] = [
    { method: "GET", path: "/requests/:id", role: "service", handle },
    { method: "DELETE", path: "/requests/:id", role: "service", handle },
  ];
  it("finds a route with its decoded parts, and tells a wrong method from a wrong path", () => {
    const found = findRoute(routes, "GET", "/requests/a%2Fb");
    assert.deepEqual(found.kind === "found" && found.params, { id: "a/b" });
    assert.deepEqual(findRoute(routes, "PUT", "/requests/x"), { kind: "wrongMethod", allow: "GET, DELETE" });
    for (const path of ["/requests", "/requests/", "/requests/a/b", "/requests/%ff"]) {
      assert.equal(findRoute(routes, "GET", path).kind === "found", path === "/requests/", path);
    }
  });
});

describe("log", () => {
  it("writes one JSON line with its priority, and nothing that looks like a secret", () => {
    const lines: string[] = [];
    const log = createLog({ write: (line) => lines.push(line), priority: true, wallMs: () => 0 }, { role: "keeper" });
    log.debug("too small");
    log.with({ service: "eva" }).warning("granted\nnow", {
      token: 7,
      apiToken: "hidden-a",
      nested: { psk: "hidden-b", header: "root@pam!x=hidden-c1234" },
      big: 5n,
    });
    assert.equal(lines.length, 1);
    const [, priority, json] = /^<(\d)>(.*)\n$/.exec(lines[0] ?? "") ?? [];
    assert.equal(priority, "4");
    assert.deepEqual(JSON.parse(json ?? ""), {
      time: "1970-01-01T00:00:00.000Z",
      level: "warning",
      message: "granted\nnow",
      role: "keeper",
      service: "eva",
      token: 7,
      apiToken: "[hidden]",
      nested: { psk: "[hidden]", header: "[hidden]" },
      big: "5",
    });
  });

  it("survives what cannot be written", () => {
    const circle: Record<string, unknown> = {};
    circle.self = circle;
    const log = createLog({
      write() {
        throw new Error("full");
      },
    });
    log.error("x", { circle });
  });
});

describe("doctor", () => {
  it("turns a check that throws or hangs into a finding, and keeps the order", async () => {
    const findings = await runChecks(
      [
        { name: "slow", run: () => new Promise(() => undefined) },
        { name: "throws", run: () => Promise.reject(new Error("boom\nat x")) },
        { name: "two", run: () => Promise.resolve([ok("a"), failed("b", "repair b")]) },
      ],
      20,
    );
    assert.deepEqual(
      findings.map(({ check, state, found }) => `${check} ${state} ${found}`),
      ["slow failed no answer within 20 ms", "throws failed boom", "two ok a", "two failed b"],
    );
    assert.match(renderFindings(findings), /FAIL {2}two {5}b\n {14}→ repair b\n3 of 4 failed\.\n$/);
  });

  it("finds cgroup v2 mounts in mountinfo", () => {
    const mountinfo = "30 1 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n31 1 0:2 / /proc rw - proc proc rw\n";
    assert.deepEqual(cgroup2Mounts(mountinfo), ["/sys/fs/cgroup"]);
  });
});

describe("status", () => {
  it("shows values aligned, records as tables, and no control character", () => {
    const status = {
      side: "arbiter",
      gpu: { kind: "known", temperatureC: 61 },
      services: [
        { name: "eva", holds: true },
        { name: "mu\u001b[2Jse", holds: false, rung: "freeze" },
      ],
      queue: [],
    };
    assert.deepEqual(renderStatus(status).split("\n"), [
      "side      arbiter",
      "gpu:",
      "  kind          known",
      "  temperatureC  61",
      "services:",
      "  name      holds  rung",
      "  eva       true   –",
      "  mu?[2Jse  false  freeze",
      "queue     none",
      "",
    ]);
  });

  it("never throws on any JSON (property)", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) =>
        assert.ok(renderStatus(value).endsWith("\n") || renderStatus(value) === ""),
      ),
    );
  });
});

describe("sd_notify addresses", () => {
  it("are a path with its NUL, or an abstract name without", () => {
    assert.equal(unixAddress("/run/n").toString("latin1"), "\u0001\u0000/run/n\u0000");
    assert.equal(unixAddress("@n").toString("latin1"), "\u0001\u0000\u0000n");
    assert.throws(() => unixAddress("vsock:2:1"), RangeError);
    assert.throws(() => unixAddress(`/${"x".repeat(107)}`), RangeError);
    assert.equal(unixAddress(`/${"x".repeat(106)}`).length, 110);
  });
});

describe("metrics", () => {
  it("are text in Prometheus' format, with this process's memory and CPU", async () => {
    const signal = new AbortController().signal;
    const route = metricsRoute(createRegistry({ role: "keeper" }));
    const context = {
      caller: { role: "admin" as const },
      query: new URLSearchParams(),
      params: {},
      body: undefined,
      signal,
    };
    const reply = await route.handle(context);
    const text = "text" in reply ? reply.text : "";
    assert.match(text, /^hive_agent_info\{version="[^"]+",node="v\d+[^"]*",role="keeper"\} 1$/m);
    const resident = Number(/^hive_agent_resident_bytes\S* (\d+)/m.exec(text)?.[1]);
    assert.ok(resident > 10e6, text);
    assert.match(text, /^# TYPE hive_agent_cpu_seconds_total counter$/m);
  });
});
