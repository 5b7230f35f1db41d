/**
 * The SSH host key that Lightsail witnessed on an instance: its API tells it to whoever may log in there, so that not even
 * the first connection is a leap of faith. The temporary login that the answer also holds is not looked at.
 */
import { setTimeout as sleep } from "node:timers/promises";
import * as pulumi from "@pulumi/pulumi";
import { hostKeyIn } from "../components/shared/vps/hostKey.ts";
import { askLightsail, awsCredentials, LightsailRefusal, profileCredentials } from "./lightsailApi.ts";

/** Lightsail sees a key when the instance has booted; an older one that has none gets none, ms. */
const youngMs = 180_000;

/**
 * The key of an instance, `ssh-ed25519 AAAA…`; an empty text where Lightsail has none, or cannot be asked. A young one is
 * asked for again whatever went wrong: it may be pending still, and without an answer a stranger's key could be kept.
 * @param againMs between two tries. @default 3000
 */
export async function lightsailHostKey(
  region: string,
  instanceName: string,
  createdAt: string,
  againMs = 3000,
): Promise<string> {
  const credentials = awsCredentials() ?? (await profileCredentials());
  if (credentials === undefined) return "";
  const untilMs = Date.parse(createdAt) + youngMs;
  for (;;) {
    let failure: unknown;
    try {
      const body = { instanceName, protocol: "ssh" };
      const found = hostKeyIn(await askLightsail(region, credentials, "GetInstanceAccessDetails", body));
      if (found !== undefined) return found;
    } catch (error) {
      failure = error;
    }
    const isDenied = failure instanceof LightsailRefusal && failure.denied;
    if (isDenied || !(Date.now() < untilMs)) {
      if (failure !== undefined) await warn(instanceName, failure);
      return "";
    }
    await sleep(againMs);
  }
}

async function warn(instanceName: string, failure: unknown): Promise<void> {
  const why = failure instanceof Error ? failure.message : String(failure);
  await pulumi.log.warn(`${instanceName}: Lightsail did not tell its SSH host key (${why})`);
}
