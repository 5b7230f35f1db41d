import type { Fault } from "../../components/shared/faults.ts";
import { CommandFailure } from "../output/failure.ts";
import { ApiError, ProxmoxApi } from "../proxmox/api.ts";
import { sshRun } from "../proxmox/ssh.ts";
import type { HostConnection } from "../targets/target.ts";

/** Why the host cannot be worked with over one of its two doors. */
export interface Problem {
  readonly why: string;
  /** Whether nobody answered at all, so that neither token nor key can be to blame. */
  readonly isSilent: boolean;
}

/** The first line of an error, and whether the host said it. */
export function problemOf(error: unknown): Problem {
  const why = error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error);
  const isSilent =
    (error instanceof ApiError && error.status === 0) ||
    /ECONNREFUSED|ECONNRESET|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|Timed out/.test(why);
  return { why, isSilent };
}

/** Faults of both doors. Pure. */
export function judgeAccess(
  seen: { readonly apiProblem?: Problem | undefined; readonly sshProblem?: Problem | undefined },
  host: {
    readonly endpoint: string;
    readonly ssh: { readonly host: string; readonly port: number; readonly user: string };
  },
): Fault[] {
  const faults: Fault[] = [];
  const { apiProblem, sshProblem } = seen;
  const { endpoint, ssh } = host;
  const port = String(ssh.port);
  const login = `${ssh.user}@${ssh.host}`;
  if (apiProblem !== undefined)
    faults.push(
      apiProblem.isSilent
        ? {
            property: "endpoint",
            value: `${endpoint} (${apiProblem.why})`,
            limit: "the address of a Proxmox VE API that answers",
            fix: `Is the host up, and does it listen there? curl -k ${endpoint} from here; on the host: systemctl status pveproxy`,
          }
        : {
            property: "apiToken",
            value: apiProblem.why,
            limit: `a token that ${endpoint} accepts`,
            fix: "On the host: pveum user token add hive@pve pulumi --privsep 1. Here: pulumi config set --secret hive:apiToken",
          },
    );
  if (sshProblem !== undefined)
    faults.push(
      sshProblem.isSilent
        ? {
            property: "ssh.host",
            value: `${ssh.host}:${port} (${sshProblem.why})`,
            limit: "the address and port of the host's sshd",
            fix: `Is the host up, and does sshd listen there? ssh -p ${port} ${login}`,
          }
        : {
            property: "ssh",
            value: sshProblem.why,
            limit: `${login}:${port} with the configured key`,
            fix: `ssh-copy-id -p ${port} ${login}`,
          },
    );
  return faults;
}

/** Before anything is repaired or changed: does the host answer, and take token and key? @throws CommandFailure */
export async function assertAccess(host: HostConnection): Promise<void> {
  const [overApi, overSsh] = await Promise.allSettled([new ProxmoxApi(host).list("/nodes"), sshRun(host.ssh, "true")]);
  const faults = judgeAccess(
    {
      apiProblem: overApi.status === "rejected" ? problemOf(overApi.reason) : undefined,
      sshProblem: overSsh.status === "rejected" ? problemOf(overSsh.reason) : undefined,
    },
    host,
  );
  if (faults.length > 0) throw new CommandFailure("the host cannot be worked with; nothing was changed", { faults });
}
