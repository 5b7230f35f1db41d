/**
 * Both sides of the Keeper: the host side with a simulated Proxmox, the arbiter in the VM that has the card, and between
 * them a link that can be cut.
 */
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { linkProxy } from "../../agent/linkProxy.ts";
import type { LinkProxy } from "../../agent/linkProxy.ts";
import { Daemon } from "../../support/arbiterDaemon.ts";
import type { AgentProgram } from "../../support/arbiterDaemon.ts";
import { record, rows } from "../../support/lab-client.ts";
import { GuestArbiter } from "./guestArbiter.ts";
import { hostConfig } from "./hostConfig.ts";
import { HostWorld, vms } from "./hostWorld.ts";

const key = "0123456789abcdef".repeat(4);
const child = join(import.meta.dirname, "../../agent/hostChild.ts");
/** So many times as fast as the machine's does the host side's clock run: a handoff takes some twenty of its turns. */
const clockRate = 6;
/** How often the VM's power is looked at, ms: the arbiter follows it. */
const followMs = 30;

/** The newest handoff that was asked for. */
export interface Asked {
  readonly id: string;
  readonly from: number;
  readonly to: number;
}

export class HostArena {
  readonly world: HostWorld;
  readonly arbiter: GuestArbiter;
  readonly proxy: LinkProxy;
  /** What broke a promise at some moment, whatever came of it. */
  breaches: string[] = [];
  host: Daemon | undefined;
  asked: Asked | undefined;
  /** The VM that had the card when the fault began. */
  owner: number = vms.ai;
  /** What EVA holds by the arbiter's word. */
  held: { readonly lease: string; readonly token: number } | undefined;
  /** Handoffs asked for. */
  #handoffs = 0;
  #logged = "";
  /** How much of the log of the one that runs is older than the fault. */
  #old = 0;
  #open = true;
  #following: Promise<void> = Promise.resolve();
  readonly #folder: string;

  private constructor(world: HostWorld, arbiter: GuestArbiter, proxy: LinkProxy, folder: string) {
    this.world = world;
    this.arbiter = arbiter;
    this.proxy = proxy;
    this.#folder = folder;
    process.once("exit", this.#orphan);
  }

  static async open(program: AgentProgram): Promise<HostArena> {
    const folder = await mkdtemp(join(tmpdir(), "hive-host-campaign-"));
    await writeFile(join(folder, "psk"), key, { mode: 0o600 });
    const world = await HostWorld.open();
    const arbiter = await GuestArbiter.open(program, join(folder, "psk"));
    const arena = new HostArena(world, arbiter, await linkProxy(arbiter.port), folder);
    try {
      await arena.#configure(false);
      await arbiter.boot();
      arena.#following = arena.#follow();
      await arena.start();
    } catch (error) {
      await arena.close();
      throw error;
    }
    return arena;
  }

  readonly #orphan = (): void => this.host?.signal("SIGKILL");

  /** All that the host side logged since the fault began. */
  get log(): string {
    return this.#logged + (this.host?.log ?? "").slice(this.#old);
  }

  /** Before a fault: what came before plays no part. */
  async begin(): Promise<void> {
    this.#logged = "";
    this.#old = this.host?.log.length ?? 0;
    this.arbiter.forgetReleases();
    this.breaches = [];
    this.asked = undefined;
    this.owner = await this.#holder();
  }

  async start(failpoints = ""): Promise<Daemon> {
    const started = spawn(process.execPath, [child, join(this.#folder, "config.json"), String(clockRate)], {
      env: { ...process.env, HIVE_FAILPOINTS: failpoints },
      stdio: ["ignore", "ignore", "pipe"],
    });
    const host = new Daemon(started, join(this.#folder, "run"));
    this.host = host;
    // One that is killed while it starts never answers.
    await Promise.race([host.answers(), host.ended]).catch(() => undefined);
    return host;
  }

  async running(): Promise<Daemon> {
    return this.host === undefined || this.host.over ? this.start() : this.host;
  }

  async kill(): Promise<void> {
    if (this.host === undefined) return;
    await this.host.stop("SIGKILL");
    this.#logged += this.host.log.slice(this.#old);
    this.#old = 0;
    this.host = undefined;
  }

  /** What the host side says of itself; undefined when it does not answer. */
  async status(): Promise<Readonly<Record<string, unknown>> | undefined> {
    const answer = await this.host?.call("GET", "/status", { timeoutMs: 1000 }).catch(() => undefined);
    return answer?.status === 200 ? record(JSON.parse(answer.text)) : undefined;
  }

  /** Waits until the status is as wanted, or the host side has ended; for so long at most, ms. */
  async until(is: (status: Readonly<Record<string, unknown>>) => boolean, mostMs = 5000): Promise<boolean> {
    for (const end = performance.now() + mostMs; performance.now() < end; await sleep(20)) {
      if (this.host === undefined || this.host.over) return false;
      const status = await this.status();
      if (status !== undefined && is(status)) return true;
    }
    return false;
  }

  /** Asks for the card to go to the other VM, and waits until that is begun or refused, or the host side has ended. */
  async handoff(): Promise<Asked> {
    const from = await this.#holder();
    const to = from === vms.ai ? vms.district : vms.ai;
    this.#handoffs += 1;
    const asked = { id: `handoff-${String(this.#handoffs)}`, from, to };
    this.asked = asked;
    const refusals = await this.#refusals();
    await this.host?.call("POST", "/handoff", { body: { id: asked.id, to }, timeoutMs: 1000 }).catch(() => undefined);
    for (let look = 0; look < 100 && this.host?.over === false; look += 1) {
      if (planOf(await this.status())["id"] === asked.id || (await this.#refusals()) > refusals) break;
      await sleep(20);
    }
    return asked;
  }

  /** Opens or closes the market by a new configuration, and waits until it is in force. */
  async market(isOpen: boolean): Promise<void> {
    await this.#configure(isOpen);
    this.host?.signal("SIGHUP");
    if (!(await this.until(({ marketOpen }) => marketOpen === isOpen))) throw new Error("the market does not change");
  }

  /** The VM boots anew, and with it the arbiter: its promises end. */
  async reboot(): Promise<void> {
    this.#open = false;
    await this.#following;
    if ((await this.world.machine(vms.ai)).run !== "stopped") await this.arbiter.boot();
    this.#open = true;
    this.#following = this.#follow();
  }

  async close(): Promise<void> {
    this.#open = false;
    await this.#following;
    await this.kill();
    process.off("exit", this.#orphan);
    await this.arbiter.site.close();
    await this.proxy.close();
    await this.world.close();
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #follow(): Promise<void> {
    for (; this.#open; await sleep(followMs)) {
      try {
        await this.#look();
      } catch (error) {
        this.#breach(`VM 100 cannot be followed: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  }

  /** The arbiter runs while its VM does; at no moment may the card be held twice. */
  async #look(): Promise<void> {
    const machines = await this.world.machines();
    if (machines.filter(({ hasCard }) => hasCard).length > 1) this.#breach("two VMs have the card");
    const run = machines.find(({ vmid }) => vmid === vms.ai)?.run;
    if (run === "stopped" && this.arbiter.up) {
      if (this.arbiter.releases === 0) this.#breach("VM 100 was stopped, and its arbiter was not asked");
      const holder = (await this.arbiter.daemon?.status())?.holder ?? null;
      if (holder !== null) this.#breach(`VM 100 was stopped while ${holder.service} held the card`);
      await this.arbiter.powerOff();
    } else if (run === "running" && !this.arbiter.up) await this.arbiter.boot();
  }

  async #holder(): Promise<number> {
    return (await this.world.machines()).find(({ hasCard }) => hasCard)?.vmid ?? vms.ai;
  }

  #breach(what: string): void {
    if (!this.breaches.includes(what)) this.breaches.push(what);
  }

  async #refusals(): Promise<number> {
    const answer = await this.host?.call("GET", "/decisions?since=0", { timeoutMs: 1000 }).catch(() => undefined);
    if (answer?.status !== 200) return 0;
    const { decisions } = record(JSON.parse(answer.text));
    return rows(decisions).filter(({ what }) => what === "refuse handoff").length;
  }

  async #configure(marketOpen: boolean): Promise<void> {
    const file = join(this.#folder, "config.json");
    const config = await hostConfig(this.#folder, this.world.pve, this.proxy.port, marketOpen);
    await writeFile(file, JSON.stringify(config), { mode: 0o600 });
  }
}

export function planOf(status: Readonly<Record<string, unknown>> | undefined): Readonly<Record<string, unknown>> {
  return status?.["handoff"] === undefined ? {} : record(status["handoff"]);
}
