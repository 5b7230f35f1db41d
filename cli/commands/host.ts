import type { Session } from "../engine/session.ts";
import { progress } from "../output/terminal.ts";
import type { HostConnection } from "../targets/target.ts";
import type { Context } from "./context.ts";

/**
 * The connection to the host: the lab's, or the one in the user's stack configuration. A server of the Sentinel's or of
 * an agent on that host is repaired with the rights of genesis, which alone has root there.
 */
export async function hostOf(context: Context, session: Session): Promise<HostConnection | undefined> {
  if (context.target.host !== undefined) return context.target.host;
  const { target } = session;
  const own = await configOf(session);
  if (target.stack === "genesis") return hostFromConfig(own, target.project);
  const endpoint = field(field(field(own, `${target.project}:proxmox`), "objectValue"), "endpoint");
  if (endpoint === undefined) return undefined;
  const host = await context
    .openOther("genesis")
    .then(async (genesis) => hostFromConfig(await configOf(genesis), target.project))
    .catch(() => undefined);
  if (host?.endpoint === endpoint) return host;
  progress(
    `${target.stack}: Pulumi.genesis.yaml names another host, or none: what a killed run left there is not repaired`,
  );
  return undefined;
}

async function configOf({ engine, target }: Session): Promise<unknown> {
  const { stdout } = await engine(["config", "--show-secrets", "--json", "--stack", target.stack]);
  const config: unknown = JSON.parse(stdout);
  return config;
}

/** Reads endpoint, token and SSH out of `pulumi config --json`; `undefined` when the token or endpoint is not set. */
export function hostFromConfig(config: unknown, project: string): HostConnection | undefined {
  const value = (name: string): unknown => {
    const entry = field(config, `${project}:${name}`);
    const structured = field(entry, "objectValue");
    return structured ?? field(entry, "value");
  };
  const endpoint = value("endpoint");
  const apiToken = value("apiToken");
  const sshPrivateKey = value("sshPrivateKey");
  const ssh = value("ssh");
  if (typeof endpoint !== "string" || typeof apiToken !== "string" || URL.parse(endpoint) === null) return undefined;
  const text = (name: string): string | undefined => {
    const found = field(ssh, name);
    return typeof found === "string" || typeof found === "number" ? String(found) : undefined;
  };
  const nodeName = value("nodeName");
  return {
    endpoint,
    apiToken,
    insecure: value("insecure") === true || value("insecure") === "true",
    nodeName: typeof nodeName === "string" ? nodeName : "pve",
    ssh: {
      host: text("host") ?? new URL(endpoint).hostname,
      port: Number(text("port") ?? 22),
      user: text("user") ?? "root",
      privateKey: typeof sshPrivateKey === "string" ? sshPrivateKey : "",
      hostKey: text("hostKey"),
    },
  };
}

function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}
