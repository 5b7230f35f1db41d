import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import { ProxmoxGuest, type GuestFirewallRule, type ProxmoxGuestArgs } from "../../components/index.ts";
import { guestArgs } from "../support/guestArgs.ts";
import { recordProgram } from "../support/recordedProgram.ts";

describe("faults of a ProxmoxGuest", () => {
  /** The faults that a guest is refused with, as `PROPERTY reason`; nothing may have been registered by then. */
  async function refused(overrides: Partial<ProxmoxGuestArgs>): Promise<string[]> {
    const faults: string[] = [];
    const seen = await recordProgram(() => {
      try {
        new ProxmoxGuest("wrong", guestArgs(overrides));
      } catch (error) {
        if (!pulumi.InputPropertiesError.isInstance(error)) throw error;
        faults.push(...error.errors.map(({ propertyPath, reason }) => `${propertyPath} ${reason}`));
      }
    });
    assert.deepEqual(
      seen.filter(({ type }) => type !== "pulumi:pulumi:Stack").map(({ name }) => name),
      [],
    );
    return faults;
  }
  const paths = (faults: readonly string[]): string[] => faults.map((line) => line.split(" ")[0] ?? "");
  const card = { bridge: "vmbr0", mtu: 1500, mac: "02:00:00:00:01:00", cidr: "192.168.1.100/24" };

  const publicKey = `ssh-ed25519 AAAA${"C".repeat(64)} ops@desk`;
  const goodRule = { proto: "tcp", dport: "22,8000:8010", source: "10.1.0.0/16", dest: "fd00::/8", comment: "ok" };
  const rule = (wrong: Partial<GuestFirewallRule>): Partial<ProxmoxGuestArgs> => ({
    firewallRules: [
      { ...goodRule, iface: "net0" },
      { comment: "wrong", ...wrong },
    ],
  });

  const wrongs: readonly (readonly [string, Partial<ProxmoxGuestArgs>, RegExp])[] = [
    ["an address beyond 255", { nics: [{ ...card, cidr: "999.1.1.60/24" }] }, /^nics\[0\]\.cidr is "999/],
    ["a network's own address", { nics: [{ ...card, cidr: "192.168.1.0/24" }] }, /^nics\[0\]\.cidr .*host/],
    ["a broadcast address", { nics: [{ ...card, cidr: "192.168.1.255/24" }] }, /^nics\[0\]\.cidr .*host/],
    ["a prefix beyond 32", { nics: [{ ...card, cidr: "192.168.1.100/33" }] }, /^nics\[0\]\.cidr /],
    ["a gateway that is no address", { nics: [{ ...card, gateway: "banana" }] }, /^nics\[0\]\.gateway is "banana"/],
    ["a gateway elsewhere", { nics: [{ ...card, gateway: "10.0.0.1" }] }, /^nics\[0\]\.gateway .*192\.168\.1\.100\/24/],
    ["its own address as gateway", { nics: [{ ...card, gateway: "192.168.1.100" }] }, /^nics\[0\]\.gateway /],
    [
      "two gateways",
      {
        nics: [
          { ...card, gateway: "192.168.1.1" },
          { ...card, mac: "02:00:00:00:01:01", gateway: "192.168.1.1" },
        ],
      },
      /^nics\[1\]\.gateway .*nics\[0\]\.gateway/,
    ],
    [
      "one MAC address twice",
      { nics: [card, { ...card, mac: card.mac.toUpperCase() }] },
      /^nics\[1\]\.mac .*nics\[0\]\.mac/,
    ],
    ["a MAC address of a group", { nics: [{ ...card, mac: "03:00:00:00:01:00" }] }, /^nics\[0\]\.mac .*unicast/],
    ["a bridge that is no name", { nics: [{ ...card, bridge: "vm br;0" }] }, /^nics\[0\]\.bridge is "vm br;0"/],
    ["a bridge longer than the kernel takes", { nics: [{ ...card, bridge: "b".repeat(16) }] }, /^nics\[0\]\.bridge /],
    ["an owner that is no tag", { owner: "a b" }, /^owner is "a b"/],
    ["a tag that is none", { extraTags: ["night", "\u00dc m;x"] }, /^extraTags\[1\] /],
    ["a tag that reads back otherwise", { extraTags: ["Night"] }, /^extraTags\[0\] .*lower/],
    ["a tag twice", { extraTags: ["night", "hive", "night"] }, /^extraTags\[1\] [^]*\nextraTags\[2\] /],
    ["a place before the first", { startupOrder: -4 }, /^startupOrder is -4/],
    ["half a place", { startupOrder: 1.5 }, /^startupOrder is 1\.5/],
    ["a mapping that is no name", { pci: ["gpu;x"] }, /^pci\[0\] is "gpu;x"/],
    ["a USB mapping that is no name", { pci: [], usb: ["-"] }, /^usb\[0\] is "-"/],
    ["a node that is none", { nodeName: "pve 1" }, /^nodeName is "pve 1"/],
    ["an administrator that is none", { admin: { user: "", publicKeys: [publicKey] } }, /^admin\.user is ""/],
    [
      "an administrator's private key, unseen",
      { admin: { user: "ops", publicKeys: [publicKey, "-----BEGIN OPENSSH PRIVATE KEY-----"] } },
      /^admin\.publicKeys\[1\] is a text of 35 characters; /,
    ],
    [
      "more keys than anybody has",
      { admin: { user: "ops", publicKeys: Array(33).fill(publicKey) } },
      /^admin\.publicKeys is 33 keys; /,
    ],
    ["a rule for a source that is none", rule({ source: "10.0.0.0/40" }), /^firewallRules\[1\]\.source is "10/],
    ["a rule for a peer by name", rule({ dest: "example.org" }), /^firewallRules\[1\]\.dest is "example/],
    ["a rule for a port beyond 65535", rule({ proto: "tcp", dport: "80,65536" }), /^firewallRules\[1\]\.dport is "80/],
    ["a rule for a range backwards", rule({ proto: "tcp", dport: "90:80" }), /^firewallRules\[1\]\.dport is "90/],
    ["a rule for a port of no protocol", rule({ dport: "80" }), /^firewallRules\[1\]\.dport .*has none/],
    ["a rule for a protocol that is none", rule({ proto: "tpc" }), /^firewallRules\[1\]\.proto is "tpc"/],
    ["a rule for a card that is not there", rule({ iface: "net9" }), /^firewallRules\[1\]\.iface .*net0/],
    ["a rule whose comment ends the line", rule({ comment: "a\nb" }), /^firewallRules\[1\]\.comment /],
    ["a domain that is none", { dns: { domain: "a b", servers: [] } }, /^dns\.domain is "a b"/],
    ["a resolver that is none", { dns: { domain: "hive", servers: ["9.9.9.9", "x"] } }, /^dns\.servers\[1\] is "x"/],
    ["no host for a pinned guest", { host: undefined }, /^host is missing; .*affinity/],
    ["a floor that is no amount", { balloonMin: "some" }, /^balloonMin is "some"/],
    [
      "a container without a template",
      { vmId: 300, kind: "container", pci: [], affinity: undefined, hugepages: false, image: undefined },
      /^image is missing/,
    ],
    [
      "Windows in a container",
      { vmId: 300, kind: "container", pci: [], affinity: undefined, hugepages: false, os: "windows" },
      /^os is "windows"/,
    ],
  ];
  for (const [title, overrides, expected] of wrongs) {
    it(`refuses ${title}, before anything is registered`, async () => {
      const faults = await refused(overrides);
      assert.match(faults.join("\n"), expected);
      assert.equal(new Set(paths(faults)).size, title === "a tag twice" ? 2 : 1, faults.join("\n"));
    });
  }

  it("reports an unreadable amount beside every other fault, and nothing that follows from it alone", async () => {
    const faults = await refused({
      vmId: 1,
      hostname: "BAD NAME",
      memory: "lots",
      balloonMin: "little",
      owner: "a b",
      nics: [{ ...card, bridge: "vm br;0", cidr: "999.1.1.60/24", gateway: "banana" }],
      startupOrder: -4,
      host: undefined,
    });
    assert.deepEqual(paths(faults).toSorted(), [
      "balloonMin",
      "host",
      "hostname",
      "memory",
      "nics[0].bridge",
      "nics[0].cidr",
      "nics[0].gateway",
      "owner",
      "startupOrder",
      "vmId",
    ]);
    for (const wrong of [
      { memory: "lots" },
      { memory: "lots", balloonMin: "64 GB" },
      { memory: "lots", balloonMin: 4 },
    ])
      assert.deepEqual(
        paths(await refused(wrong)).filter((path) => path !== "balloonMin"),
        ["memory"],
      );
  });
});
