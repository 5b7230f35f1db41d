import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { entryPointOf, HeavyAgent, packSources, readSources } from "../components/vps/index.ts";
import { formatUtc } from "../components/shared/vps/utc.ts";
import type { AgentStackSettings } from "../components/shared/vps/stackSettings.ts";
import { configError } from "./rawConfig.ts";
import { readAgentSettings } from "./servers.config.ts";
import { serverPlace } from "./servers.ts";

/** Packed sources lie below the project, where no release and no commit takes them along. */
const packed = join(import.meta.dirname, "../.hive/sources");

async function packAgent({ agent }: AgentStackSettings): Promise<{ readonly path: string; readonly sha256: string }> {
  const sources = packSources(await readSources(agent.sources), entryPointOf(agent.name, agent.exec));
  if (!sources.ok) throw configError(`Sources of agent ${agent.name} in ${agent.sources}`, sources.faults);
  const { tar, sha256 } = sources.value;
  const path = join(packed, `${agent.name}-${sha256.slice(0, 12)}.tar`);
  await mkdir(packed, { recursive: true });
  await writeFile(path, tar);
  return { path, sha256 };
}

/** A heavy agent of seed 004 on a server of its own: `pulumi destroy` leaves nothing of it. */
export async function agent(): Promise<Record<string, unknown>> {
  const settings = readAgentSettings();
  const config = new pulumi.Config();
  const { agent: spec, sentinel, release, publicKey, connect, budget, adminCidrs } = settings;
  const sources = await packAgent(settings);
  const { place, offers, providers } = await serverPlace(settings, true);
  const { limits, exec, readWritePaths, browserSandbox } = spec;
  const hostPort = (at?: { readonly host: string; readonly port: number }): string | undefined =>
    at && `${at.host}:${String(at.port)}`;
  const made = new HeavyAgent(
    "agent",
    {
      name: spec.name,
      estate: settings.estate,
      kind: spec.kind,
      size: spec.size,
      created: spec.created,
      renewed: spec.renewed,
      ttlSec: spec.ttlSec,
      mode: spec.mode === "resident" ? { mode: "resident" } : { mode: "job", idempotent: spec.idempotent },
      runtime: spec.runtime,
      overrides: { ...limits, exec, readWritePaths, browserSandbox },
      answerSec: spec.answerSec,
      healthUrl: spec.healthUrl,
      sentinel,
      transport: spec.transport,
      runnerAddress: hostPort(settings.runnerAddress),
      sshAddress: hostPort(settings.sshAddress),
      adminCidrs,
      sources,
      release,
      healthSec: release.healthSec,
      registerSec: settings.registerSec,
      place,
      offers,
      budget,
      publicKey,
      connect,
      privateKey: config.requireSecret("sshPrivateKey"),
      registrationKey: config.requireSecret("registrationKey"),
      environment: config.getSecretObject<Record<string, string>>("environment"),
    },
    { providers: [...providers] },
  );
  const { address, serverId, centsPerMonth, centsPerHour, expiresSec } = made;
  const expires = expiresSec.apply((seconds) => (seconds === undefined ? undefined : formatUtc(seconds)));
  return { address, serverId, provider: place.provider, centsPerMonth, centsPerHour, expires };
}
