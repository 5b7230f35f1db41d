import { existsSync } from "node:fs";
import { fault, faultInWords } from "../../../../../components/shared/check.ts";
import { FaultsError } from "../../../../../components/shared/faults.ts";
import { Cgroup } from "../cgroup/cgroup.ts";
import { ContainerEngine } from "../containers/engine.ts";
import { ProcessError } from "../errors.ts";
import { CgroupProcess } from "./cgroupProcess.ts";
import { ContainerProcess } from "./containerProcess.ts";
import type { ServiceProcess, ServiceProcessConfig } from "./serviceProcess.ts";
import { commandStarter } from "./starter.ts";
import { TreeProcess } from "./treeProcess.ts";
import { UnitProcess } from "./unitProcess.ts";

/** Sockets of the engines, the first that exists is taken. */
const defaultSockets: readonly string[] = ["/run/podman/podman.sock", "/var/run/docker.sock"];

export interface OpenOptions {
  /** The cgroup v2 mount. @default the one that /proc/self/mountinfo shows */
  readonly mount?: string;
  /** Unix socket of Docker or Podman. @default the first of theirs that exists */
  readonly engineSocket?: string;
  /** @default systemctl */
  readonly systemctl?: string;
}

/** The processes of a service. @throws FaultsError when its configuration names no holder, or more than one */
export function openServiceProcess(config: ServiceProcessConfig, options: OpenOptions = {}): ServiceProcess {
  const { cgroup, unit, container, pidFile } = config;
  const given = Object.entries({ cgroup, unit, container, pidFile }).filter(([, value]) => value !== undefined);
  if (given.length !== 1)
    throw new FaultsError("service", [
      faultInWords(
        "cgroup | unit | container | pidFile",
        given.length === 0 ? "none" : given.map(([key]) => key).join(" and "),
        "exactly one of them",
        "Name the one place where this service's processes live.",
      ),
    ]);
  const starter = config.start === undefined ? undefined : commandStarter(config.start);
  if (cgroup !== undefined) return new CgroupProcess(Cgroup.at(cgroup, options.mount), starter);
  if (unit !== undefined) return new UnitProcess(unit, options);
  if (container !== undefined) return new ContainerProcess(container, () => connectEngine(options.engineSocket));
  if (pidFile?.startsWith("/") === true) return new TreeProcess(pidFile, starter);
  throw new FaultsError("service", [
    fault(
      "pidFile",
      pidFile,
      "an absolute path",
      "Give the path of the file that the service writes, for example /run/muse.pid.",
    ),
  ]);
}

async function connectEngine(configured: string | undefined): Promise<ContainerEngine> {
  const socket = configured ?? defaultSockets.find((path) => existsSync(path));
  if (socket === undefined)
    throw new ProcessError("unreachable", `neither Podman nor Docker listens: no ${defaultSockets.join(", no ")}`);
  return ContainerEngine.connect(socket);
}
