// Ports of one state folder stay the same from start to start: stacks hold them in their state.
import { join } from "node:path";
import { readJsonObject, writeFileAtomic } from "./files.ts";
import { freePort } from "./freePort.ts";

export class Ports {
  readonly #file: string;
  readonly #ports: Record<string, number> = {};

  constructor(stateDir: string) {
    this.#file = join(stateDir, "ports.json");
    for (const [name, port] of Object.entries(readJsonObject(this.#file) ?? {})) {
      if (typeof port === "number" && Number.isInteger(port) && port > 0 && port < 65_536) this.#ports[name] = port;
    }
  }

  get(name: string): number {
    return this.#ports[name] ?? 0;
  }

  /** The one of before, or a free one. */
  async choose(name: string): Promise<number> {
    return this.#ports[name] ?? (await freePort());
  }

  remember(name: string, port: number): void {
    if (this.#ports[name] === port) return;
    this.#ports[name] = port;
    writeFileAtomic(this.#file, `${JSON.stringify(this.#ports, null, 1)}\n`);
  }

  forget(name: string): void {
    if (!(name in this.#ports)) return;
    delete this.#ports[name];
    writeFileAtomic(this.#file, `${JSON.stringify(this.#ports, null, 1)}\n`);
  }
}
