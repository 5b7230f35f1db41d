/** A valid configuration of stack genesis, as Pulumi hands it over, and the settings it means. */
import type { GenesisSettings } from "../../components/shared/genesisSettings.ts";
import { valueOrThrow } from "../../components/shared/faults.ts";
import { parseGenesisConfig } from "../../components/shared/genesisConfig.ts";
import { SecretText } from "../../components/shared/secretText.ts";

/** Texts that must appear in no message: the values of the secrets below. */
export const canaries = ["5ec7e700-cafe-4bad-8dad-0123456789ab", "b3BlbnNzaC1rZXktdjEAAAAACANARYCANARY"] as const;

export const tokenText = `hive@pve!pulumi=${canaries[0]}`;
const keyText = `-----BEGIN OPENSSH PRIVATE KEY-----\n${canaries[1]}\n-----END OPENSSH PRIVATE KEY-----\n`;

/** Keys without namespace; every structured value is an object, so that tests can change single fields. */
export function rawGenesis(): Record<string, unknown> {
  return {
    endpoint: "https://192.168.1.10:8006/",
    apiToken: new SecretText(tokenText),
    sshPrivateKey: new SecretText(keyText),
    adminCidrs: ["192.168.1.0/24"],
    admin: {
      user: "hive",
      publicKeys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7sH0a0b1c2d3e4f5g6h7i8j9k0l1m2 me@desk"],
    },
    ssh: { host: "192.168.1.10", port: 22, user: "root" },
    host: {
      topology: { sockets: 1, coresPerSocket: 16, threadsPerCore: 2 },
      ram: "128 GB",
      arc: "4 GB",
      reserved: "4 GB",
      reservedCores: 1,
    },
    storage: { pool: "rpool", dataset: "hive", id: "hive-zfs", files: "local", redundant: true },
    networks: {
      lan: { bridge: "vmbr0", cidr: "192.168.1.0/24", gateway: "192.168.1.1", firstHost: 20 },
      private: { bridge: "vmbr1", cidr: "10.20.10.0/24", vlanId: 10, mtu: 9000 },
      dmz: { bridge: "vmbr2", cidr: "10.20.20.0/24", vlanId: 20 },
      domain: "hive.internal",
      dnsServers: ["192.168.1.1"],
    },
    workers: 2,
    images: {},
    devices: {
      gpu: { path: "0000:01:00", id: "10de:2204", iommuGroup: 1 },
      tpu: { mapping: "tpu-coral", id: "18d1:9302" },
    },
    agentTimeoutSec: 180,
  };
}

export function genesisSettings(): GenesisSettings {
  return valueOrThrow("test configuration", parseGenesisConfig(rawGenesis()));
}
