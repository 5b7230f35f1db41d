import type { Session } from "../engine/session.ts";
import { CommandFailure } from "../output/failure.ts";
import type { SentinelServer } from "./sshLine.ts";

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const text = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : undefined);

/** How the Sentinel's server is reached, from its stack's own settings and outputs. @throws CommandFailure */
export async function sentinelServer(session: Session): Promise<SentinelServer> {
  const { stack, project } = session.target;
  const { stdout } = await session.engine(["config", "--show-secrets", "--json", "--stack", stack]);
  const outputs = await session.outputs();
  const plain = Object.fromEntries(Object.entries(outputs).map(([name, { value }]) => [name, value]));
  return serverOf(JSON.parse(stdout), plain, project);
}

/**
 * Reads the server out of `pulumi config --json` and the stack's output `sentinel`. Pure.
 * @throws CommandFailure naming what is missing
 */
export function serverOf(config: unknown, outputs: Readonly<Record<string, unknown>>, project: string): SentinelServer {
  const told = outputs["sentinel"];
  const host = isRecord(told) ? text(told["host"]) : undefined;
  if (!isRecord(told) || host === undefined)
    throw new CommandFailure("stack sentinel exports no server yet: hive up sentinel brings it up first");
  const hostKey = text(told["hostKey"]);
  if (hostKey === undefined)
    throw new CommandFailure(
      "the Sentinel's host key is not in its settings, so its server could be anybody's. Read it there (cat /etc/ssh/ssh_host_ed25519_key.pub), set it, and bring the stack up again: pulumi config set --path hive:connect.hostKey 'ssh-ed25519 AAAA…' --stack sentinel",
    );
  const entry = isRecord(config) ? config[`${project}:sshPrivateKey`] : undefined;
  const privateKey = isRecord(entry) ? text(entry["value"]) : undefined;
  if (privateKey === undefined) throw new CommandFailure("stack sentinel has no hive:sshPrivateKey");
  return { host, port: Number(told["port"] ?? 22), user: text(told["user"]) ?? "root", privateKey, hostKey };
}
