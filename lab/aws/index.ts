/**
 * The lab's AWS: a stateful subset of Lightsail behind the published API, whose servers are machines of the lab. What is
 * not in the table of actions (docs/lab-aws-actions.md) is an unknown operation.
 */
import { join } from "node:path";
import { isErrno, writeFileAtomic } from "../host/files.ts";
import { portTaken } from "../host/index.ts";
import type { MachinesOptions } from "../host/machine.ts";
import type { LabNetwork } from "../host/network.ts";
import { createFaults } from "../proxmox/shell/faults.ts";
import type { Faults } from "../proxmox/shell/faults.ts";
import { ensureCredentials } from "./credentials.ts";
import type { Credential } from "./credentials.ts";
import { Servers } from "./machines.ts";
import { startEndpoint } from "./server.ts";
import { AwsStore } from "./state.ts";

export interface AwsOptions {
  machines: MachinesOptions;
  network: LabNetwork | undefined;
  /** How long what AWS does asynchronously takes, ms. @default 200 */
  delayMs?: number;
  /** 0: the port of the last start, or a new one. */
  port?: number;
  onServers: () => void;
}

export interface RunningAws {
  url: string;
  /** The region that the lab's own settings name; servers can be made in any. */
  region: string;
  /** A file that AWS's SDKs read as AWS_SHARED_CREDENTIALS_FILE, with the profiles `default` and `reaper`. */
  credentialsFile: string;
  admin: Credential;
  reaper: Credential;
  faults: Faults;
  servers: Servers;
  close: () => Promise<void>;
}

export async function startAws(options: AwsOptions): Promise<RunningAws> {
  const { machines, network } = options;
  const { stateDir, ports } = machines;
  const store = new AwsStore(stateDir);
  const { admin, reaper } = ensureCredentials(stateDir);
  const faults = createFaults();
  const servers = new Servers(machines, store, options.onServers);
  const port = options.port ?? (await ports.choose("aws"));
  const endpoint = await startEndpoint({
    ...{ store, credentials: [admin, reaper], faults, delayMs: options.delayMs ?? 200, port },
    // TEST-NET-1 (RFC 5737) where the lab has no network: an address that leads nowhere.
    newAddress: (number) => network?.serverAddress(number) ?? `192.0.2.${(number % 254) + 1}`,
    hostKeyOf: servers.hostKeyOf,
    changed: () => void servers.refresh(),
  }).catch((error: unknown) => {
    throw isErrno(error, "EADDRINUSE") ? portTaken("AWS", port, "--aws-port") : error;
  });
  ports.remember("aws", endpoint.port);
  const credentialsFile = join(stateDir, "aws", "credentials");
  writeFileAtomic(credentialsFile, `${profile("default", admin)}${profile("reaper", reaper)}`);
  servers.sweep();
  await servers.refresh();
  return {
    ...{
      url: `http://127.0.0.1:${endpoint.port}`,
      region: "us-east-1",
      credentialsFile,
      admin,
      reaper,
      faults,
      servers,
    },
    close: async () => {
      await endpoint.close();
      await servers.close();
    },
  };
}

function profile(name: string, { accessKeyId, secretAccessKey }: Credential): string {
  return `[${name}]\naws_access_key_id = ${accessKeyId}\naws_secret_access_key = ${secretAccessKey}\n\n`;
}
