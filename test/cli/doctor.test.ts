import assert from "node:assert/strict";
import fc from "fast-check";
import { nodeCheck } from "../../cli/doctor/check.ts";
import { type MachineFacts, freeUnder, judgeMachine, readMachine } from "../../cli/doctor/machine.ts";
import { record } from "../support/lab-client.ts";
import { Hive, stackFrames } from "./hive.ts";

const gib = 2 ** 30;
const roomy: MachineFacts = { availableMemory: 16 * gib, freeDisk: 100 * gib, cache: "/home/me/.cache/hive", cpus: 8 };

describe("hive doctor", () => {
  it("finds nothing wrong with a roomy machine", () => {
    for (const ready of [true, false])
      assert.deepEqual(
        judgeMachine(roomy, ready).filter(({ ok }) => !ok),
        [],
      );
  });

  const short: readonly (readonly [Partial<MachineFacts>, string, RegExp])[] = [
    [{ availableMemory: 3.9 * gib }, "memory", /swapon/],
    [{ freeDisk: 5.9 * gib }, "disk", /HIVE_CACHE=/],
    [{ cpus: 1 }, "cpus", /slower/],
  ];
  for (const [facts, name, fix] of short)
    it(`names too little ${name} for a build, with the numbers and a fix, and lets a ready toolchain run`, () => {
      const failed = judgeMachine({ ...roomy, ...facts }, false).filter(({ ok }) => !ok);
      assert.deepEqual(
        failed.map((check) => check.name),
        [name],
      );
      assert.match(failed[0]?.found ?? "", /needed to build the toolchain: \d/);
      assert.match(failed[0]?.fix ?? "", fix);
      assert.equal(
        judgeMachine({ ...roomy, ...facts }, true).every(({ ok }) => ok),
        true,
      );
    });

  it("does not fail for what could not be read", () => {
    const blind = { availableMemory: undefined, freeDisk: undefined, cpus: undefined, cache: "/c" };
    assert.equal(
      judgeMachine(blind, false).every(({ ok }) => ok),
      true,
    );
  });

  it("every failed check has a fix, whatever the numbers (property)", () => {
    const size = fc.option(fc.double({ min: 0, max: 2 ** 45, noNaN: true }), { nil: undefined });
    fc.assert(
      fc.property(size, size, fc.option(fc.nat(512), { nil: undefined }), fc.boolean(), (memory, disk, cpus, ready) => {
        for (const check of judgeMachine({ availableMemory: memory, freeDisk: disk, cpus, cache: "/c" }, ready))
          assert.equal(check.ok, check.fix === undefined);
      }),
    );
  });

  it("measures the file system that holds the cache", () => {
    const disks = [
      { mount: "/", available: 1 },
      { mount: "/home", available: 2 },
      { mount: "/home/me/.cache", available: 3 },
      { mount: "/home/me/.cacheother", available: 4 },
    ];
    assert.equal(freeUnder("/home/me/.cache/hive", disks), 3);
    assert.equal(freeUnder("/home/you", disks), 2);
    assert.equal(freeUnder("/homes", disks), 1);
    assert.equal(freeUnder("/x", []), undefined);
  });

  it("reads this machine", async () => {
    const facts = await readMachine("/");
    assert.ok((facts.availableMemory ?? 0) > 2 ** 20);
    assert.ok((facts.cpus ?? 0) >= 1);
  });

  it("wants a Node that strips types", () => {
    assert.equal(nodeCheck("v22.18.0").ok, true);
    assert.equal(nodeCheck("v24.0.1").ok, true);
    for (const old of ["v22.17.9", "v20.19.0"]) {
      assert.equal(nodeCheck(old).ok, false);
      assert.match(nodeCheck(old).fix ?? "", /^npm ci/);
    }
  });

  describe("as a command", () => {
    const hive = new Hive();
    after(async () => {
      await hive.close();
    });

    it("checks everything on a fresh lab and leaves no lab behind", async () => {
      const { code, stdout, stderr } = await hive.run(["doctor", "--json"]);
      const { ok, checks } = record(JSON.parse(stdout));
      assert.equal(code, ok === true ? 0 : 1, stderr);
      const names = (Array.isArray(checks) ? checks : []).map((check) => String(record(check)["name"]));
      for (const name of ["node", "memory", "disk", "cpus", "engine", "provider proxmoxve", "lab", "lock", "host"])
        assert.ok(names.includes(name), `${name} among ${names.join(", ")}`);
      for (const check of Array.isArray(checks) ? checks : [])
        if (record(check)["ok"] !== true) assert.ok(record(check)["fix"], JSON.stringify(check));
      assert.deepEqual(stackFrames(stderr), []);
    });

    it("says without contact what a real target lacks when nothing is set", async () => {
      const { code, stdout, stderr } = await hive.run(["doctor", "--target", "real"]);
      assert.equal(code, 1, stderr);
      assert.match(stdout, /FAIL .*(apiToken|sshPrivateKey|publicKeys)/);
      assert.match(stdout, /fix: .*pulumi config set/);
      assert.doesNotMatch(stdout, /FAIL[^\n]*\n(?! +fix: )/, "every failure has a fix");
      assert.deepEqual(stackFrames(stdout + stderr), []);
    });
  });
});
