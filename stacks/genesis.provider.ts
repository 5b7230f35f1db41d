import * as proxmox from "@muhlba91/pulumi-proxmoxve";
import type { GenesisSettings } from "../components/shared/genesisSettings.ts";
import type { GenesisSecrets } from "./genesis.config.ts";

/** The provider of stack `genesis`: the API by token, and SSH for the files that the API cannot take. */
export function genesisProvider(settings: GenesisSettings, secrets: GenesisSecrets): proxmox.Provider {
  const { endpoint, insecure, ssh, nodeName } = settings;
  return new proxmox.Provider("proxmox", {
    endpoint,
    insecure,
    apiToken: secrets.apiToken,
    ssh: {
      username: ssh.user,
      privateKey: secrets.sshPrivateKey,
      nodes: [{ name: nodeName, address: ssh.host, port: ssh.port }],
    },
  });
}
