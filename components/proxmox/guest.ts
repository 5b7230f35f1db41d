import * as proxmox from "@muhlba91/pulumi-proxmoxve";
import * as pulumi from "@pulumi/pulumi";
import { renderRootStep } from "../shared/rootOnly.ts";
import { firewallRules } from "./firewallRules.ts";
import type { ProxmoxGuestArgs } from "./guestArgs.ts";
import { guestFrom } from "./guestFrom.ts";
import type { GuestPlan } from "./guestPlan.ts";
import type { GuestSpec } from "./guestSpec.ts";
import { describedAs, planOrThrow } from "./resourceText.ts";
import { rootStep } from "./rootStep.ts";

/**
 * One guest of the estate: a VM or a container, its firewall, and the root-only step that pins it.
 *
 * @example
 * new ProxmoxGuest("brain", { vmId: 100, hostname: "brain", kind: "vm", ... }, { provider });
 *
 * @throws pulumi.InputPropertiesError with every fault of the arguments at once.
 */
export class ProxmoxGuest extends pulumi.ComponentResource {
  readonly vmId: pulumi.Output<number>;
  readonly hostname: pulumi.Output<string>;
  /** The VM or container itself: what lives in it is `deletedWith` it. */
  readonly machine: pulumi.CustomResource;

  constructor(name: string, args: ProxmoxGuestArgs, opts?: pulumi.ComponentResourceOptions) {
    const { host, image, iso, vendorData, storageId, rootFieldsInState, ...plain } = args;
    // First of all, so that a guest with faults registers nothing, not even itself.
    const { spec, plan } = planOrThrow(`guest ${name}`, guestFrom(args));
    super("hive:index:ProxmoxGuest", name, plain, opts);

    const guest = spec.kind === "vm" ? this.vm(name, args, spec, plan) : this.container(name, args, spec, plan);
    const fenced = this.firewall(name, args, spec, guest);
    if (plan.rootStep !== undefined && host !== undefined) {
      const scripts = renderRootStep(plan.rootStep);
      rootStep(
        `${name}-root`,
        { host, ...scripts, triggers: [guest.id] },
        { parent: this, deletedWith: guest, dependsOn: [fenced] },
      );
    }

    this.machine = guest;
    this.vmId = pulumi.output(args.vmId);
    this.hostname = pulumi.output(args.hostname);
    this.registerOutputs({ vmId: this.vmId, hostname: this.hostname });
  }

  private vm(name: string, args: ProxmoxGuestArgs, spec: GuestSpec, plan: GuestPlan): proxmox.VmLegacy {
    const windows = spec.os === "windows";
    const childName = `${name}-vm`;
    return new proxmox.VmLegacy(
      childName,
      {
        nodeName: args.nodeName,
        vmId: spec.vmId,
        name: spec.hostname,
        description: describedAs(
          args.description ?? `${spec.hostname}.`,
          childName,
          "proxmoxve:index/vmLegacy:VmLegacy",
          this,
        ),
        tags: [...plan.tags],
        ...(args.pool === undefined ? {} : { poolId: args.pool }),
        machine: plan.machineType,
        bios: plan.bios,
        operatingSystem: { type: plan.osType },
        scsiHardware: "virtio-scsi-single",
        cpu: { cores: spec.vcpus, sockets: 1, type: "host", units: spec.cpuUnits, numa: spec.hugepages },
        memory: { dedicated: spec.ramMiB, floating: plan.floatingMiB },
        disks: [
          {
            interface: "scsi0",
            datastoreId: args.storageId,
            size: spec.diskGiB,
            ...(args.image === undefined ? {} : { importFrom: args.image }),
            fileFormat: "raw",
            iothread: true,
            discard: "on",
            ssd: true,
          },
        ],
        ...(plan.bios === "ovmf" ? { efiDisk: { datastoreId: args.storageId, fileFormat: "raw", type: "4m" } } : {}),
        ...(args.iso === undefined ? {} : { cdrom: { fileId: args.iso, interface: "ide2" } }),
        networkDevices: spec.nics.map((nic) => ({
          bridge: nic.bridge,
          model: "virtio",
          macAddress: nic.mac.toUpperCase(),
          mtu: nic.mtu,
          firewall: true,
          ...(nic.vlanId === undefined ? {} : { vlanId: nic.vlanId }),
        })),
        hostpcis: spec.pci.map((mapping, index) => ({ device: `hostpci${String(index)}`, mapping, pcie: true })),
        usbs: spec.usb.map((mapping) => ({ mapping, usb3: true })),
        agent: plan.agent
          ? { enabled: true, timeout: `${String(spec.agentTimeoutSec)}s`, trim: true }
          : { enabled: false },
        ...(plan.watchdog ? { watchdog: { enabled: true, model: "i6300esb", action: "reset" } } : {}),
        vga: { type: plan.vga },
        ...(windows ? {} : { serialDevices: [{ device: "socket" }], initialization: this.cloudInit(args, spec) }),
        startup: { order: spec.startupOrder },
        onBoot: spec.onBoot,
        // Started by the root-only step where there is one, so that its first instruction already runs pinned.
        started: plan.rootStep === undefined && spec.onBoot,
        protection: spec.protect,
        // A changed static limit waits for a planned restart: the Keeper decides when a guest may go down.
        rebootAfterUpdate: false,
        stopOnDestroy: false,
        timeoutShutdownVm: spec.agentTimeoutSec,
        timeoutStartVm: spec.agentTimeoutSec,
      },
      {
        parent: this,
        protect: spec.protect,
        // The id is the guest's name on the host: the old one must go before the new one can come.
        deleteBeforeReplace: true,
        // Each field's reason stands in components/shared/ownership.ts.
        ignoreChanges: [...plan.ignoreChanges],
      },
    );
  }

  private cloudInit(args: ProxmoxGuestArgs, spec: GuestSpec): proxmox.types.input.VmLegacyInitialization {
    return {
      datastoreId: args.storageId,
      interface: "ide0",
      dns: { domain: args.dns.domain, servers: [...args.dns.servers] },
      ipConfigs: spec.nics.map((nic) => ({
        ipv4: { address: nic.cidr, ...(nic.gateway === undefined ? {} : { gateway: nic.gateway }) },
      })),
      userAccount: { username: args.admin.user, keys: [...args.admin.publicKeys] },
      ...(args.vendorData === undefined ? {} : { vendorDataFileId: args.vendorData }),
    };
  }

  private container(name: string, args: ProxmoxGuestArgs, spec: GuestSpec, plan: GuestPlan): proxmox.ContainerLegacy {
    const childName = `${name}-container`;
    return new proxmox.ContainerLegacy(
      childName,
      {
        nodeName: args.nodeName,
        vmId: spec.vmId,
        description: describedAs(
          args.description ?? `${spec.hostname}.`,
          childName,
          "proxmoxve:index/containerLegacy:ContainerLegacy",
          this,
          // Proxmox ends a container's description with a line feed, and so does what it reads back.
        ).apply((text) => `${text}\n`),
        tags: [...plan.tags],
        ...(args.pool === undefined ? {} : { poolId: args.pool }),
        unprivileged: true,
        ...(args.nesting === true ? { features: { nesting: true } } : {}),
        cpu: { cores: spec.vcpus, units: spec.cpuUnits },
        memory: { dedicated: spec.ramMiB, swap: 0 },
        disk: { datastoreId: args.storageId, size: spec.diskGiB },
        operatingSystem: { templateFileId: args.image ?? "", type: plan.osType },
        initialization: {
          hostname: spec.hostname,
          dns: { domain: args.dns.domain, servers: [...args.dns.servers] },
          ipConfigs: spec.nics.map((nic) => ({
            ipv4: { address: nic.cidr, ...(nic.gateway === undefined ? {} : { gateway: nic.gateway }) },
          })),
          userAccount: { keys: [...args.admin.publicKeys] },
        },
        networkInterfaces: spec.nics.map((nic, index) => ({
          name: `eth${String(index)}`,
          bridge: nic.bridge,
          macAddress: nic.mac.toUpperCase(),
          mtu: nic.mtu,
          firewall: true,
          ...(nic.vlanId === undefined ? {} : { vlanId: nic.vlanId }),
        })),
        startup: { order: spec.startupOrder },
        startOnBoot: spec.onBoot,
        started: spec.onBoot,
        protection: spec.protect,
      },
      {
        parent: this,
        protect: spec.protect,
        deleteBeforeReplace: true,
        // Each field's reason stands in components/shared/ownership.ts.
        ignoreChanges: [...plan.ignoreChanges],
      },
    );
  }

  private firewall(
    name: string,
    args: ProxmoxGuestArgs,
    spec: GuestSpec,
    guest: pulumi.CustomResource,
  ): pulumi.Resource {
    const target = spec.kind === "vm" ? { vmId: spec.vmId } : { containerId: spec.vmId };
    const options: pulumi.CustomResourceOptions = { parent: this, dependsOn: [guest], deletedWith: guest };
    const rules = new proxmox.firewall.RulesLegacy(
      `${name}-rules`,
      { nodeName: args.nodeName, ...target, rules: firewallRules(args.firewallRules ?? []) },
      options,
    );
    // The rules first, then the fence; a pinned guest starts behind it. A container starts when it is created, and its
    // fence stands a moment later.
    return new proxmox.firewall.OptionsLegacy(
      `${name}-firewall`,
      { nodeName: args.nodeName, ...target, enabled: true, inputPolicy: "DROP", outputPolicy: "ACCEPT" },
      { ...options, dependsOn: [guest, rules] },
    );
  }
}
