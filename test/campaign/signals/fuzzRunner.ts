/** A real runner under seeded attack over its real socket: well-formed HTTP, HTTP by hand, and bytes that are neither. */
import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, readdir, rm, stat } from "node:fs/promises";
import { connect as connectTcp } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { firstWebhookSecret, signWebhook } from "../../../components/shared/signals/webhooks.ts";
import type { SignalRequest } from "../../../runtime-agent/src/runner/core/accept.ts";
import { callLocalApi } from "../../../runtime-agent/src/shared/localApi/index.ts";
import { agentIdentity, pskCall, pskClient } from "../../../runtime-agent/src/shared/pskTls.ts";
import type { AgentProgram, Daemon } from "../../support/arbiterDaemon.ts";
import { freePort } from "../../../lab/host/freePort.ts";
import { seededRandom } from "../../support/seeded.ts";
import { until } from "../../support/sentinelDaemon.ts";
import { fuzzRequests, type Prey } from "../../support/signalFuzz.ts";
import { Begins } from "./begins.ts";
import { openRunner, type Runner } from "./team.ts";

const name = "ghost";
/** Longest that one attack may last, s. */
const slackSec = 3600;
/** Hang guard of one connection, ms: much longer than the runner's own limits. */
const socketMs = 60_000;

/** Memory of a process, MiB. */
export async function residentMiB(pid: number): Promise<number> {
  const text = await readFile(`/proc/${String(pid)}/status`, "latin1");
  return Number(/VmRSS:\s+(\d+)/.exec(text)?.[1] ?? Number.NaN) / 1024;
}

/**
 * Requests as bytes, some of them with another length than they say. Never a little shorter: what is left of a signed
 * message with a few bytes too many might be the message.
 */
function byHand({ headers, body }: SignalRequest, random: () => number): Buffer {
  const lines = Object.entries(headers).flatMap(([key, value]) =>
    (Array.isArray(value) ? value : [value]).flatMap((one) => (one === undefined ? [] : [`${key}: ${String(one)}`])),
  );
  const lengths = [String(body.length), String(body.length + 5), String(Math.floor(body.length / 2)), "-1", "x", "9e9"];
  const length = lengths[Math.floor(random() * lengths.length)] ?? "0";
  const head = ["POST /v1/signals HTTP/1.1", "host: x", `content-length: ${length}`, ...lines].join("\r\n");
  return Buffer.concat([Buffer.from(`${head}\r\n\r\n`), body]);
}

export interface FuzzedRunner {
  readonly pid: number;
  /** One request after the other, each in one of three ways. Throws at the first that is not refused. */
  attack(count: number, stop: AbortSignal | undefined): Promise<number>;
  /** Throws when the runner is not as it was, or refuses a good signal. */
  check(): Promise<void>;
  close(): Promise<void>;
}

export async function openFuzzedRunner(program: AgentProgram, seed: number): Promise<FuzzedRunner> {
  await using undo = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "hive-fuzz-"));
  undo.defer(() => rm(folder, { recursive: true, force: true }));
  const key = randomBytes(32);
  const begins = new Begins();
  const faults: string[] = [];
  const runner: Runner = await openRunner({
    ...{ folder, key: key.toString("hex"), sentinelPort: await freePort(), program, begins },
    member: { name, mode: "resident", idempotent: false, weight: 1 },
    broken: (what) => faults.push(what),
  });
  undo.defer(() => runner.close());
  const daemon: Daemon = runner.launch("");
  undo.defer(async () => {
    daemon.signal("SIGKILL");
    await daemon.ended;
  });
  const agent = pskClient({ identity: agentIdentity(name), key });
  undo.defer(() => agent.destroy());
  const secret = firstWebhookSecret(key);
  const nowSec = Math.floor(Date.now() / 1000);
  const work = { key: "known", fails: false, ms: 0, filler: "" };
  const body = Buffer.from(JSON.stringify({ type: "run", agent: name, runId: `run_${"a".repeat(32)}`, payload: work }));
  const prey: Prey = { agent: name, secret, known: { key: "known", sec: nowSec - 100, body } };
  const post = async (headers: Readonly<Record<string, string>>, text: Buffer): Promise<number> => {
    const call = { agent, host: "127.0.0.1", port: runner.port, method: "POST", path: "/v1/signals" } as const;
    return (await pskCall({ ...call, headers, body: text.toString("utf8"), timeoutMs: socketMs })).status;
  };
  const good = (sec: number): Promise<number> => post({ ...signWebhook("known", sec, body, secret) }, body);
  await until(async () => (await good(prey.known.sec)) === 202, "the runner takes a signal");

  async function picture(): Promise<string> {
    const token = (await readFile(join(runner.runtime, "api.token"), "utf8")).trim();
    const { text } = await callLocalApi({ socket: join(runner.runtime, "api.sock"), token, path: "/status" });
    const { known, queued, outbox, running } = JSON.parse(text);
    const files = (await readdir(runner.journal)).toSorted();
    const sizes = await Promise.all(files.map(async (file) => (await stat(join(runner.journal, file))).size));
    return JSON.stringify([known, queued, outbox, running, files, sizes]);
  }
  await until(() => begins.of(`run_${"a".repeat(32)}`).length === 1, "the known run begins");
  // Its report waits for a Sentinel that is not there; from then on nothing happens by itself.
  await until(async () => JSON.parse(await picture())[2] === 1, "its report waits");
  let before = await picture();

  /** What comes back on a connection until it is closed. */
  function exchange(socket: TLSSocket | ReturnType<typeof connectTcp>, bytes: Buffer): Promise<string> {
    return new Promise((resolve, reject) => {
      let text = "";
      socket.setTimeout(socketMs, () => reject(new Error("a connection is neither answered nor closed")));
      socket.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
      socket.on("error", () => undefined);
      socket.on("close", () => resolve(text));
      socket.end(bytes);
    });
  }

  const random = seededRandom(seed);
  const requests = fuzzRequests(seed, prey, nowSec, slackSec);
  async function one(): Promise<void> {
    const { value } = requests.next();
    const { headers, body: text }: SignalRequest = value;
    const way = random();
    if (way < 0.8) {
      const plain = Object.entries(headers).flatMap(([header, given]): [string, string][] =>
        typeof given === "string" && /^[\x20-\x7e]*$/.test(given) ? [[header, given]] : [],
      );
      const status = await post(Object.fromEntries(plain), Buffer.from(text));
      if (status < 400 || status >= 500) throw new Error(`it was answered ${String(status)}`);
      return;
    }
    const port = { host: "127.0.0.1", port: runner.port };
    const noise = Buffer.from(Array.from({ length: 1 + Math.floor(random() * 300) }, () => Math.floor(random() * 256)));
    if (way > 0.98) return void (await exchange(connectTcp(port), noise));
    const tls = connectTls({
      ...port,
      ...{ minVersion: "TLSv1.2", maxVersion: "TLSv1.2", ciphers: "ECDHE-PSK-CHACHA20-POLY1305" },
      pskCallback: () => ({ psk: key, identity: agentIdentity(name) }),
      checkServerIdentity: () => undefined,
    });
    const answer = await exchange(tls, way > 0.96 ? noise : byHand(value, random));
    if (/^HTTP\/1\.1 (?!4)/m.test(answer)) throw new Error(`it was answered ${answer.slice(0, 200)}`);
  }

  let sec = prey.known.sec;
  const kept = undo.move();
  return {
    pid: daemon.pid,
    async attack(count, stop) {
      let sent = 0;
      const lane = async (): Promise<void> => {
        while (sent < count && stop?.aborted !== true) {
          sent += 1;
          await one();
        }
      };
      await Promise.all(Array.from({ length: 4 }, lane));
      if (daemon.over) throw new Error(`the runner ended: ${daemon.log.slice(-2000)}`);
      return sent;
    },
    async check() {
      const now = await picture();
      if (now !== before) throw new Error(`the runner changed from ${before} to ${now}`);
      if (faults.length > 0) throw new Error(faults.join("; "));
      // The door is not just shut: the known signal with a newer time is taken, and that is seen.
      sec += 1;
      const status = await good(sec);
      if (status !== 200) throw new Error(`a good signal was answered ${String(status)}`);
      const after = await picture();
      if (after === before) throw new Error("a signal that was taken shows nowhere");
      before = after;
    },
    close: () => kept.disposeAsync(),
  };
}
