/** The checks of `hive-agent doctor` for the keeper: what its configuration asks of this machine. */
import { readFile } from "node:fs/promises";
import type { KeeperConfig } from "../../../../components/shared/agent/keeperConfig.ts";
import { realClock } from "../clock.ts";
import { pveClient, type PveClient } from "../proxmox/client.ts";
import { PveError } from "../proxmox/errors.ts";
import { keeperNeeds, keeperRole } from "../proxmox/keeperRights.ts";
import { missingRights, rightsFix, rightsInWords } from "../proxmox/rights.ts";
import { readTokenFile } from "../proxmox/token.ts";
import { urlAddress } from "../urlAddress.ts";
import type { DoctorCheck } from "./doctor.ts";
import { failed, ok, skipped, warning } from "./doctor.ts";
import { folderCheck, presentCheck, reachableCheck, secretFileCheck } from "./machineChecks.ts";

/** Where the cgroup v2 hierarchy is mounted, from `/proc/self/mountinfo`. */
export function cgroup2Mounts(mountinfo: string): readonly string[] {
  return mountinfo
    .split("\n")
    .filter((line) => line.includes(" - cgroup2 "))
    .map((line) => line.split(" ")[4] ?? "");
}

const cgroupCheck: DoctorCheck = {
  name: "cgroup v2",
  async run() {
    const mounts = cgroup2Mounts(await readFile("/proc/self/mountinfo", "utf8"));
    const fix = "Boot with the unified hierarchy: the freezer is part of it.";
    return mounts[0] === undefined ? failed("not mounted", fix) : ok(mounts[0]);
  },
};

function libraryCheck(name: string, library: string, fix: string): DoctorCheck {
  return {
    name,
    async run() {
      const { default: koffi } = await import("koffi");
      try {
        koffi.load(library).unload();
        return ok(library);
      } catch {
        return warning(`${library} cannot be loaded`, fix);
      }
    },
  };
}

function arbiterChecks(config: NonNullable<KeeperConfig["arbiter"]>): readonly DoctorCheck[] {
  const { services, gpu, link } = config;
  const rungs = new Set(services.flatMap((service) => service.rungs));
  const noGpu = "Without it the Keeper runs without the GPU part. Install the NVIDIA driver's libraries.";
  return [
    libraryCheck("NVML", gpu.library, noGpu),
    ...(rungs.has("checkpoint")
      ? [libraryCheck("CUDA", gpu.cudaLibrary, "Without it the checkpoint rung is passed over.")]
      : []),
    ...(rungs.has("freeze") ? [cgroupCheck] : []),
    ...services.flatMap(({ name, tokenFile }) =>
      tokenFile === undefined ? [] : [secretFileCheck(`token of ${name}`, tokenFile, "0640")],
    ),
    ...services.flatMap(({ name, application }) => {
      if (application === undefined) return [];
      return [reachableCheck(`API of ${name}`, urlAddress(application.url))];
    }),
    ...(link === undefined ? [] : [secretFileCheck("link key", link.pskFile)]),
  ];
}

/** A token without rights gets short lists, and no error. */
function rightsCheck(config: NonNullable<KeeperConfig["host"]>): DoctorCheck {
  const { proxmox } = config;
  return {
    name: "Proxmox rights",
    async run() {
      let client: PveClient | undefined;
      try {
        const token = await readTokenFile(proxmox.tokenFile);
        client = pveClient({
          ...{ url: proxmox.url, token, node: proxmox.node, clock: realClock(), deadlineMs: 4000 },
          trust:
            proxmox.fingerprint === undefined
              ? { ca: await readFile(proxmox.caFile ?? "", "utf8") }
              : { fingerprint: proxmox.fingerprint },
        });
        const needs = keeperNeeds(config);
        const missing = await missingRights(client, needs);
        const words = rightsInWords(token, missing);
        if (words !== undefined) return failed(words, rightsFix(token, keeperRole, missing));
        return ok(`the token has what it needs on ${String(needs.length)} paths`);
      } catch (error) {
        // A token that is refused is a fault of its own; what cannot be read or reached has its own check.
        const refused = error instanceof PveError && error.kind === "unauthorised";
        const reason = error instanceof Error ? error.message : String(error);
        return refused ? failed(reason, "Make a new token, as docs/host-setup.md says.") : skipped(reason);
      } finally {
        client?.close();
      }
    },
  };
}

function hostChecks(config: NonNullable<KeeperConfig["host"]>): readonly DoctorCheck[] {
  const { proxmox, link, watchdog, room } = config;
  const noDevice = failed("no such device", "Plug the ESP32 in, or correct host.watchdog.device.");
  const noAuthority = failed("no such file", "Copy /etc/pve/pve-root-ca.pem there, or correct host.proxmox.caFile.");
  const noSensor = failed("no such file", "Load the sensor's driver, or correct host.room.sensor.");
  return [
    secretFileCheck("Proxmox token", proxmox.tokenFile),
    ...(proxmox.caFile === undefined ? [] : [presentCheck("Proxmox authority", proxmox.caFile, noAuthority)]),
    reachableCheck("Proxmox API", urlAddress(proxmox.url)),
    rightsCheck(config),
    ...(link === undefined ? [] : [secretFileCheck("link key", link.pskFile), reachableCheck("arbiter", link.connect)]),
    ...(watchdog?.type === "serial" ? [presentCheck("watchdog", watchdog.device, noDevice)] : []),
    ...(watchdog?.keyFile === undefined ? [] : [secretFileCheck("watchdog key", watchdog.keyFile)]),
    ...(room === undefined ? [] : [presentCheck("room sensor", room.sensor, noSensor)]),
  ];
}

/** What the Keeper's configuration asks of this machine. */
export function keeperChecks({ paths, arbiter, host, side }: KeeperConfig): readonly DoctorCheck[] {
  return [
    folderCheck("log", paths.log),
    ...(side === "arbiter" && arbiter !== undefined ? arbiterChecks(arbiter) : []),
    ...(side === "host" && host !== undefined ? hostChecks(host) : []),
  ];
}
