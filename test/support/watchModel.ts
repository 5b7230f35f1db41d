// The watch as one extension of a Sentinel that a test turns by hand.
import assert from "node:assert/strict";
import type { JSONType } from "zod";
import { sentinelWatchSection } from "../../components/shared/agent/sentinelWatchConfig.ts";
import type { AgentView, ExtensionAction, News } from "../../runtime-agent/src/sentinel/extension.ts";
import type { ServerProvider, ServerSeen } from "../../runtime-agent/src/sentinel/reaper/types.ts";
import type { Message } from "../../runtime-agent/src/sentinel/watch/core/outbox.ts";
import type { Finding } from "../../runtime-agent/src/sentinel/watch/core/watchdog.ts";
import { startWatch, type WatchExtension } from "../../runtime-agent/src/sentinel/watch/startWatch.ts";
import { createLog } from "../../runtime-agent/src/shared/log.ts";

export const second = 1000;
export const minute = 60 * second;
export const hour = 60 * minute;
export const start = Date.UTC(2026, 10, 23, 12);
/** Each kind of watchdog, two channels, a schedule and the reaper. */
const config = sentinelWatchSection.parse({
  watchdogs: [
    { name: "site", type: "http", url: "http://127.0.0.1/", failures: 2, successes: 1, everySec: 60 },
    { name: "backup", type: "heartbeat", periodSec: 3600, tell: ["ops"] },
  ],
  channels: [
    { name: "ops", type: "webhook", url: "http://127.0.0.1/", secretFile: "/s" },
    { name: "phone", type: "ntfy", topicFile: "/t" },
  ],
  schedules: [{ name: "tick", agent: "shopper", cron: "*/5 * * * *", payload: { depth: 2 } }],
  reaper: { estate: "hive", everySec: 60, pauseSec: 120, graceSec: 0 },
  alerts: { reminderSec: 0, mostPerHour: 1000 },
});

export function agent(changes: Partial<AgentView> = {}): AgentView {
  return {
    name: "shopper",
    id: "0".repeat(32),
    keyId: "0".repeat(16),
    kind: "browser-light",
    size: "S",
    mode: "job",
    idempotent: false,
    createdMs: start,
    expiresMs: start + 99 * hour,
    life: 1,
    registerBeforeMs: start + hour,
    registered: {
      instance: "0".repeat(32),
      address: { host: "h", port: 1 },
      idempotent: false,
      version: "1",
      atMs: start,
    },
    alive: true,
    ...changes,
  };
}

/** A Sentinel around the extension: it remembers what it was asked to, answers, and may be killed at any moment. */
export class Sentinel {
  nowMs = 0;
  disk: JSONType | undefined;
  agents: AgentView[] = [agent()];
  news: News[] = [];
  finding: Finding = { ok: true, detail: "HTTP 200" };
  servers: ServerSeen[] = [];
  /** Answers of the journal; where they differ, to signals. */
  status = 200;
  signalStatus: number | undefined;
  /** Whether channels take what they are sent. */
  open = true;
  readonly signals: string[] = [];
  readonly removed: string[] = [];
  readonly sent: { readonly channel: string; readonly message: Message }[] = [];
  readonly others: ExtensionAction[] = [];
  #watch: WatchExtension | undefined;

  async begin(): Promise<WatchExtension> {
    const provider: ServerProvider = {
      kind: "proxmox",
      look: () => Promise.resolve({ servers: [...this.servers], strangers: [] }),
      remove: (server) => {
        this.removed.push(server.id);
        // What is on the disk counts it, or the brake would forget it with a crash.
        assert.match(JSON.stringify(this.disk), new RegExp(`"proxmox/${server.id}/`));
        this.servers = this.servers.filter(({ id }) => id !== server.id);
        return Promise.resolve("deleted");
      },
      close: () => undefined,
    };
    const sender = (channel: string) => (message: Message) => {
      assert.match(JSON.stringify(this.disk), new RegExp(message.id), "a message goes out only once it is on the disk");
      this.sent.push({ channel, message });
      return this.open ? Promise.resolve() : Promise.reject(new Error("closed"));
    };
    this.#watch = await startWatch({
      config,
      registerWithinMs: 30 * minute,
      log: createLog({ write: () => undefined }),
      wallMs: () => start + this.nowMs,
      look: () => Promise.resolve(this.finding),
      providers: [provider],
      senders: new Map(["ops", "phone"].map((name) => [name, sender(name)])),
      random: () => 0.5,
    });
    this.#watch.start(this.disk);
    return this.#watch;
  }

  get watch(): WatchExtension {
    assert.ok(this.#watch !== undefined);
    return this.#watch;
  }

  /** @param killAfter so many answers reach the extension, then the process is killed */
  async turn(passMs = second, killAfter = Number.POSITIVE_INFINITY): Promise<void> {
    this.nowMs += passMs;
    const view = { monotonicMs: this.nowMs, wallMs: start + this.nowMs, agents: this.agents, news: this.news };
    this.news = [];
    let answered = 0;
    for (const action of this.watch.turn(view)) {
      if (answered === killAfter) break;
      answered += 1;
      const status = action.kind === "signal" ? (this.signalStatus ?? this.status) : this.status;
      if (status < 300) {
        if (action.kind === "keep") this.disk = action.value;
        else if (action.kind === "signal") this.signals.push(action.key);
        else this.others.push(action);
      }
      this.watch.settled?.(action, status);
    }
    if (killAfter !== Number.POSITIVE_INFINITY) return void (await this.begin());
    await this.watch.idle();
  }

  async run(forMs: number, stepMs = 10 * second): Promise<void> {
    for (let passed = 0; passed < forMs; passed += stepMs) await this.turn(stepMs);
  }

  /** What people read, each message once. */
  read(channel = "ops"): string[] {
    const messages = new Map(
      this.sent.filter((one) => one.channel === channel).map(({ message }) => [message.id, message]),
    );
    return [...messages.values()].flatMap(({ alerts }) => alerts.map(({ subject, text }) => `${subject}: ${text}`));
  }
}
