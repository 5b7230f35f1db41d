/** The arbiter of VM 100: it lives and dies with its VM, and each boot of the VM is one of its own. */
import { randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ArbiterSite } from "../../support/arbiterDaemon.ts";
import type { AgentProgram, Daemon } from "../../support/arbiterDaemon.ts";
import { freePort } from "../../../lab/host/freePort.ts";

/** Puts another boot id in the kernel's place, for this program alone. */
const asBooted = 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"';

export class GuestArbiter {
  readonly site: ArbiterSite;
  readonly port: number;
  daemon: Daemon | undefined;
  /** What earlier daemons logged since {@link forgetReleases}. */
  #logged = "";
  /** How much of the log of the one that runs is older than that. */
  #old = 0;

  private constructor(site: ArbiterSite, port: number) {
    this.site = site;
    this.port = port;
  }

  /** Configures it; it runs after {@link boot}. `pskFile` holds the key of the link. */
  static async open(program: AgentProgram, pskFile: string): Promise<GuestArbiter> {
    const port = await freePort();
    const site = await ArbiterSite.open(program);
    const arbiter = new GuestArbiter(site, port);
    const eva = { name: "eva", rank: 2, kind: "interactive", vram: "8 GB", leaseSec: 60, rungs: ["term"] };
    await site.configure({
      services: [{ ...eva, pidFile: join(site.folder, "eva.pid") }],
      gpu: { library: "libnone.so.1" },
      link: { listen: `127.0.0.1:${String(port)}`, pskFile },
    });
    return arbiter;
  }

  get up(): boolean {
    return this.daemon !== undefined && !this.daemon.over;
  }

  /** How often the card was released to the host side since {@link forgetReleases}. */
  get releases(): number {
    const log = this.#logged + (this.daemon?.log ?? "").slice(this.#old);
    return log.split("\n").filter((line) => line.includes("the card is released for a handoff")).length;
  }

  forgetReleases(): void {
    this.#logged = "";
    this.#old = this.daemon?.log.length ?? 0;
  }

  /** The VM starts: nothing of an earlier boot's promises holds. */
  async boot(): Promise<void> {
    await this.powerOff();
    const bootId = join(this.site.folder, "boot_id");
    await writeFile(bootId, `${randomUUID()}\n`);
    this.daemon = await this.site.start({
      node: ["unshare", "-m", "sh", "-c", asBooted, bootId, process.execPath],
    });
  }

  async powerOff(): Promise<void> {
    if (this.daemon === undefined) return;
    await this.daemon.stop("SIGKILL");
    this.#logged += this.daemon.log.slice(this.#old);
    this.#old = 0;
    this.daemon = undefined;
  }
}
