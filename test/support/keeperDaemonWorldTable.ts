import { Services } from "../../runtime-agent/src/keeper/arbiter/services.ts";
import type { ServiceHandles } from "../../runtime-agent/src/keeper/processes/service/rungs.ts";
import type { DaemonMachine } from "./keeperDaemonWorldServices.ts";

/** The daemon's own table of services, with the machine's processes in it. */
export class MachineServices extends Services {
  readonly #machine: DaemonMachine;

  constructor(machine: DaemonMachine) {
    super([], {});
    this.#machine = machine;
  }

  override get names(): readonly string[] {
    return this.#machine.names;
  }

  override handles(name: string): ServiceHandles {
    return this.#machine.handles(name);
  }

  override isCheap(): boolean {
    return true;
  }
}
