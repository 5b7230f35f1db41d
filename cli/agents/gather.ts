/** Gathers the ground of a new agent from the target: the lab, or a real host's own settings. */
import { configNamespace } from "../../components/shared/genesisConfig.ts";
import type { Checked, Fault } from "../../components/shared/faults.ts";
import type { Context } from "../commands/context.ts";
import { hostFromConfig } from "../commands/host.ts";
import { CommandFailure } from "../output/failure.ts";
import type { ReachedSentinel } from "../sentinel/reach.ts";
import type { HostConnection } from "../targets/target.ts";
import { readTracked } from "../targets/tracked.ts";
import { agentNetwork, proxmoxPlace, sectionOf } from "./ground.ts";
import type { AgentOrder } from "./order.ts";
import { ownRelease } from "./release.ts";
import type { AgentGround } from "./stackConfig.ts";
import { agentSettings, knownAgents } from "./store.ts";

/** Ground of an agent, and the secrets of its provider. */
export interface Gathered {
  readonly ground: AgentGround;
  /** By name, without namespace. */
  readonly secrets: Readonly<Record<string, string>>;
}

const key = (name: string): string => `${configNamespace}:${name}`;
const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Ids that agents' settings have taken. */
function promisedIds(kind: "lab" | "real", except: string): number[] {
  return knownAgents(kind)
    .filter((name) => name !== except)
    .flatMap((name) => {
      const place = agentSettings(kind, name).config[key("proxmox")];
      const id = isRecord(place) ? Number(place["vmId"]) : Number.NaN;
      return Number.isInteger(id) ? [id] : [];
    });
}

/** Stands for the release where nothing is installed. */
const noRelease = { tarball: "none", sha256: "0".repeat(64), version: "0.0.0" };

/** The lab gives everything itself: host, template, release, and the Sentinel beside it. */
export async function gatherOnLab(
  { lab, target, interrupts }: Context,
  order: AgentOrder,
  { listen }: ReachedSentinel,
  options: { readonly zone: string; readonly dryRun: boolean },
): Promise<Checked<Gathered>> {
  if (lab === undefined || target.host === undefined || listen === undefined)
    throw new CommandFailure("the lab does not run");
  const network = agentNetwork(readTracked("genesis").config, configNamespace);
  const place: Checked<AgentGround["place"]> =
    order.provider === "lightsail"
      ? { ok: true, value: { zone: options.zone } }
      : await proxmoxPlace(target.host, network, {
          promised: promisedIds("lab", order.name),
          furnish: options.dryRun ? "as if" : "really",
        });
  if (!place.ok) return place;
  const { tarball, sha256, version } = options.dryRun ? noRelease : await ownRelease(interrupts.cancel);
  return {
    ok: true,
    value: {
      ground: {
        release: { tarball, sha256, version },
        adminCidrs: [`${lab.info.adminAddress}/32`],
        sentinel: listen,
        place: place.value,
      },
      // The lab's token is put in whenever the stack is opened.
      secrets: {},
    },
  };
}

/** On a real host stack sentinel's settings are what its agents have, too; the Proxmox host may also be genesis' own. */
export async function gatherOnHost(context: Context, order: AgentOrder, zone: string): Promise<Checked<Gathered>> {
  const file = "Pulumi.sentinel.yaml";
  const { config } = readTracked("sentinel");
  const session = await context.openOther("sentinel");
  const outputs = await session.outputs();
  const sentinel = listensAt(outputs["address"]?.value, outputs["sentinel"]?.value);
  const faults: Fault[] = [];
  if (sentinel === undefined)
    faults.push({ property: "stack sentinel", limit: "a Sentinel that is up", fix: "Run hive up sentinel." });
  const adminCidrs = config[key("adminCidrs")];
  const found = order.provider === "lightsail" ? undefined : await hostOfAgents(context);
  const place: Checked<AgentGround["place"]> =
    found === undefined
      ? { ok: true, value: { zone } }
      : await proxmoxPlace(found, agentNetwork(readTracked("genesis").config, configNamespace), {
          promised: promisedIds("real", order.name),
        });
  if (!place.ok) faults.push(...place.faults);
  if (faults.length > 0 || !place.ok || sentinel === undefined) return { ok: false, faults };
  return {
    ok: true,
    value: {
      ground: {
        release: sectionOf(config, key("release"), file),
        adminCidrs: Array.isArray(adminCidrs) ? adminCidrs.map(String) : [],
        sentinel,
        place: place.value,
      },
      secrets: found === undefined ? {} : { apiToken: found.apiToken },
    },
  };
}

/** Where runners find the Sentinel, out of its stack's outputs; undefined where there are none. */
function listensAt(address: unknown, output: unknown): AgentGround["sentinel"] | undefined {
  const port = isRecord(output) ? output["runnersPort"] : undefined;
  return typeof address === "string" && typeof port === "number" ? { host: address, port } : undefined;
}

/** The Proxmox host that agents are made on: genesis' own. */
async function hostOfAgents(context: Context): Promise<HostConnection> {
  const session = await context.openOther("genesis");
  const { stack, project } = session.target;
  const { stdout } = await session.engine(["config", "--show-secrets", "--json", "--stack", stack]);
  const host = hostFromConfig(JSON.parse(stdout), project);
  if (host !== undefined) return host;
  throw new CommandFailure("stack genesis names no Proxmox host with a token: set them, or give --provider lightsail");
}
