/** The configuration of the host side in the campaign: two VMs that want the card, and one that an open market pauses. */
import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { RunningProxmox } from "../../../lab/proxmox/index.ts";
import { vms } from "./hostWorld.ts";

const everyDay = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/** With its folders below `root`, where the key of the link is too. */
export async function hostConfig(
  root: string,
  pve: RunningProxmox,
  linkPort: number,
  marketOpen: boolean,
): Promise<object> {
  const folder = (name: string): string => join(root, name);
  const certificate = new X509Certificate(await readFile(pve.caCertFile));
  return {
    version: 1,
    side: "host",
    paths: { state: folder("state"), runtime: folder("run"), log: folder("log") },
    market: marketOpen ? { open: "00:00", close: "24:00", days: everyDay } : { days: [] },
    host: {
      proxmox: { url: pve.url, tokenFile: pve.tokenFile, fingerprint: certificate.fingerprint256, node: "pve" },
      guests: [
        { vmid: vms.ai, role: "ai", priority: 2, essential: true, gpuContender: true },
        { vmid: vms.district, role: "district", priority: 6, gpuContender: true },
        { vmid: vms.worker, role: "worker", priority: 7 },
      ],
      marketRoles: ["worker"],
      link: { connect: `127.0.0.1:${String(linkPort)}`, pskFile: folder("psk") },
      // Without the card the other contender stays off: then there is one right end only.
      handoff: { enabled: true, cpuFallback: false },
      memoryPressure: { availableBelow: "64 MiB", availableAbove: "128 MiB" },
      observeSec: 1,
    },
  };
}
