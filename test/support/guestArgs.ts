import type { ProxmoxGuestArgs } from "../../components/index.ts";

/** Valid arguments of a pinned Linux VM; a test overrides what it is about. */
export function guestArgs(overrides: Partial<ProxmoxGuestArgs> = {}): ProxmoxGuestArgs {
  return {
    vmId: 100,
    hostname: "brain",
    description: "The Brain.",
    kind: "vm",
    role: "ai",
    os: "ubuntu",
    vcpus: 8,
    memory: "64 GB",
    diskGiB: 200,
    cpuUnits: 200,
    nics: [
      { bridge: "vmbr0", mtu: 1500, mac: "02:00:00:00:01:00", cidr: "192.168.1.100/24", gateway: "192.168.1.1" },
      { bridge: "vmbr1", vlanId: 10, mtu: 9000, mac: "02:00:00:00:01:01", cidr: "10.20.10.100/24" },
    ],
    affinity: "3-15,19-31",
    hugepages: true,
    pci: ["gpu-rtx3090"],
    usb: [],
    gpuContender: true,
    startupOrder: 3,
    onBoot: true,
    protect: true,
    agentTimeoutSec: 180,
    nodeName: "pve",
    storageId: "hive-zfs",
    image: "local:import/ubuntu.qcow2",
    vendorData: "local:snippets/agent.yaml",
    admin: { user: "hive", publicKeys: [`ssh-ed25519 AAAA${"C".repeat(64)} admin`] },
    dns: { domain: "hive.internal", servers: ["192.168.1.1"] },
    firewallRules: [{ proto: "tcp", dport: "22", source: "192.168.1.50", comment: "admin" }],
    host: { host: "192.168.1.10", port: 22, user: "root", privateKey: "key" },
    ...overrides,
  };
}
