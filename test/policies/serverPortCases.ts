import type { RuleCases } from "./case.ts";
import { but, lightsailAgent, proxmoxAgent, sentinel, withProps } from "./serverFixture.ts";
import { type FixtureResource, unknown } from "./runRule.ts";

const shopper = lightsailAgent();
const batcher = proxmoxAgent();
const all = [...sentinel, ...shopper, ...batcher];

const ports = (...portInfos: readonly unknown[]) => withProps(shopper, "shopper-server-ports", { portInfos });
const rules = (...list: readonly unknown[]) => withProps(batcher, "batcher-server-guest-rules", { rules: list });
const ssh = { fromPort: 22, toPort: 22, protocol: "tcp", cidrs: ["198.51.100.7/32"] };
const inward = { type: "in", action: "ACCEPT", enabled: true, proto: "tcp", dport: "22", source: "198.51.100.7" };

/** Fixtures of the rule about the servers' firewalls. */
export const serverPortCases: RuleCases = {
  "server-ports-closed": [
    { title: "the Sentinel and two agents", resources: all, violations: [] },
    {
      title: "everything unknown",
      resources: all.map((resource): FixtureResource => ({ ...resource, props: {} })),
      violations: [],
    },
    {
      title: "nothing said about its ports",
      resources: but(shopper, "shopper-server-ports"),
      violations: [/shopper-server-instance is not closed: nothing says what is open, so SSH and HTTP are/],
    },
    {
      title: "open to everybody, in three ways",
      resources: ports(
        { ...ssh, cidrs: ["0.0.0.0/0"] },
        { ...ssh, fromPort: 8943, toPort: 8943, cidrs: [], ipv6Cidrs: ["::/0"] },
        { ...ssh, cidrListAliases: ["lightsail-connect"] },
      ),
      violations: [/tcp port 22 is open to 0\.0\.0\.0\/0/, /8943 is open to ::\/0/, /22 is open to lightsail-connect/],
    },
    {
      title: "a port that nobody asked for",
      resources: ports(ssh, { ...ssh, fromPort: 443, toPort: 443 }),
      violations: [/tcp port 443 is open, and was not asked for/],
    },
    {
      title: "a range, and every protocol",
      resources: ports({ ...ssh, fromPort: 1, toPort: 65_535 }, { ...ssh, protocol: "all" }),
      violations: [/tcp port 1 to 65535 is open; allowed: single ports/, /all port 22 to 22 is open/],
    },
    {
      title: "the Sentinel's port on a throwaway server",
      resources: withProps(
        ports({ fromPort: 8944, toPort: 8944, protocol: "tcp", cidrs: ["0.0.0.0/0"] }),
        "shopper-server",
        {
          openings: [{ port: 8944 }],
        },
      ),
      violations: [/tcp port 8944 is open to 0\.0\.0\.0\/0/],
    },
    {
      title: "an IPv6 address",
      resources: withProps(shopper, "shopper-server-instance", { ipAddressType: "dualstack" }),
      violations: [/it has an IPv6 address/],
    },
    {
      title: "a guest without a firewall",
      resources: but(batcher, "batcher-server-guest-firewall"),
      violations: [/batcher-server-guest-container is not closed: it has no firewall/],
    },
    {
      title: "a firewall that is off and lets in everything, and a card outside of it",
      resources: withProps(
        withProps(batcher, "batcher-server-guest-container", {
          networkInterfaces: [{ name: "eth0", bridge: "vmbr2" }],
        }),
        "batcher-server-guest-firewall",
        { enabled: false, inputPolicy: "ACCEPT" },
      ),
      violations: [/its firewall is off/, /inputPolicy is ACCEPT/, /its card 0 is outside of the firewall/],
    },
    {
      title: "rules of a guest that are too wide",
      resources: rules(
        inward,
        { ...inward, source: undefined },
        { ...inward, dport: "1:65535" },
        { ...inward, proto: undefined },
        { ...inward, source: "+trusted" },
        { ...inward, enabled: false, source: undefined },
        { ...inward, action: "DROP", source: undefined },
      ),
      violations: [
        /tcp port 22 is open to everybody/,
        /tcp port any to any is open/,
        /every protocol port 22 to 22 is open/,
        /tcp port 22 is open to \+trusted/,
      ],
    },
    { title: "unknown ports", resources: ports(ssh, unknown.object), violations: [] },
    { title: "an unknown network", resources: ports({ ...ssh, cidrs: [unknown.text] }), violations: [] },
    {
      title: "more by configuration",
      resources: withProps(sentinel, "sentinel-server-ports", { portInfos: [{ ...ssh, cidrs: ["0.0.0.0/0"] }] }),
      config: { publicPorts: [22] },
      violations: [],
    },
  ],
};
