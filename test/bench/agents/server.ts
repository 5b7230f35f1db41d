/**
 * An agent's server by bare calls: the provider's API and the same steps by SSH, without engine, components or policies.
 * What `hive up` and `hive agent destroy` are measured against, and the cheap way to a thousand lives.
 */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { planAgent } from "../../../components/shared/agent/agentPlan.ts";
import {
  renderInstallStep,
  renderPrepareStep,
  secretLines,
  uploadFile,
} from "../../../components/shared/agent/installScripts.ts";
import { valueOrThrow } from "../../../components/shared/faults.ts";
import { planHeavyAgent, registrationKeyName } from "../../../components/shared/vps/heavyAgentPlan.ts";
import {
  renderAccountStep,
  renderPlaceStep,
  renderReadyStep,
  sourcesUpload,
} from "../../../components/shared/vps/installAgent.ts";
import { throwawayPool } from "../../../components/shared/vps/reaperRights.ts";
import { proxmoxOffers, serverPorts } from "../../../components/shared/vps/serverPlan.ts";
import { formatUtc } from "../../../components/shared/vps/utc.ts";
import type { Release } from "../../../cli/agents/release.ts";
import { generateKeyPair } from "../../../lab/host/keys.ts";
import type { Ground } from "./ground.ts";
import { type Login, runOn } from "./shell.ts";

export interface Order {
  readonly name: string;
  readonly vmId: number;
  readonly release: Release;
  /** The registration key that the Sentinel has minted. */
  readonly key: string;
}

/** A server to be. */
export interface BareServer {
  readonly name: string;
  /** Making it, step by step; any of them may be done again. */
  readonly steps: readonly (() => Promise<unknown>)[];
}

const ttlSec = 86_400;
const healthSec = 60;

/** Address of a guest in the lab's network (lab/host/network.ts). */
export function addressOf({ network }: Pick<Ground, "network">, vmId: number): string {
  const [first = "127", second = "0"] = network.outside.split(".");
  return [first, second, vmId >> 8, vmId & 255].join(".");
}

/** The login that the lab's own key gives. */
export function consoleOf(ground: Ground, vmId: number): Login {
  return { host: addressOf(ground, vmId), port: ground.network.sshPort, privateKey: ground.labKey };
}

export function bareServer(ground: Ground, { name, vmId, release, key }: Order): BareServer {
  const { api, listen, network, sources, storage, image } = ground;
  const host = addressOf(ground, vmId);
  const { privateKey, publicKey } = generateKeyPair();
  const login: Login = { host, port: network.sshPort, privateKey };
  const { sha256, version } = release;
  const created = formatUtc(Math.floor(Date.now() / 1000));
  const plan = valueOrThrow(
    name,
    planHeavyAgent(
      {
        ...{ estate: "lab", name, kind: "experimental", created, ttlSec, mode: { mode: "job", idempotent: true } },
        ...{
          sentinel: listen,
          runnerAddress: `${host}:${String(serverPorts.runner)}`,
          adminCidrs: ["192.168.1.50/32"],
        },
        ...{ release: { sha256, version }, healthSec, sourcesSha256: sources.sha256 },
      },
      { provider: "proxmox", offers: proxmoxOffers, budget: { centsPerMonth: 0 }, nowMs: Date.now() },
    ),
  );
  const { runner, allow, server } = plan;
  const secretNames = [registrationKeyName];
  const agent = {
    role: "runner",
    config: runner,
    release: { sha256, version },
    secretNames,
    allow,
    healthSec,
  } as const;
  const installed = valueOrThrow(name, planAgent(agent));
  // As the component has it; a life that is not measured is not made to wait.
  const steadySec = release === ground.whole ? 2 : 0.1;
  const context = { role: "runner", owner: `bench/${name}`, healthSec, steadySec } as const;
  const here = `/nodes/${api.node}/lxc`;
  const on = (script: string, input?: string | Buffer) => () => runOn(login, script, input);
  const place = { name, sha256: sources.sha256, runtime: plan.runtime, units: plan.units };
  return {
    name,
    steps: [
      async () => {
        // Whoever did not hear the answer finds it there.
        if ((await ground.guests()).includes(vmId)) return;
        await api.change("POST", here, {
          ...{
            vmid: vmId,
            hostname: `agent-${name}`,
            ostemplate: image,
            storage,
            rootfs: `${storage}:8`,
            unprivileged: 1,
          },
          ...{ memory: server.offer.ramMiB, cores: server.offer.vcpus, onboot: 1, start: 1, features: "nesting=1" },
          ...{ pool: throwawayPool, tags: server.tags.proxmox.join(";"), "ssh-public-keys": publicKey },
          net0: "name=eth0,bridge=vmbr0,ip=dhcp",
        });
      },
      async () => {
        const wall = `${here}/${String(vmId)}/firewall`;
        await api.change("PUT", `${wall}/options`, { enable: 1, policy_in: "DROP" });
        for (const { port, from } of plan.openings)
          for (const source of from)
            await api.change("POST", `${wall}/rules`, {
              type: "in",
              action: "ACCEPT",
              proto: "tcp",
              dport: port,
              source,
              enable: 1,
            });
      },
      () => untilThere(login),
      on(renderAccountStep("root")),
      on(`cat >'${sourcesUpload(sources.sha256)}'`, sources.tar),
      on(renderPlaceStep(place), ""),
      on(
        renderPrepareStep(context, { login: "root", secretNames }).create,
        secretLines({ [registrationKeyName]: key }),
      ),
      on(`cat >'${uploadFile({ sha256, version })}'`, readFileSync(release.tarball)),
      on(renderInstallStep(context, { release: { sha256, version }, secretNames, ...installed }).create),
      on(renderReadyStep({ name, resident: false, registerSec: 60 })),
    ],
  };
}

/** Waits for its SSH server, as every provider does. */
async function untilThere(login: Login): Promise<void> {
  for (const giveUp = Date.now() + 60_000; ; await sleep(100)) {
    try {
      await runOn(login, "true");
      return;
    } catch (error) {
      if (Date.now() > giveUp) throw error;
    }
  }
}

/** Takes a server down: its runner says farewell if it can, then it is deleted. */
export async function deleteServer(ground: Ground, vmId: number): Promise<void> {
  await runOn(consoleOf(ground, vmId), "/opt/hive-agent/current/bin/hive-agent farewell").catch(() => undefined);
  const guest = `/nodes/${ground.api.node}/lxc/${String(vmId)}`;
  if (!(await ground.guests()).includes(vmId)) return;
  const { status } = await ground.api.record(`${guest}/status/current`);
  if (status === "running") await ground.api.change("POST", `${guest}/status/stop`);
  await ground.api.change("DELETE", guest, { purge: 1, force: 1 });
}
