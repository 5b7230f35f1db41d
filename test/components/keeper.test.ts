import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import { planGenesis } from "../../components/index.ts";
import type { KeeperSettings } from "../../components/shared/agent/keeperSettings.ts";
import { valueOrThrow } from "../../components/shared/faults.ts";
import type { GenesisSettings } from "../../components/shared/genesisSettings.ts";
import type { GenesisOutputs } from "../../components/shared/outputs.ts";
import { declareGenesis } from "../../stacks/genesis.ts";
import { genesisSettings } from "../support/genesisSettings.ts";
import { isRegisteredSecret, recordProgram, type Registration } from "../support/recordedProgram.ts";

const canaries = { linkKey: "0123456789abcdef".repeat(4), token: "keeper@pve!agent=canary", esp: "c4".repeat(32) };
const keyCanary = "canary-ssh-key-77aa";
const keeper: KeeperSettings = {
  // Any file: under mocks nothing is uploaded.
  tarball: import.meta.filename,
  sha256: "ab".repeat(32),
  version: "0.1.0",
  watchdog: { type: "udp", address: "192.168.1.60:6060" },
};

/** Registrations of stack genesis with or without the Keeper. */
async function declared(
  section: KeeperSettings | undefined,
  watchdogKey = true,
  told: (outputs: GenesisOutputs) => void = () => undefined,
  changed: Partial<GenesisSettings> = {},
): Promise<readonly Registration[]> {
  const settings = { ...genesisSettings(), ...changed, keeper: section };
  const program = async (): Promise<void> => {
    const outputs = await declareGenesis(settings, {
      apiToken: pulumi.secret("token"),
      sshPrivateKey: pulumi.secret(keyCanary),
      keeper: {
        linkKey: pulumi.secret(canaries.linkKey),
        // In clear on purpose: the component makes secrets of what it is given.
        proxmoxToken: canaries.token,
        watchdogKey: watchdogKey ? pulumi.secret(canaries.esp) : undefined,
      },
    });
    told(outputs);
  };
  // A host without guests.
  return recordProgram(program, {}, () => ({ vms: [] }));
}

function named(seen: readonly Registration[], name: string): Registration {
  const found = seen.find((registration) => registration.name === name);
  assert.ok(found, `${name} among ${seen.map((registration) => registration.name).join(", ")}`);
  return found;
}

const ours = ({ type, parent }: Registration): boolean => /hive:index:(?:Keeper|HiveAgent)/.test(`${type} ${parent}`);

describe("Keeper", function () {
  this.timeout(20_000);
  let seen: readonly Registration[];
  before(async () => {
    seen = await declared(keeper);
  });

  it("is one component with an agent on each side, and there only when the settings have a section for it", async () => {
    assert.deepEqual(
      seen
        .filter(ours)
        .map(({ name }) => name)
        .toSorted(),
      [
        "keeper",
        "keeper-arbiter",
        "keeper-arbiter-install",
        "keeper-arbiter-prepare",
        "keeper-arbiter-tarball",
        "keeper-host",
        "keeper-host-install",
        "keeper-host-prepare",
        "keeper-host-tarball",
      ],
    );
    assert.match(named(seen, "keeper-arbiter").parent, /hive:index:Keeper::keeper$/);
    const without = await declared(undefined);
    assert.deepEqual(without.filter(ours), []);
    assert.equal(without.length, seen.length - seen.filter(ours).length);
  });

  it("lets the arbiter go with The Brain, and waits until that has been started behind its fence", () => {
    for (const step of ["prepare", "tarball", "install"]) {
      const { deletedWith, dependencies } = named(seen, `keeper-arbiter-${step}`);
      assert.match(deletedWith, /::brain-vm$/);
      for (const part of ["brain-vm", "brain-firewall", "brain-root"])
        assert.ok(
          dependencies.some((urn) => urn.endsWith(`::${part}`)),
          `${step} waits for ${part}`,
        );
      assert.equal(named(seen, `keeper-host-${step}`).deletedWith, "");
    }
  });

  it("sends each side its own secrets, as secrets, and shows none in a configuration, script or argument", () => {
    for (const { name, inputs } of seen.filter(ours)) {
      const text = JSON.stringify({ ...inputs, stdin: undefined, connection: undefined });
      for (const secret of [...Object.values(canaries), keyCanary])
        for (const shape of [secret, Buffer.from(secret).toString("base64")])
          assert.ok(!text.includes(shape), `${name} shows a secret`);
      if (inputs["connection"] !== undefined) assert.ok(isRegisteredSecret(inputs["connection"]), name);
    }
    const files = (name: string): string[] => {
      const { stdin } = named(seen, name).inputs;
      assert.ok(isRegisteredSecret(stdin), name);
      const lines: unknown = typeof stdin === "object" && stdin !== null ? Reflect.get(stdin, "value") : undefined;
      return String(lines)
        .trim()
        .split("\n")
        .map((line) => line.split(" ")[0] ?? "");
    };
    assert.deepEqual(files("keeper-host-prepare"), ["esp32.key", "link.key", "proxmox.token"]);
    assert.deepEqual(files("keeper-arbiter-prepare"), ["link.key"]);
  });

  it("logs in to The Brain on the LAN as the administrator, and opens its unit to the host alone", () => {
    const plan = valueOrThrow("plan", planGenesis({ ...genesisSettings(), keeper }));
    assert.equal(plan.keeper?.vm?.address, "192.168.1.100");
    const create = String(named(seen, "keeper-arbiter-install").inputs["create"]);
    assert.match(create, /^exec sudo -n /);
    assert.match(create, /IPAddressAllow=localhost 10\.20\.10\.1\n/);
    const onHost = String(named(seen, "keeper-host-install").inputs["create"]);
    assert.match(onHost, /IPAddressAllow=localhost 10\.20\.10\.100 192\.168\.1\.60\n/);
    assert.match(onHost, /RestrictRealtime=no/);
  });

  it("puts the arbiter beside the host side where no VM is given a card, under names of its own", async () => {
    const onHost = await declared(keeper, true, () => undefined, { devices: { gpu: undefined, tpu: undefined } });
    for (const side of ["host", "arbiter"])
      for (const step of ["prepare", "tarball", "install"]) {
        const { inputs, deletedWith } = named(onHost, `keeper-${side}-${step}`);
        assert.equal(deletedWith, "");
        assert.deepEqual(inputs["connection"], named(onHost, `keeper-host-${step}`).inputs["connection"]);
      }
    const install = (side: string): string => String(named(onHost, `keeper-${side}-install`).inputs["create"]);
    assert.match(install("host"), /^ *connect: 127\.0\.0\.1:8741\n(?: .*\n)* *vmid: null\n/m);
    assert.match(install("arbiter"), /^ *listen: 127\.0\.0\.1:8741\n/m);
    assert.match(install("arbiter"), /IPAddressAllow=localhost\n/);
    const places = (side: string): Set<string> =>
      new Set(install(side).match(/\/(?:opt|etc|run|var\/\w+)\/hive-agent[\w-]*|hive-agent-[\w-]+\.service/g));
    assert.ok(places("arbiter").has("hive-agent-keeper-arbiter.service"));
    // Each names the other one's place once: to refuse a second arbiter.
    assert.deepEqual(
      [...places("arbiter")].filter((each) => places("host").has(each)),
      ["/opt/hive-agent"],
    );
  });

  it("exports the ESP32's firmware with the names of its secrets alone, and nothing without a watchdog", async () => {
    const outputs: GenesisOutputs[] = [];
    for (const section of [keeper, { ...keeper, watchdog: undefined }, undefined])
      await declared(section, true, (each) => outputs.push(each));
    const [made, ...others] = outputs;
    assert.match(made?.watchdogFirmware ?? "", /^esphome:\n[^]*^ {2}port: 6060$/m);
    for (const secret of [...Object.values(canaries), keyCanary]) assert.ok(!made?.watchdogFirmware?.includes(secret));
    for (const each of others) assert.ok(!("watchdogFirmware" in each));
  });

  it("refuses a plan whose secret it is not given, naming the property", async () => {
    await assert.rejects(declared(keeper, false), /config\.host\.watchdog\.keyFile.*esp32\.key/);
  });
});
