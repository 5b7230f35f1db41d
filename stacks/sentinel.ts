import * as pulumi from "@pulumi/pulumi";
import { Sentinel } from "../components/vps/index.ts";
import type { SentinelConfigInput } from "../components/shared/agent/sentinelConfig.ts";
import { withEstate } from "../components/shared/vps/estate.ts";
import { serverPorts } from "../components/shared/vps/serverPlan.ts";
import { readSentinelSettings } from "./servers.config.ts";
import { serverPlace } from "./servers.ts";

/** The Sentinel of seed 004 on its XS: protected, and never thrown away. */
export async function sentinel(): Promise<Record<string, unknown>> {
  const settings = readSentinelSettings();
  const stack = new pulumi.Config();
  const { release, publicKey, connect, budget, adminCidrs, runnerCidrs, openings } = settings;
  const { place, offers, providers } = await serverPlace(settings, false);
  const files = stack.getSecretObject<Record<string, string>>("secrets") ?? pulumi.output<Record<string, string>>({});
  const { config: written, estate } = settings;
  const config: SentinelConfigInput = { ...withEstate(written, estate), version: 1, role: "sentinel" };
  const made = new Sentinel(
    "sentinel",
    {
      config,
      secrets: Object.fromEntries(settings.secretNames.map((file) => [file, files.apply((all) => all[file] ?? "")])),
      place,
      offers,
      budget,
      publicKey,
      connect,
      adminCidrs,
      runnerCidrs,
      openings,
      release,
      healthSec: release.healthSec,
      privateKey: stack.requireSecret("sshPrivateKey"),
      deadManUrl: stack.requireSecret("deadManUrl"),
    },
    { providers: [...providers] },
  );
  const { address, user, version, centsPerMonth, centsPerHour } = made;
  /** How the command line reaches it, and where runners do. */
  const reached = {
    ...connect,
    host: connect.host ?? address,
    hostKey: made.hostKey,
    user,
    runnersPort: serverPorts.sentinel,
  };
  return { sentinel: reached, address, version, provider: place.provider, centsPerMonth, centsPerHour };
}
