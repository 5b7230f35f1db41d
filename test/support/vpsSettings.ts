/** A configuration of the stacks `sentinel` and `agent-x`, sound in every key; tests change what they are about. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SecretText } from "../../components/shared/secretText.ts";

const keygen = "ssh-keygen";

/** A fresh key pair in OpenSSH's form. */
export function sshKeyPair(...how: readonly string[]): { readonly privateKey: string; readonly publicKey: string } {
  const folder = mkdtempSync(join(tmpdir(), "ssh-key-"));
  try {
    const file = join(folder, "key");
    execFileSync(keygen, ["-q", "-t", "ed25519", "-N", "", "-C", "canary comment", "-f", file, ...how]);
    return { privateKey: readFileSync(file, "utf8"), publicKey: readFileSync(`${file}.pub`, "utf8").trim() };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

type Raw = Readonly<Record<string, unknown>>;

const release = { tarball: "hive-agent.tar.gz", sha256: "ab".repeat(32), version: "1.4.0" };

/** What both stacks have; at Lightsail unless told otherwise. */
function server(privateKey: string): Raw {
  return {
    estate: "hive",
    release: JSON.stringify(release),
    budget: JSON.stringify({ centsPerMonth: 5000 }),
    adminCidrs: JSON.stringify(["203.0.113.7/32"]),
    lightsail: JSON.stringify({ zone: "eu-west-3a" }),
    sshPrivateKey: new SecretText(privateKey),
  };
}

/** A guest on the Proxmox host. */
export const proxmoxPlace: Raw = {
  endpoint: "https://192.168.1.10:8006/",
  vmId: 310,
  storage: "hive-zfs",
  image: "local:vztmpl/debian-13.tar.zst",
  mac: "02:60:de:00:01:36",
  cidr: "10.20.20.31/24",
  gateway: "10.20.20.1",
  dnsServers: ["10.20.20.1"],
};

export function agentStackConfig(privateKey: string): Raw {
  return {
    ...server(privateKey),
    agent: JSON.stringify({
      name: "x",
      kind: "browser-light",
      created: "2026-11-21T11:00:00Z",
      ttlSec: 86_400,
      sources: "samples/x",
    }),
    sentinel: JSON.stringify({ host: "198.51.100.4" }),
    registrationKey: new SecretText("0123456789abcdef".repeat(4)),
  };
}

export function sentinelStackConfig(privateKey: string): Raw {
  return { ...server(privateKey), deadManUrl: new SecretText("https://hc-ping.com/canary") };
}
