/** What all cycles stand on: a lab with its Sentinel, and what servers are made of. */
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import { proxmoxPlace } from "../../../cli/agents/ground.ts";
import { ownRelease, type Release } from "../../../cli/agents/release.ts";
import { ProxmoxApi } from "../../../cli/proxmox/api.ts";
import { type Sentinel, sentinelOn } from "../../../cli/sentinel/client.ts";
import { endSentinel } from "../../../cli/sentinel/endSentinel.ts";
import { findSentinel, sentinelFolder } from "../../../cli/sentinel/folder.ts";
import { joinServers } from "../../../cli/sentinel/labNetwork.ts";
import { labWatch } from "../../../cli/sentinel/labReaper.ts";
import { labLine, labListen, labSentinel } from "../../../cli/sentinel/labSentinel.ts";
import { ensureToolchain } from "../../../cli/setup/toolchain.ts";
import { entryPointOf, packSources } from "../../../components/shared/vps/pack.ts";
import { readSources } from "../../../components/vps/readSources.ts";
import { type Estate, openEstate } from "../../support/estate.ts";
import { undoOnSignal } from "../cleanup.ts";
import { abandon } from "./abandon.ts";
import { lightRelease } from "./release.ts";

export type Say = (line: string) => void;

const network = {
  ...{ bridge: "vmbr0", cidr: "192.168.1.0/24", gateway: "192.168.1.1", vlanId: undefined },
  ...{ firstHost: 20, domain: "hive.internal" },
};
const placeForm = z.object({ storage: z.string(), image: z.string() });

export interface Ground {
  readonly estate: Estate;
  readonly api: ProxmoxApi;
  readonly network: { readonly outside: string; readonly sshPort: number };
  readonly listen: { readonly host: string; readonly port: number };
  readonly storage: string;
  readonly image: string;
  /** The whole release, as the engine installs it, and the one without Node. */
  readonly whole: Release;
  readonly light: Release;
  readonly sources: { readonly folder: string; readonly tar: Buffer; readonly sha256: string };
  /** The lab's own key opens every machine. */
  readonly labKey: string;
  /** The Sentinel, started anew where it was killed. */
  readonly sentinel: () => Promise<Sentinel>;
  /** Kills the Sentinel as a machine that loses its power does. */
  readonly killSentinel: () => void;
  /** Guests on the host, by id. */
  readonly guests: () => Promise<readonly number[]>;
  readonly close: () => Promise<void>;
}

/** @throws Error where this machine cannot have a lab with servers */
export async function openGround(say: Say): Promise<Ground> {
  const need = ["engine", "proxmoxve", "command", "analyzer", "langhost"] as const;
  const estate = await openEstate(await ensureToolchain({ need: [...need], progress: say }));
  const undo = undoOnSignal(() => abandon(estate));
  const close = async (): Promise<void> => {
    await endSentinel(estate.folder.lab);
    await estate.close();
    undo();
  };
  try {
    return { ...(await furnished(estate)), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function furnished(estate: Estate): Promise<Omit<Ground, "close">> {
  const { info, folder } = estate;
  if (info.network === undefined) throw new Error(info.limitation ?? "the lab has no network of its own here");
  const { host } = estate.target();
  if (host === undefined) throw new Error("the lab has no host");
  const api = new ProxmoxApi(host);
  const place = await proxmoxPlace(host, network, { promised: [], furnish: "really" });
  if (!place.ok) throw new Error(place.faults.map(({ property, limit }) => `${property}: ${limit}`).join("; "));
  // The same that the command line starts: its reaper is at work meanwhile.
  const runningSentinel = () =>
    labSentinel(folder.lab, labListen(info), async (own) => ({ watch: await labWatch(info, own) }));
  const found = await runningSentinel();
  await joinServers(info, found.listen.port);
  const sources = join(import.meta.dirname, "sources");
  const packed = packSources(await readSources(sources), entryPointOf("bench", undefined));
  if (!packed.ok) throw new Error("the agent's sources cannot be packed");
  const own = join(folder.root, "light");
  mkdirSync(own, { mode: 0o700 });
  const light = await lightRelease(own);
  return {
    ...{ estate, api, network: info.network, listen: found.listen, light },
    ...placeForm.parse(place.value),
    whole: await ownRelease(),
    sources: { folder: sources, tar: Buffer.from(packed.value.tar), sha256: packed.value.sha256 },
    labKey: readFileSync(info.ssh.privateKeyFile, "utf8"),
    sentinel: async () => sentinelOn(labLine(await runningSentinel())),
    killSentinel: () => {
      const running = findSentinel(sentinelFolder(folder.lab));
      if (running !== undefined) process.kill(running.pid, "SIGKILL");
    },
    guests: async () =>
      (await api.list("/cluster/resources", { type: "vm" })).map((row) => Number(row["vmid"])).toSorted(),
  };
}
