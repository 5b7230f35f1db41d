import assert from "node:assert/strict";
import fc from "fast-check";
import {
  cgroup2Mounts,
  cgroup2PathOf,
  checkCgroupPath,
  isWithin,
  parseEvents,
  parsePids,
} from "../../runtime-agent/src/keeper/processes/cgroup/paths.ts";
import { flavourOf, inspected, listed } from "../../runtime-agent/src/keeper/processes/containers/dialects.ts";
import { parseStat } from "../../runtime-agent/src/keeper/processes/pids/stat.ts";
import type { ProcessStat } from "../../runtime-agent/src/keeper/processes/pids/stat.ts";
import { descendants } from "../../runtime-agent/src/keeper/processes/pids/tree.ts";
import { brokenChains, chainAfter } from "../support/burner.ts";

function stat(pid: number, parent: number, startTicks: number): ProcessStat {
  return { pid, parent, startTicks, name: "p", state: "S", threads: 1 };
}

describe("keeper processes, pure parts", () => {
  it("reads a stat line whose name holds anything", () => {
    fc.assert(
      fc.property(fc.string(), fc.nat(), fc.nat(), fc.nat(), (name, parent, threads, startTicks) => {
        const between = "0 ".repeat(13);
        const text = `7 (${name}) R ${String(parent)} ${between}20 0 ${String(threads)} 0 ${String(startTicks)} 0 0\n`;
        // Fields 3, 4, thirteen more (5 to 17), priority 18, nice 19, threads 20, itrealvalue 21, start 22.
        assert.deepEqual(parseStat(text), { pid: 7, name, state: "R", parent, threads, startTicks });
      }),
    );
    assert.equal(parseStat(""), undefined);
    assert.equal(parseStat("7 (a) R"), undefined);
    assert.equal(parseStat("7 (a) ? 1 " + "0 ".repeat(40)), undefined);
  });

  it("walks a tree, and leaves out a child that is older than its parent", () => {
    const all = [stat(10, 1, 100), stat(11, 10, 110), stat(12, 11, 120), stat(13, 10, 90), stat(20, 1, 100)];
    const found = descendants(all, [{ pid: 10, startTicks: 100 }]);
    assert.deepEqual(
      found.map(({ pid }) => pid),
      [10, 11, 12],
    );
    assert.deepEqual(descendants(all, [{ pid: 10, startTicks: 101 }]), []);
  });

  it("ends on process tables that make a circle", () => {
    assert.equal(descendants([stat(5, 6, 1), stat(6, 5, 1)], [{ pid: 5, startTicks: 1 }]).length, 2);
  });

  it("finds cgroup v2 mounts, whole hierarchies first", () => {
    const text = [
      "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw",
      "40 31 0:37 /part /mnt/a\\040b rw,relatime shared:9 - cgroup2 none rw",
      "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw",
      "38 31 0:35 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer",
      "broken",
    ].join("\n");
    assert.deepEqual(cgroup2Mounts(text), [
      { folder: "/sys/fs/cgroup/unified", root: "/" },
      { folder: "/mnt/a b", root: "/part" },
    ]);
  });

  it("reads the v2 line of /proc/PID/cgroup", () => {
    assert.equal(cgroup2PathOf("9:freezer:/x\n0::/hive/muse\n"), "/hive/muse");
    assert.equal(cgroup2PathOf("9:freezer:/x\n"), undefined);
    assert.equal(cgroup2PathOf("0::/hive/muse (deleted)\n"), undefined);
  });

  it("takes only cgroup paths that stay below the mount", () => {
    for (const good of ["hive/muse", "/hive/muse", "system.slice/ollama.service", "a..b", "-x"])
      assert.equal(checkCgroupPath("cgroup", good).ok, true, good);
    const bad = ["", "/", "..", "a/../b", "a/./b", "a//b", "a/", "a\nb", "a\0b", "hive/cgroup.procs", "x".repeat(256)];
    for (const path of bad) assert.equal(checkCgroupPath("cgroup", path).ok, false, JSON.stringify(path));
    fc.assert(
      fc.property(fc.array(fc.constantFrom("..", ".", "", "a", "b.service", "\n")), (parts) => {
        const checked = checkCgroupPath("cgroup", parts.join("/"));
        if (checked.ok) assert.ok(checked.value.every((part) => !["", ".", "..", "\n"].includes(part)));
      }),
    );
  });

  it("knows what lies within a group", () => {
    assert.equal(isWithin("/hive/muse", "/hive"), true);
    assert.equal(isWithin("/hive", "/hive"), true);
    assert.equal(isWithin("/hive2", "/hive"), false);
    assert.equal(isWithin("/hive", "/"), true);
  });

  it("reads cgroup.events and cgroup.procs", () => {
    assert.deepEqual(parseEvents("populated 1\nfrozen 0\n"), { populated: true, frozen: false });
    assert.equal(parseEvents("populated 1\n"), undefined);
    assert.deepEqual(parsePids("12\n0\n34\n"), [12, 34]);
    assert.deepEqual(parsePids(""), []);
  });

  it("agrees on an engine's API version", () => {
    const podman = { "api-version": "1.41", "libpod-api-version": "4.3.1" };
    assert.deepEqual(flavourOf(podman, "s"), { kind: "libpod", prefix: "/v4.3.0/libpod" });
    assert.deepEqual(flavourOf(podman, "s", "docker"), { kind: "docker", prefix: "/v1.41" });
    assert.deepEqual(flavourOf({ "api-version": "1.99" }, "s"), { kind: "docker", prefix: "/v1.51" });
    assert.deepEqual(flavourOf({ "api-version": "1.44", "libpod-api-version": "99.0.0" }, "s").kind, "docker");
    for (const headers of [{}, { "api-version": "1.12" }, { "api-version": "1.4/../.." }])
      assert.throws(() => flavourOf(headers, "s"), { name: "ProcessError", fault: "unsupported" });
  });

  it("brings both engines' words to one form", () => {
    const paused = { Id: "a", Name: "muse", State: { Running: false, Paused: true, Pid: 7 } };
    assert.deepEqual(inspected.parse(paused), { id: "a", name: "muse", running: true, paused: true, pid: 7 });
    const exited = { Id: "a", Name: "/muse", State: { Running: false, Paused: false, Pid: 0 } };
    assert.deepEqual(inspected.parse(exited), { id: "a", name: "muse", running: false, paused: false, pid: undefined });
    assert.equal(inspected.safeParse({ Id: "a", Name: "b", State: {} }).success, false);
    assert.deepEqual(listed.parse([{ Id: "a", Names: ["/muse"], State: "running" }]), [
      { id: "a", names: ["muse"], state: "running" },
    ]);
  });

  it("tells lost or repeated work by its chain", () => {
    assert.deepEqual(brokenChains([{ steps: 0, chain: 0 }]), []);
    assert.deepEqual(brokenChains([{ steps: 5, chain: chainAfter(0, 5) }]), []);
    assert.deepEqual(brokenChains([{ steps: 6, chain: chainAfter(0, 5) }]), [0]);
  });
});
