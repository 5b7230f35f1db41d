/** What the lab's Sentinel may delete: throwaway servers of the lab's own host and of its stand-in for AWS. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { SentinelConfigInput } from "../../components/shared/agent/sentinelConfig.ts";
import { regionOf } from "../../components/shared/vps/lightsail.ts";
import { reaperTokenCommands } from "../../components/shared/vps/reaperRights.ts";
import type { LabInfo } from "../../lab/index.ts";
import { usualZone } from "../agents/zone.ts";
import { CommandFailure } from "../output/failure.ts";
import { sshRun } from "../proxmox/ssh.ts";
import { readIfThere, writeWhole } from "../targets/stateFolder.ts";
import type { SentinelFolder } from "./folder.ts";

/** Name of every lab's Hive: its host and its account are its own. */
const labEstate = "lab";

/** Section `watch` without a reaper's credentials: agents can be ordered all the same. */
export const watchWithoutReaper = { reaper: { estate: labEstate } } as const;

/** Section `watch`: the reaper with credentials of its own, made by the commands that a person would give. */
export async function labWatch(lab: LabInfo, folder: SentinelFolder): Promise<SentinelConfigInput["watch"]> {
  const { apiUrl, caCertFile, aws } = lab;
  const tokenFile = join(folder.root, "reaper.token");
  if (readIfThere(tokenFile) === undefined) writeWhole(tokenFile, `${await makeToken(lab)}\n`);
  return {
    reaper: {
      estate: labEstate,
      proxmox: { url: apiUrl, tokenFile, caFile: caCertFile, node: "pve" },
      lightsail: {
        region: regionOf(usualZone) ?? "",
        credentialsFile: aws.credentialsFile,
        profile: "reaper",
        endpoint: aws.url,
      },
    },
  };
}

/** Makes pool, role, user and token on the lab's host. What is there stays; a token that nobody knows is made anew. */
async function makeToken({ ssh }: LabInfo): Promise<string> {
  const { host, port, user, privateKeyFile, hostPublicKey } = ssh;
  const door = { host, port, user, privateKey: readFileSync(privateKeyFile, "utf8"), hostKey: hostPublicKey.trim() };
  const [last = "", ...rest] = reaperTokenCommands.toReversed();
  const [, owner = "", name = ""] = /^pveum user token add (\S+) (\S+)/.exec(last) ?? [];
  const before = [...rest.toReversed(), `pveum user token remove ${owner} ${name}`];
  const script = [...before.map((command) => `${command} >/dev/null 2>&1 || true`), `${last} --output-format json`];
  const made = await sshRun(door, script.join("\n"));
  const [, id] = /"full-tokenid":"([^"]+)"/.exec(made.stdout) ?? [];
  const [, value] = /"value":"([^"]+)"/.exec(made.stdout) ?? [];
  if (made.code !== 0 || id === undefined || value === undefined)
    throw new CommandFailure(`the lab's host gives the reaper no token: ${made.stderr.trim().slice(0, 300)}`);
  return `${id}=${value}`;
}
