// One service of a guest: carries out what its machine (service.ts) decides, and tells it what came of it.
import { randomUUID } from "node:crypto";
import type { ChildProcess } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { constants as system } from "node:os";
import { dropIns, find, isMasked } from "../unit-files.ts";
import { firstUnmet } from "./conditions.ts";
import { lineSplitter, write } from "./journal.ts";
import { listenNotify } from "./notify.ts";
import type { Notice } from "./notify.ts";
import { processesOf } from "./own-processes.ts";
import { serviceProperties } from "./properties.ts";
import { next } from "./service.ts";
import { asleep } from "./service-state.ts";
import type { Doing, Ending, Happening, ServiceState } from "./service-state.ts";
import { pathChecks, serviceSettings } from "./settings.ts";
import type { ServiceSettings } from "./settings.ts";
import {
  CannotStart,
  endingOf,
  environmentOf,
  makeDirectories,
  removeRuntimeDirectories,
  startCommand,
} from "./spawn.ts";
import { parseTimespan } from "./timespan.ts";
import { UnitText, specifiersOf } from "./unit-text.ts";

const hostName = (): string => readFileSync("/etc/hostname", "utf8").trim();
/** How often it is looked whether processes have gone, ms. */
const lookMs = 20;

export class Service {
  readonly name: string;
  state: ServiceState = asleep;
  invocation = "";
  mainPid = 0;
  lastMainPid = 0;
  statusText = "";
  /** ms since 1970; 0: never. */
  activeSince = 0;
  changedAt = 0;
  conditionsMet = true;
  #settings: ServiceSettings | undefined;
  #main: ChildProcess | undefined;
  #control: ChildProcess | undefined;
  readonly #timers = new Map<string, NodeJS.Timeout>();
  #closeNotify: (() => void) | undefined;
  #watchdogMs = 0;
  /** Counts lives, so that a socket that opens late is not taken for the next life's. */
  #life = 0;
  readonly #waiting = new Set<() => void>();
  readonly #happened: Happening[] = [];

  constructor(name: string) {
    this.name = name;
  }

  get atRest(): boolean {
    return this.state.phase === "dead" || this.state.phase === "failed";
  }

  /** What the unit's files say now. @throws Error as systemd would refuse them */
  load(): ServiceSettings {
    this.#settings = serviceSettings(this.#text(), specifiersOf(this.name, hostName()));
    return this.#settings;
  }

  /**
   * Starts it; a condition that does not hold is no failure, an assertion is. What comes of it is promised, true when it
   * has started. @throws Error with systemd's words when it cannot even be tried
   */
  start(): Promise<boolean> {
    if (isMasked(this.name)) throw new Error(`Unit ${this.name} is masked.`);
    if (this.atRest || this.#settings === undefined) this.load();
    if (this.atRest || this.state.phase === "auto-restart") {
      const unmet = firstUnmet(pathChecks(this.#text(), specifiersOf(this.name, hostName())));
      this.conditionsMet = unmet === undefined;
      if (unmet !== undefined) {
        this.say(`${this.name} was skipped because of an unmet condition check (${unmet}).`);
        if (unmet.startsWith("Assert")) throw new Error(`Assertion failed on job for ${this.name}.`);
        return Promise.resolve(true);
      }
    }
    this.tell({ kind: "start" });
    return this.#started();
  }

  async #started(): Promise<boolean> {
    await this.#until(() => this.atRest || ["running", "exited", "auto-restart"].includes(this.state.phase));
    const { phase, result } = this.state;
    return phase === "running" || phase === "exited" || (phase === "dead" && result === "success");
  }

  async stopped(): Promise<void> {
    await this.#until(() => this.atRest);
  }

  /** Takes in what happened. What follows of it at once is done before this returns, in order. */
  tell(happening: Happening): void {
    this.#happened.push(happening);
    if (this.#happened.length > 1) return; // told while something else is being carried out
    for (let first = this.#happened[0]; first !== undefined; first = this.#happened[0]) {
      this.#step(first);
      this.#happened.shift();
    }
    for (const look of [...this.#waiting]) look();
  }

  #step(happening: Happening): void {
    const settings = this.#settings;
    if (settings === undefined) return;
    const before = this.state.phase;
    const { state, todo } = next(this.state, happening, settings, Date.now());
    this.state = state;
    if (state.phase !== before) this.#note(before);
    for (const doing of todo) this.#carryOut(doing, settings);
    if (state.startAfterStop && (this.atRest || state.phase === "auto-restart")) this.tell({ kind: "start" });
  }

  signal(signal: string, whom: "all" | "main"): void {
    for (const pid of whom === "main" ? [this.mainPid] : this.processes()) if (pid > 0) kill(pid, signal);
  }

  processes(): number[] {
    if (this.invocation === "") return [];
    const own = [this.#main, this.#control].flatMap((child) => (child?.pid === undefined ? [] : [child.pid]));
    return processesOf(this.invocation, own);
  }

  say(text: string): void {
    write({ unit: this.name, invocation: this.invocation, pid: process.pid, who: "systemd", text });
  }

  #until(done: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!done()) return;
        this.#waiting.delete(look);
        resolve();
      };
      this.#waiting.add(look);
      look();
    });
  }

  #text(): UnitText {
    const file = find(this.name);
    if (file === undefined) throw new Error(`Unit ${this.name} not found.`);
    return new UnitText([file, ...dropIns(this.name)].map((path) => readFileSync(path, "utf8")));
  }

  #note(before: string): void {
    const { phase, result } = this.state;
    this.changedAt = Date.now();
    const wasActive = ["running", "exited", "reload"].includes(before);
    const isActive = ["running", "exited", "reload"].includes(phase);
    if (isActive && !wasActive) this.activeSince = this.changedAt;
    if (phase === "running" && before !== "reload") {
      this.say(`Started ${this.name}.`);
      this.#watch();
    }
    if (phase === "failed" || (phase === "auto-restart" && result !== "success"))
      this.say(`${this.name}: Failed with result '${result}'.`);
    if (phase === "dead") this.say(`${this.name}: Deactivated successfully.`);
  }

  #carryOut(doing: Doing, settings: ServiceSettings): void {
    switch (doing.kind) {
      case "begin":
        return this.#begin(settings);
      case "end":
        return this.#end(settings, doing.preserveRuntime === true);
      case "run":
        return this.#run(doing.key, doing.step, doing.main, settings);
      case "signal": {
        const own = [this.#main?.pid, this.#control?.pid];
        for (const pid of doing.to === "all" ? this.processes() : own) if (pid !== undefined) kill(pid, doing.signal);
        return;
      }
      case "await-nothing":
        return this.#lookForNothing(doing.of);
      case "phase-timer":
        return this.#timer("phase", doing.ms, { kind: "time-out", of: "phase" });
      case "restart-timer":
        return this.#timer("restart", doing.ms, { kind: "time-out", of: "restart" });
      case "runtime-timer":
        return this.#timer("runtime", doing.ms, { kind: "time-out", of: "runtime" });
    }
  }

  #timer(name: string, ms: number | undefined, happening: Happening): void {
    clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
    // Longer than Node can count is longer than a lab lives.
    if (ms === undefined || ms > 2_000_000_000) return;
    this.#timers.set(
      name,
      setTimeout(() => this.tell(happening), ms),
    );
  }

  #begin(settings: ServiceSettings): void {
    this.invocation = randomUUID().replaceAll("-", "");
    this.statusText = "";
    this.#watchdogMs = settings.watchdogMs;
    this.#life += 1;
    makeDirectories(settings);
  }

  #end(settings: ServiceSettings, preserveRuntime: boolean): void {
    this.#timer("watchdog", undefined, { kind: "watchdog-late" });
    this.#timer("look", undefined, { kind: "nothing-left" });
    this.#closeNotify?.();
    this.#closeNotify = undefined;
    if (!preserveRuntime) removeRuntimeDirectories(settings);
  }

  #run(key: keyof ServiceSettings["exec"], step: number, main: boolean, settings: ServiceSettings): void {
    const command = settings.exec[key][step];
    if (command === undefined) return;
    const life = this.#life;
    const start = (notifySocket?: string): void => {
      try {
        const own = this.#ownEnvironment(main, notifySocket);
        this.#follow(startCommand(command, settings, environmentOf(settings, own)), main);
      } catch (error) {
        if (!(error instanceof CannotStart)) throw error;
        this.say(`${this.name}: ${error.message}`);
        if (main || error.ending === undefined)
          this.tell({
            kind: "cannot-start",
            result: command.ignoreFailure ? "success" : error.result,
            ...(error.ending === undefined ? {} : { ending: error.ending }),
          });
        else this.tell({ kind: "control-ended", ending: error.ending });
      }
    };
    if (!main || settings.type !== "notify") return start();
    mkdirSync("/run/systemd/notify", { recursive: true });
    const socket = `/run/systemd/notify/${this.invocation}`;
    listenNotify(socket, (notice) => this.#notice(notice)).then(
      (close) => {
        // Stopped again before the socket was there.
        if (life !== this.#life || this.state.phase !== "start") return close();
        this.#closeNotify = close;
        start(socket);
      },
      (error: unknown) => {
        this.say(`${this.name}: sd_notify cannot be heard: ${String(error)}`);
        if (life === this.#life) this.tell({ kind: "cannot-start", result: "resources" });
      },
    );
  }

  #ownEnvironment(main: boolean, notifySocket: string | undefined): Record<string, string> {
    const { main: ended, result } = this.state;
    return {
      INVOCATION_ID: this.invocation,
      ...(notifySocket === undefined ? {} : { NOTIFY_SOCKET: notifySocket }),
      ...(main && this.#watchdogMs > 0 ? { WATCHDOG_USEC: String(this.#watchdogMs * 1000) } : {}),
      ...(main || this.mainPid === 0 ? {} : { MAINPID: String(this.mainPid) }),
      ...(main || ended === undefined
        ? {}
        : {
            SERVICE_RESULT: result,
            EXIT_CODE: ended.signal === undefined ? "exited" : "killed",
            EXIT_STATUS: ended.signal?.replace(/^SIG/, "") ?? String(ended.status),
          }),
    };
  }

  #follow(child: ChildProcess, main: boolean): void {
    const pid = child.pid ?? 0;
    const { invocation } = this;
    const who = child.spawnfile.split("/").at(-1) ?? "";
    for (const stream of [child.stdout, child.stderr]) {
      const lines = lineSplitter((text) => write({ unit: this.name, invocation, pid, who, text }));
      stream?.on("data", lines.add);
      stream?.on("end", lines.end);
      stream?.on("error", () => undefined);
    }
    if (main) {
      this.#main = child;
      this.mainPid = pid;
      this.lastMainPid = pid;
    } else this.#control = child;
    // "exit", not "close": a grandchild may keep the pipes.
    child.once("exit", (code, signal) => {
      const ending: Ending = endingOf(code, signal);
      if (main) {
        this.#main = undefined;
        this.mainPid = 0;
        this.#timer("watchdog", undefined, { kind: "watchdog-late" });
        this.say(
          `${this.name}: Main process exited, code=${signal === null ? "exited" : "killed"}, status=${String(ending.status)}`,
        );
      } else this.#control = undefined;
      this.tell({ kind: main ? "main-ended" : "control-ended", ending });
    });
  }

  #notice(notice: Notice): void {
    const status = notice.get("STATUS");
    if (status !== undefined) this.statusText = status;
    const usec = notice.get("WATCHDOG_USEC");
    if (usec !== undefined && /^\d{1,16}$/.test(usec)) this.#watchdogMs = Number(usec) / 1000;
    const more = parseTimespan(`${notice.get("EXTEND_TIMEOUT_USEC") ?? ""}us`);
    if (more !== undefined && this.#timers.has("phase")) this.#timer("phase", more, { kind: "time-out", of: "phase" });
    if (notice.get("READY") === "1") this.tell({ kind: "ready" });
    if (notice.get("WATCHDOG") === "1" || usec !== undefined) this.#watch();
    if (notice.get("WATCHDOG") === "trigger") this.tell({ kind: "watchdog-late" });
  }

  #watch(): void {
    const due = this.#watchdogMs > 0 && this.mainPid > 0 && !this.atRest;
    this.#timer("watchdog", due ? this.#watchdogMs : undefined, { kind: "watchdog-late" });
  }

  #lookForNothing(of: "all" | "own"): void {
    const gone = this.#main === undefined && this.#control === undefined;
    if (gone && (of === "own" || this.processes().length === 0)) return this.tell({ kind: "nothing-left" });
    clearTimeout(this.#timers.get("look"));
    this.#timers.set(
      "look",
      setTimeout(() => this.#lookForNothing(of), lookMs),
    );
  }

  /** What `systemctl show` prints. */
  properties(): Record<string, string> {
    return serviceProperties(this, this.#settings);
  }
}

function kill(pid: number, signal: string): void {
  const number = Object.entries(system.signals).find(([name]) => name === signal)?.[1];
  try {
    process.kill(pid, number ?? (/^\d+$/.test(signal) ? Number(signal) : 15));
  } catch {
    // It has gone already.
  }
}
