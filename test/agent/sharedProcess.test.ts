import assert from "node:assert/strict";
import { readFile, readdir, stat } from "node:fs/promises";
import path from "node:path";
import koffi from "koffi";
import { acquireInstanceLock, SecondInstanceError } from "../../runtime-agent/src/shared/instanceLock.ts";
import { openRotatingFile } from "../../runtime-agent/src/shared/rotate.ts";
import { createNotifier, unixAddress } from "../../runtime-agent/src/shared/sdNotify.ts";
import { startSource, temporaryFolder } from "../support/agentChild.ts";

/** A service manager's socket: bound at an address, read without waiting. */
function manager(address: string): { next(): string | undefined } & Disposable {
  const library = koffi.load("libc.so.6");
  const socket: (family: number, type: number, protocol: number) => number = library.func("int socket(int, int, int)");
  const bind: (fd: number, to: Buffer, size: number) => number = library.func("int bind(int, const void *, uint32_t)");
  const recv: (fd: number, into: Buffer, size: number, flags: number) => number = library.func(
    "long recv(int, _Out_ void *, size_t, int)",
  );
  const close: (fd: number) => number = library.func("int close(int)");
  const fd = socket(1, 2, 0);
  const bytes = unixAddress(address);
  assert.equal(bind(fd, bytes, bytes.length), 0);
  const buffer = Buffer.alloc(4096);
  return {
    next() {
      const size = recv(fd, buffer, buffer.length, 0x40);
      return size < 0 ? undefined : buffer.toString("utf8", 0, size);
    },
    [Symbol.dispose]: () => void close(fd),
  };
}

describe("instance lock", () => {
  const source = `
    import { acquireInstanceLock } from "/shared/instanceLock.ts";
    await acquireInstanceLock(process.env.DIR);
    process.stdout.write("locked");
    setInterval(() => undefined, 1000);`;

  it("refuses a second agent by name, and lets one in the moment the first is killed", async () => {
    await using place = await temporaryFolder();
    const first = startSource(source, { DIR: place.folder });
    await first.said("locked");
    await assert.rejects(acquireInstanceLock(place.folder), (error) => {
      assert.ok(error instanceof SecondInstanceError);
      assert.ok(error.message.includes(`pid ${String(first.child.pid)}`), error.message);
      return true;
    });
    first.child.kill("SIGKILL");
    await first.ended;
    const lock = await acquireInstanceLock(place.folder);
    assert.equal((await readFile(path.join(place.folder, "agent.lock"), "utf8")).trim(), `pid ${String(process.pid)}`);
    await assert.rejects(acquireInstanceLock(place.folder), SecondInstanceError);
    await lock.release();
    await (await acquireInstanceLock(place.folder)).release();
  });

  it("is not handed on to a child that outlives the agent", async () => {
    await using place = await temporaryFolder();
    const withChild = `
      import { spawn } from "node:child_process";
      ${source}
      const child = spawn("sleep", ["30"], { detached: true, stdio: "ignore" });
      child.once("spawn", () => process.stdout.write("child " + child.pid + ";"));`;
    const first = startSource(withChild, { DIR: place.folder });
    await first.said(";");
    first.child.kill("SIGKILL");
    const { stdout } = await first.ended;
    const pid = Number(/child (\d+);/.exec(stdout)?.[1]);
    try {
      process.kill(pid, 0);
      await (await acquireInstanceLock(place.folder)).release();
    } finally {
      process.kill(pid, "SIGKILL");
    }
  });
});

describe("sd_notify", () => {
  it("is inert without a service manager", async () => {
    const notifier = await createNotifier({});
    assert.deepEqual([notifier.active, notifier.watchdogMs], [false, undefined]);
    notifier.ready();
    notifier.watchdog();
  });

  for (const kind of ["path", "abstract"]) {
    it(`speaks to a socket with ${kind === "path" ? "a path" : "an abstract name"} and hides it from children`, async () => {
      await using place = await temporaryFolder();
      const address = kind === "path" ? path.join(place.folder, "notify") : `@hive-test-${String(process.pid)}`;
      using socket = manager(address);
      const env = { NOTIFY_SOCKET: address, WATCHDOG_USEC: "15000000", WATCHDOG_PID: String(process.pid), HOME: "/" };
      const errors: string[] = [];
      const notifier = await createNotifier(env, (reason) => errors.push(reason));
      assert.equal(notifier.watchdogMs, 15_000);
      notifier.ready();
      notifier.status("one\ntwo");
      notifier.watchdog();
      notifier.extend(1500);
      notifier.stopping();
      const wanted = [
        "READY=1",
        "STATUS=one two",
        "WATCHDOG=1",
        "EXTEND_TIMEOUT_USEC=1500000",
        "STOPPING=1",
        undefined,
      ];
      assert.deepEqual(
        wanted.map(() => socket.next()),
        wanted,
      );
      assert.deepEqual([env, errors], [{ HOME: "/" }, []]);
    });
  }

  it("loses a message, and says so, rather than wait for a manager that is gone or does not read", async () => {
    await using place = await temporaryFolder();
    const address = path.join(place.folder, "notify");
    const errors: string[] = [];
    {
      using socket = manager(address);
      const notifier = await createNotifier({ NOTIFY_SOCKET: address }, (reason) => errors.push(reason));
      for (let count = 0; count < 5000 && errors.length === 0; count += 1) notifier.watchdog();
      assert.deepEqual(errors.splice(0), ["sd_notify: errno 11"]);
      assert.equal(socket.next(), "WATCHDOG=1");
    }
    const notifier = await createNotifier({ NOTIFY_SOCKET: address }, (reason) => errors.push(reason));
    notifier.watchdog();
    assert.deepEqual(errors.splice(0), ["sd_notify: errno 111"]);
    await createNotifier({ NOTIFY_SOCKET: "vsock:2:9" }, (reason) => errors.push(reason));
    assert.match(errors[0] ?? "", /cannot be reached/);
  });

  it("does not feed another process's watchdog", async () => {
    const notifier = await createNotifier({ NOTIFY_SOCKET: "/nowhere", WATCHDOG_USEC: "1000000", WATCHDOG_PID: "1" });
    assert.equal(notifier.watchdogMs, undefined);
  });
});

describe("rotating file", () => {
  it("keeps every line in order within its space, and goes on where it stopped", async () => {
    await using place = await temporaryFolder();
    const file = path.join(place.folder, "log/gpu.json");
    for (let run = 0; run < 2; run += 1) {
      const log = openRotatingFile(file, { maxBytes: 100, keep: 3 });
      for (let n = 0; n < 40; n += 1) log.write(JSON.stringify({ run, n }));
      assert.equal(log.lost, 0);
      log.close();
    }
    assert.deepEqual((await readdir(path.dirname(file))).toSorted(), [
      "gpu.json",
      "gpu.json.1",
      "gpu.json.2",
      "gpu.json.3",
    ]);
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    const parts = await Promise.all([".3", ".2", ".1", ""].map((ending) => readFile(`${file}${ending}`, "utf8")));
    for (const part of parts) assert.ok(part.length <= 100);
    const lines = parts.join("").trim().split("\n");
    const last = Array.from(
      { length: lines.length },
      (_, index) => `{"run":1,"n":${String(40 - lines.length + index)}}`,
    );
    assert.ok(lines.length >= 15);
    assert.deepEqual(lines, last);
  });

  it("counts what it cannot write and throws nothing", () => {
    const log = openRotatingFile("/dev/null/x.log");
    log.write("a");
    assert.equal(log.lost, 1);
    const full = openRotatingFile("/dev/full");
    full.write("b");
    assert.equal(full.lost, 1);
    full.close();
  });
});
