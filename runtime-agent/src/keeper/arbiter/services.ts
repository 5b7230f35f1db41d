/** The services' processes and applications, opened when first needed and again until it works. */
import type { ServiceConfig } from "../../../../components/shared/agent/keeperConfig.ts";
import type { Application } from "../processes/apps/application.ts";
import { openApplication } from "../processes/apps/index.ts";
import { textOf } from "../processes/errors.ts";
import { openServiceProcess } from "../processes/service/open.ts";
import type { ServiceHandles } from "../processes/service/rungs.ts";
import type { ServiceState } from "../processes/service/serviceProcess.ts";
import { within } from "./within.ts";
import type { Action } from "./core/types.ts";
import { placeOf } from "./places.ts";
import type { Place } from "./record.ts";

const engineSockets: Readonly<Record<string, string>> = {
  docker: "/var/run/docker.sock",
  podman: "/run/podman/podman.sock",
};

/** How long the kernel, an engine or systemd may take to say how a service is, ms. */
const lookMs = 2_000;

interface Known {
  readonly place: Place;
  /** Whether the configuration names it; else it is only to be set free. */
  readonly configured: boolean;
  readonly start: readonly string[] | undefined;
  readonly application: Application | undefined;
  handles: ServiceHandles | undefined;
}

export class Services {
  readonly #known = new Map<string, Known>();

  /**
   * `before`: places of services that an earlier configuration named: they may have to be set free. Those of services
   * that it has moved are under another name there (`places.ts`).
   */
  constructor(configured: readonly ServiceConfig[], before: Readonly<Record<string, Place>>) {
    for (const [name, place] of Object.entries(before)) {
      const application = place.application === undefined ? undefined : openApplication(place.application);
      this.#known.set(name, { place, configured: false, start: undefined, application, handles: undefined });
    }
    for (const service of configured) {
      const { name, start, application } = service;
      this.#known.set(name, {
        place: placeOf(service),
        configured: true,
        start,
        application: application === undefined ? undefined : openApplication(application),
        handles: undefined,
      });
    }
  }

  get names(): readonly string[] {
    return [...this.#known.keys()];
  }

  /** What is to be remembered of them: those of the names, and those that the configuration names no longer. */
  places(names: readonly string[]): Record<string, Place> {
    const entries = [...this.#known].filter(([name, { configured }]) => !configured || names.includes(name));
    return Object.fromEntries(entries.map(([name, { place }]) => [name, place]));
  }

  /** Forgets what the configuration names no longer, but for those that are still to be raised, and these. */
  forget(asked: readonly Action[], names: readonly string[] = []): void {
    const raised = asked.flatMap((action) => (action.kind === "raise" ? [action.service] : []));
    for (const name of this.names) if (!raised.includes(name) && !names.includes(name)) this.released(name);
  }

  /** It was set free: one that the configuration names no longer is forgotten. */
  released(name: string): void {
    if (this.#known.get(name)?.configured === false) this.#known.delete(name);
  }

  /** @throws when nobody knows the service, or what holds its processes cannot be reached */
  handles(name: string): ServiceHandles {
    const known = this.#known.get(name);
    if (known === undefined) throw new Error(`nothing is known of service ${name}`);
    const { place, start, application } = known;
    known.handles ??= {
      process: openServiceProcess(
        {
          cgroup: place.cgroup,
          unit: place.unit,
          container: place.container?.name,
          pidFile: place.pidFile,
          start,
        },
        socketOf(place),
      ),
      application,
    };
    return known.handles;
  }

  /** What the kernel says of a service now, or why it cannot be asked. */
  async look(name: string): Promise<{ readonly state: ServiceState } | { readonly fault: string }> {
    try {
      return { state: await within(this.handles(name).process.state(), lookMs, "no answer") };
    } catch (error) {
      return { fault: textOf(error) };
    }
  }

  /** Its living processes; undefined when they cannot be known now. */
  async pids(name: string): Promise<readonly number[] | undefined> {
    try {
      return await within(this.handles(name).process.pids(), lookMs, "no answer");
    } catch {
      return undefined;
    }
  }

  /** Whether looking at it costs no process of its own: cgroups and pid files are read, the rest is asked. */
  isCheap(name: string): boolean {
    const place = this.#known.get(name)?.place;
    return place?.cgroup !== undefined || place?.pidFile !== undefined;
  }
}

function socketOf(place: Place): { readonly engineSocket?: string } {
  const { container } = place;
  const socket = container === undefined ? undefined : (container.socket ?? engineSockets[container.engine]);
  return socket === undefined ? {} : { engineSocket: socket };
}
