import assert from "node:assert/strict";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect as connectTcp } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls, type TLSSocket } from "node:tls";
import type { ArbiterLink, HandoffRequest, LinkEvent } from "../../runtime-agent/src/keeper/link/arbiterLink.ts";
import { listenForHost } from "../../runtime-agent/src/keeper/link/arbiterLink.ts";
import { connectToArbiter, type HostLink } from "../../runtime-agent/src/keeper/link/hostLink.ts";
import { encodeFrame } from "../../runtime-agent/src/keeper/link/protocol.ts";
import { clientTls, readPskFile } from "../../runtime-agent/src/keeper/link/psk.ts";
import { manualClock, type ManualClock } from "../../runtime-agent/src/shared/clock.ts";
import { linkProxy, type LinkProxy } from "./linkProxy.ts";

const key = Buffer.from("0123456789abcdef".repeat(4), "hex");
const closedMarket = { marketOpen: false, handoff: false };

async function until(holds: () => boolean, what: string): Promise<void> {
  for (let n = 0; n < 2000; n += 1) {
    if (holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.fail(`never: ${what}`);
}
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe("link between the host side and the arbiter", () => {
  let arbiter: ArbiterLink;
  let proxy: LinkProxy;
  let host: HostLink | undefined;
  let arbiterClock: ManualClock;
  let hostClock: ManualClock;
  let requests: HandoffRequest[];
  let events: LinkEvent[];
  let hostEvents: LinkEvent[];
  let constraints: number;
  let ends: number[];

  beforeEach(async () => {
    arbiterClock = manualClock(0, 1000);
    hostClock = manualClock(0, 500_000);
    requests = [];
    events = [];
    hostEvents = [];
    constraints = 0;
    ends = [];
    arbiter = await listenForHost({
      listen: { host: "127.0.0.1", port: 0 },
      key,
      clock: arbiterClock,
      silenceMs: 400,
      onConstraint({ untilMonotonicMs }) {
        constraints += 1;
        ends.push(untilMonotonicMs);
      },
      onHandoffRequest: (request) => requests.push(request),
      onTakeBack: () => undefined,
      onEvent: (event) => events.push(event),
    });
    proxy = await linkProxy(arbiter.port);
  });
  afterEach(async () => {
    host?.close();
    host = undefined;
    await proxy.close();
    await arbiter.close();
  });
  const start = (options: { key?: Buffer; periodMs?: number; silenceMs?: number } = {}): HostLink =>
    (host = connectToArbiter({
      connect: { host: "127.0.0.1", port: proxy.port },
      key: options.key ?? key,
      clock: hostClock,
      periodMs: options.periodMs ?? 20,
      silenceMs: options.silenceMs ?? 400,
      validMs: 10_000,
      backOffMs: [5, 40],
      onEvent: (event) => hostEvents.push(event),
    }));
  /** Speaks the protocol by hand, over a connection with the right key. */
  const raw = async (): Promise<{ socket: TLSSocket; lines: string[] }> => {
    const socket = connectTls({ host: "127.0.0.1", port: arbiter.port, ...clientTls(key) });
    const lines: string[] = [];
    socket.on("error", () => undefined);
    socket.on("data", (chunk: Buffer) => lines.push(...chunk.toString().split("\n").filter(Boolean)));
    await until(() => lines.length > 0, "a greeting");
    return { socket, lines };
  };
  const nonceOf = (line: string | undefined): string => /"nonce":"([0-9a-f]{32})"/.exec(line ?? "")?.[1] ?? "";
  const lease = (nonce: string, sequence: number, validMs = 10_000): string =>
    encodeFrame({ type: "constraint", sequence, nonce, marketOpen: false, handoff: false, validMs });

  it("carries a constraint, its end counted from the arbiter's own clock", async () => {
    start().setConstraint({ marketOpen: true, handoff: false, roomC: 24.5 });
    await until(() => arbiter.constraint() !== undefined, "a constraint");
    assert.deepEqual(arbiter.constraint(), {
      marketOpen: true,
      handoff: false,
      roomC: 24.5,
      untilMonotonicMs: 11_000,
    });
    host?.setConstraint({ marketOpen: false, handoff: true });
    await until(() => arbiter.constraint()?.handoff === true, "the change");
    await until(() => host?.heardMs() === 500_000, "an answer");
  });

  it("keeps the last constraint when cut, connects again by itself and goes on", async () => {
    start().setConstraint(closedMarket);
    await until(() => arbiter.constraint() !== undefined, "a constraint");
    proxy.refuse = true;
    proxy.cut();
    await until(() => !arbiter.connected, "the loss");
    const kept = arbiter.constraint();
    await until(() => hostEvents.filter(({ kind }) => kind === "lost").length >= 3, "three attempts");
    assert.deepEqual(arbiter.constraint(), kept);
    arbiterClock.advance(60_000);
    proxy.refuse = false;
    await until(() => (arbiter.constraint()?.untilMonotonicMs ?? 0) >= 71_000, "a new lease");
  });

  it("lets delay only shorten a lease", async () => {
    start({ silenceMs: 60_000 }).setConstraint(closedMarket);
    await until(() => constraints > 3, "a few leases");
    proxy.holdUp = true;
    await pause(60);
    const before = arbiter.constraint()?.untilMonotonicMs;
    assert.equal(before, 11_000);
    // The next constraint is on its way, held for four seconds of the arbiter's time.
    arbiterClock.advance(4000);
    const seen = constraints;
    host?.setConstraint({ marketOpen: false, handoff: false, roomC: 30 });
    proxy.holdUp = false;
    await until(() => constraints > seen, "the late one");
    // Issued at 1000, it ends at 11 000 although it came at 5000.
    assert.equal(ends[seen], 11_000);
    await until(() => arbiter.constraint()?.untilMonotonicMs === 15_000, "a fresh one after it");
  });

  it("refuses a constraint that was held past its own validity, and dates answers by their questions", async () => {
    start({ silenceMs: 60_000 }).setConstraint(closedMarket);
    await until(() => constraints > 0, "a lease");
    proxy.holdUp = true;
    await pause(60);
    const seen = constraints;
    arbiterClock.advance(20_000);
    hostClock.advance(20_000);
    proxy.holdUp = false;
    await until(() => events.some((e) => e.kind === "refused" && e.reason === "expired on the way"), "a refusal");
    // The answer to the held-up question is dated by when it was asked.
    await until(() => host?.heardMs() === 520_000, "a fresh answer");
    assert.ok(constraints > seen || arbiter.constraint()?.untilMonotonicMs === 11_000);
  });

  it("dates what it hears by when it asked, not by when the answer came", async () => {
    start({ periodMs: 60_000, silenceMs: 60_000 }).setConstraint(closedMarket);
    await until(() => host?.heardMs() === 500_000, "a first answer");
    proxy.holdDown = true;
    host?.setConstraint({ ...closedMarket, roomC: 20 });
    await until(() => arbiter.constraint()?.roomC === 20, "the arbiter's belief");
    hostClock.advance(7000);
    proxy.holdDown = false;
    await pause(60);
    assert.equal(host?.heardMs(), 500_000);
    host?.setConstraint({ ...closedMarket, roomC: 21 });
    await until(() => host?.heardMs() === 507_000, "an answer to a later question");
  });

  it("takes each nonce once, and only the newest", async () => {
    const { socket, lines } = await raw();
    const first = nonceOf(lines[0]);
    socket.write(lease(first, 1));
    await until(() => lines.length > 1, "an answer");
    assert.match(lines[1] ?? "", /"accepted":true/);
    arbiterClock.advance(5000);
    socket.write(lease(first, 2));
    await until(() => lines.length > 2, "an answer");
    assert.match(lines[2] ?? "", /"accepted":false,.*newest/);
    assert.equal(arbiter.constraint()?.untilMonotonicMs, 11_000);
    // A nonce of another connection is worth nothing.
    const other = await raw();
    other.socket.write(lease(nonceOf(lines[2]), 1));
    await until(() => other.lines.length > 1, "an answer");
    assert.match(other.lines[1] ?? "", /"accepted":false/);
    socket.destroy();
    other.socket.destroy();
  });

  it("is not fooled by a recorded connection played again", async () => {
    start().setConstraint(closedMarket);
    await until(() => constraints > 2, "some traffic");
    host?.close();
    await until(() => !arbiter.connected, "the end");
    const seen = constraints;
    const replay = connectTcp(arbiter.port, "127.0.0.1");
    replay.on("error", () => undefined);
    replay.write(proxy.recorded[0] ?? Buffer.alloc(0));
    await until(() => events.some((e) => e.kind === "refused" && e.reason.startsWith("handshake")), "a refusal");
    assert.deepEqual([constraints, arbiter.connected], [seen, false]);
    replay.destroy();
  });

  it("ends a garbled connection and recovers on a new one", async () => {
    start().setConstraint(closedMarket);
    await until(() => constraints > 0, "a lease");
    proxy.garbleNext = true;
    await until(() => proxy.connections >= 2, "a second connection");
    const seen = constraints;
    await until(() => constraints > seen, "leases on it");
  });

  it("hears nobody with another key, in either direction", async () => {
    start({ key: Buffer.alloc(32, 7) }).setConstraint(closedMarket);
    await until(() => hostEvents.filter(({ kind }) => kind === "lost").length >= 2, "two refusals");
    assert.deepEqual([constraints, arbiter.connected, host?.heardMs()], [0, false, undefined]);
    assert.ok(hostEvents.every(({ kind }) => kind !== "connected"));
  });

  it("notices a half-open connection, on the host's side and on the arbiter's", async () => {
    start().setConstraint(closedMarket);
    await until(() => arbiter.connected && constraints > 0, "a lease");
    proxy.holdUp = true;
    proxy.holdDown = true;
    await until(() => hostEvents.some((e) => e.kind === "lost" && e.reason === "silent"), "the host's notice");
    host?.close();
    await until(() => !arbiter.connected, "the end");
    // A peer that connects and then says nothing, without ever closing.
    const { socket } = await raw();
    await until(() => events.some((e) => e.kind === "lost" && e.reason === "silent"), "the arbiter's notice");
    socket.destroy();
  });

  it("bounds floods, long lines and nonsense: the connection ends, the arbiter goes on", async () => {
    for (const [bytes, reason] of [
      ["x".repeat(20_000), "too long"],
      ["{oops\n", "not JSON"],
      ['{"type":"constraint","extra":1}\n', "not a message"],
      [encodeFrame({ type: "handoffRequest", id: "a", vmid: 100 }).repeat(500), "too many"],
    ] as const) {
      const { socket } = await raw();
      socket.write(bytes);
      await until(() => events.some((e) => e.kind === "lost" && e.reason === reason), reason);
      assert.equal(arbiter.connected, false);
    }
    assert.ok(requests.length <= 201, String(requests.length));
    start().setConstraint(closedMarket);
    await until(() => constraints > 0, "a lease all the same");
  });

  it("hands over: request, release with its token, dated by the question", async () => {
    start().setConstraint(closedMarket);
    await until(() => arbiter.connected && host?.heardMs() !== undefined, "a connection");
    assert.equal(host?.requestHandoff("plan-1", 100), true);
    await until(() => requests.length === 1, "the request");
    assert.deepEqual(requests[0], { id: "plan-1", vmid: 100 });
    hostClock.advance(3000);
    assert.equal(arbiter.released("other", 41, 60_000), true);
    assert.equal(arbiter.released("plan-1", 42, 60_000), true);
    await until(() => host?.handoff() !== undefined, "the release");
    assert.deepEqual(host?.handoff(), { id: "plan-1", token: 42, untilMs: 560_000 });
    assert.equal(host?.requestHandoff("plan-2", 100), true);
    assert.equal(host?.handoff(), undefined);
    await until(() => requests.length === 2, "the second request");
    arbiter.refuse("plan-2", "EVA speaks");
    await until(() => host?.handoff() !== undefined, "the refusal");
    assert.deepEqual(host?.handoff(), { id: "plan-2", refused: "EVA speaks" });
    arbiter.setStatus({ closed: true, gpu: "known", holder: "eva" });
    await until(() => host?.status()?.closed === true, "the status");
  });

  it("lets a new connection replace the old one, which is then deaf", async () => {
    const old = await raw();
    const nonce = nonceOf(old.lines[0]);
    start().setConstraint(closedMarket);
    await until(() => constraints > 0, "a lease from the new one");
    await until(() => old.socket.destroyed || old.socket.readableEnded, "the old one's end");
    old.socket.write(lease(nonce, 9));
    assert.equal(events.filter(({ kind }) => kind === "connected").length >= 2, true);
  });

  it("reads its key only from a private file of the right form", async () => {
    const folder = await mkdtemp(join(tmpdir(), "hive-psk-"));
    try {
      const file = join(folder, "psk");
      await writeFile(file, `${key.toString("hex")}\n`, { mode: 0o600 });
      assert.deepEqual(await readPskFile(file), key);
      await chmod(file, 0o640);
      await assert.rejects(readPskFile(file), /chmod 600/);
      await chmod(file, 0o600);
      for (const text of ["", "ab", "0".repeat(64), "z".repeat(64), `${key.toString("hex")}00`]) {
        await writeFile(file, text);
        const error = await readPskFile(file).then(
          () => undefined,
          (caught: unknown) => String(caught),
        );
        assert.match(error ?? "accepted", /hexadecimal|repeated/);
      }
      await assert.rejects(readPskFile(join(folder, "none")), /ENOENT/);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
