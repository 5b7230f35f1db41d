import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import { ProxmoxGuest } from "../../components/index.ts";
import { parseMarker } from "../../components/shared/marker.ts";
import { parseRootStep } from "../../components/shared/rootOnly.ts";
import { guestArgs } from "../support/guestArgs.ts";
import { recordProgram, type Registration } from "../support/recordedProgram.ts";

function only(registrations: readonly Registration[], name: string): Registration {
  const found = registrations.filter((registration) => registration.name === name);
  assert.equal(found.length, 1, `one registration named ${name}, got ${registrations.map((r) => r.name).join(", ")}`);
  const [registration] = found;
  assert.ok(registration);
  return registration;
}

describe("ProxmoxGuest", () => {
  it("declares a pinned VM with its passthrough, cards and limits as given", async () => {
    const seen = await recordProgram(() => new ProxmoxGuest("brain", guestArgs()));
    const vm = only(seen, "brain-vm");
    assert.equal(vm.type, "proxmoxve:index/vmLegacy:VmLegacy");
    assert.equal(vm.parent, "urn:pulumi:genesis::hive::hive:index:ProxmoxGuest::brain");
    assert.equal(vm.protect, true);
    assert.equal(vm.deleteBeforeReplace, true);
    const { description, ...inputs } = vm.inputs;
    assert.deepEqual(inputs, {
      nodeName: "pve",
      vmId: 100,
      name: "brain",
      tags: ["hive", "owner-pulumi", "role-ai"],
      machine: "q35",
      bios: "ovmf",
      efiDisk: { datastoreId: "hive-zfs", fileFormat: "raw", type: "4m" },
      operatingSystem: { type: "l26" },
      scsiHardware: "virtio-scsi-single",
      cpu: { cores: 8, sockets: 1, type: "host", units: 200, numa: true },
      memory: { dedicated: 65_536, floating: 0 },
      disks: [
        {
          interface: "scsi0",
          datastoreId: "hive-zfs",
          size: 200,
          importFrom: "local:import/ubuntu.qcow2",
          fileFormat: "raw",
          iothread: true,
          discard: "on",
          ssd: true,
        },
      ],
      networkDevices: [
        { bridge: "vmbr0", model: "virtio", macAddress: "02:00:00:00:01:00", mtu: 1500, firewall: true },
        { bridge: "vmbr1", model: "virtio", macAddress: "02:00:00:00:01:01", mtu: 9000, firewall: true, vlanId: 10 },
      ],
      hostpcis: [{ device: "hostpci0", mapping: "gpu-rtx3090", pcie: true }],
      usbs: [],
      agent: { enabled: true, timeout: "180s", trim: true },
      watchdog: { enabled: true, model: "i6300esb", action: "reset" },
      vga: { type: "std" },
      serialDevices: [{ device: "socket" }],
      initialization: {
        datastoreId: "hive-zfs",
        interface: "ide0",
        dns: { domain: "hive.internal", servers: ["192.168.1.1"] },
        ipConfigs: [
          { ipv4: { address: "192.168.1.100/24", gateway: "192.168.1.1" } },
          { ipv4: { address: "10.20.10.100/24" } },
        ],
        userAccount: { username: "hive", keys: guestArgs().admin.publicKeys },
        vendorDataFileId: "local:snippets/agent.yaml",
      },
      startup: { order: 3 },
      onBoot: true,
      started: false,
      protection: true,
      rebootAfterUpdate: false,
      stopOnDestroy: false,
      timeoutShutdownVm: 180,
      timeoutStartVm: 180,
    });
    assert.equal(typeof description, "string");
    assert.deepEqual(parseMarker(String(description)), {
      project: "hive",
      stack: "genesis",
      urn: "urn:pulumi:genesis::hive::hive:index:ProxmoxGuest$proxmoxve:index/vmLegacy:VmLegacy::brain-vm",
    });
  });

  it("keeps root-only fields off the token's resource and puts them in the root step", async () => {
    const seen = await recordProgram(() => new ProxmoxGuest("brain", guestArgs()));
    const vm = only(seen, "brain-vm");
    const { cpu, memory } = vm.inputs;
    assert.ok(cpu instanceof Object && !("affinity" in cpu));
    assert.ok(memory instanceof Object && !("hugepages" in memory));
    const step = only(seen, "brain-root");
    assert.equal(step.type, "command:remote:Command");
    assert.equal(
      step.deletedWith,
      "urn:pulumi:genesis::hive::hive:index:ProxmoxGuest$proxmoxve:index/vmLegacy:VmLegacy::brain-vm",
    );
    assert.deepEqual(parseRootStep(String(step.inputs["create"])), {
      HIVE_VMID: "100",
      HIVE_AFFINITY: "3-15,19-31",
      HIVE_HUGEPAGES: "1024",
    });
    assert.match(String(step.inputs["create"]), /qm start/);
    assert.doesNotMatch(String(step.inputs["update"]), /qm start/, "run state is the Keeper's after creation");
  });

  it("leaves to the Keeper exactly what the ownership table gives it", async () => {
    const seen = await recordProgram(() => {
      new ProxmoxGuest("contender", guestArgs());
      new ProxmoxGuest("idle", guestArgs({ vmId: 401, pci: [], gpuContender: false, balloonMin: "4 GB" }));
    });
    const root = ["memory.keepHugepages", "disks[0].speed", "initialization.vendorDataFileId"];
    assert.deepEqual(only(seen, "contender-vm").ignoreChanges, ["started", "hostpcis", ...root]);
    assert.deepEqual(only(seen, "idle-vm").ignoreChanges, ["started", "memory.floating", ...root]);
  });

  it("ignores root-only fields from the moment the state holds them", async () => {
    const inState = { affinity: true, hugepages: true };
    const seen = await recordProgram(() => new ProxmoxGuest("brain", guestArgs({ rootFieldsInState: inState })));
    const { ignoreChanges } = only(seen, "brain-vm");
    for (const field of ["cpu.affinity", "memory.hugepages"]) assert.ok(ignoreChanges.includes(field), field);
  });

  it("gives Windows its own devices and neither cloud-init nor a guest agent", async () => {
    const seen = await recordProgram(
      () =>
        new ProxmoxGuest(
          "trading",
          guestArgs({
            vmId: 200,
            os: "windows",
            role: "trading",
            pci: [],
            gpuContender: false,
            image: undefined,
            vendorData: undefined,
            iso: "local:iso/win10.iso",
          }),
        ),
    );
    const { inputs } = only(seen, "trading-vm");
    assert.deepEqual(inputs["agent"], { enabled: false });
    assert.deepEqual(inputs["vga"], { type: "virtio" });
    assert.deepEqual(inputs["cdrom"], { fileId: "local:iso/win10.iso", interface: "ide2" });
    assert.deepEqual(inputs["operatingSystem"], { type: "win10" });
    for (const absent of ["initialization", "serialDevices", "watchdog"]) assert.ok(!(absent in inputs), absent);
  });

  it("declares a container without a root step, its firewall closed by default", async () => {
    const seen = await recordProgram(
      () =>
        new ProxmoxGuest(
          "worker-300",
          guestArgs({
            vmId: 300,
            hostname: "worker-300",
            kind: "container",
            role: "worker",
            os: "alpine",
            pci: [],
            gpuContender: false,
            affinity: undefined,
            hugepages: false,
            protect: false,
            memory: "512 MiB",
            vcpus: 1,
          }),
        ),
    );
    const container = only(seen, "worker-300-container");
    assert.equal(container.inputs["unprivileged"], true);
    assert.deepEqual(container.ignoreChanges, ["started"]);
    assert.equal(
      seen.some((registration) => registration.type === "command:remote:Command"),
      false,
    );
    const options = only(seen, "worker-300-firewall").inputs;
    assert.deepEqual(options, {
      nodeName: "pve",
      containerId: 300,
      enabled: true,
      inputPolicy: "DROP",
      outputPolicy: "ACCEPT",
    });
    assert.deepEqual(only(seen, "worker-300-rules").inputs["rules"], [
      {
        type: "in",
        action: "ACCEPT",
        enabled: true,
        comment: "admin",
        proto: "tcp",
        dport: "22",
        source: "192.168.1.50",
      },
    ]);
  });

  it("reports every fault of the arguments at once, each with its property path", async () => {
    const wrong = guestArgs({
      vmId: 99,
      hostname: "The Brain",
      memory: 1,
      affinity: "all",
      agentTimeoutSec: 0,
      nics: [],
    });
    await assert.rejects(
      recordProgram(() => new ProxmoxGuest("wrong", wrong)),
      (error: unknown) => {
        assert.ok(pulumi.InputPropertiesError.isInstance(error));
        assert.deepEqual(error.errors.map((fault) => fault.propertyPath).toSorted(), [
          "affinity",
          "agentTimeoutSec",
          "balloonMin",
          "hostname",
          "memory",
          "nics",
          "vmId",
        ]);
        for (const fault of error.errors) assert.match(fault.reason, /allowed: .+\. .+/);
        return true;
      },
    );
  });

  it("refuses what a kind of guest cannot have, and addresses that are none", async () => {
    const wrong = guestArgs({
      vmId: 300,
      kind: "container",
      pci: [],
      memory: "1 GB",
      balloonMin: "512 MiB",
      nics: [{ bridge: "vmbr0", mtu: 1500, mac: "02:00", cidr: "10.0.0.1" }],
    });
    await assert.rejects(
      recordProgram(() => new ProxmoxGuest("wrong", wrong)),
      (error: unknown) => {
        assert.ok(pulumi.InputPropertiesError.isInstance(error));
        const paths = error.errors.map((fault) => fault.propertyPath).toSorted();
        assert.deepEqual(paths, ["affinity", "balloonMin", "hugepages", "nics[0].cidr", "nics[0].mac"]);
        return true;
      },
    );
  });

  it("takes what Proxmox takes: plus and dot in tags, names of bridges, a point-to-point card", async () => {
    const card = { mtu: 1500, mac: "02:00:00:00:01:00" };
    const args = guestArgs({
      owner: "night.team",
      extraTags: ["c++", "_x"],
      nics: [
        { ...card, bridge: "br-lan.10_x", cidr: "203.0.113.7/32", gateway: "203.0.113.1" },
        { ...card, bridge: "vmbr0", mac: "02:00:00:00:01:01", cidr: "10.0.0.0/31" },
      ],
      startupOrder: 0,
    });
    const seen = await recordProgram(() => new ProxmoxGuest("brain", args));
    assert.deepEqual(only(seen, "brain-vm").inputs["tags"], ["_x", "c++", "hive", "owner-night.team", "role-ai"]);
  });

  it("names every child after its parent", async () => {
    const seen = await recordProgram(() => new ProxmoxGuest("brain", guestArgs()));
    for (const registration of seen.filter((r) => r.parent.includes("ProxmoxGuest"))) {
      assert.ok(registration.name.startsWith("brain-"), registration.name);
    }
  });
});
