import * as proxmox from "@muhlba91/pulumi-proxmoxve";
import * as pulumi from "@pulumi/pulumi";
import type { PciDeviceSettings, UsbDeviceSettings } from "../shared/genesisSettings.ts";
import { describedAs } from "./resourceText.ts";

/** Arguments of {@link HostDevices}. */
export interface HostDevicesArgs {
  readonly nodeName: string;
  /** The GPU; none on a host without one. */
  readonly gpu?: PciDeviceSettings | undefined;
  /** The Coral TPU; none on a host without one. */
  readonly tpu?: UsbDeviceSettings | undefined;
}

/**
 * Resource mappings for the GPU and the TPU. A mapping is what lets an API token pass a device through: a raw PCI
 * address is root@pam's alone, a mapping needs `Mapping.Use`.
 */
export class HostDevices extends pulumi.ComponentResource {
  /** Name of the GPU's mapping, known once it exists. */
  readonly gpu: pulumi.Output<string> | undefined;
  /** Name of the TPU's mapping, known once it exists. */
  readonly tpu: pulumi.Output<string> | undefined;
  /** The mappings by name: what a guest that is given one waits for. */
  readonly mappings: Readonly<Record<string, pulumi.Resource>>;

  constructor(name: string, args: HostDevicesArgs, opts?: pulumi.ComponentResourceOptions) {
    super("hive:index:HostDevices", name, args, opts);
    const { gpu, tpu, nodeName } = args;
    const mappings: Record<string, pulumi.Resource> = {};
    if (gpu !== undefined) {
      const childName = `${name}-gpu`;
      const mapping = new proxmox.hardware.mapping.Pci(
        childName,
        {
          name: gpu.mapping,
          comment: describedAs("Hive GPU", childName, "proxmoxve:hardware/mapping/pci:Pci", this),
          maps: [
            {
              node: nodeName,
              path: gpu.path,
              id: gpu.id,
              iommuGroup: gpu.iommuGroup,
              ...(gpu.subsystemId === undefined ? {} : { subsystemId: gpu.subsystemId }),
            },
          ],
        },
        { parent: this },
      );
      mappings[gpu.mapping] = mapping;
      this.gpu = mapping.id.apply(() => gpu.mapping);
    }
    if (tpu !== undefined) {
      const childName = `${name}-tpu`;
      const mapping = new proxmox.hardware.mapping.Usb(
        childName,
        {
          name: tpu.mapping,
          comment: describedAs("Hive TPU", childName, "proxmoxve:hardware/mapping/usb:Usb", this),
          maps: [{ node: nodeName, id: tpu.id }],
        },
        { parent: this },
      );
      mappings[tpu.mapping] = mapping;
      this.tpu = mapping.id.apply(() => tpu.mapping);
    }
    this.mappings = mappings;
    this.registerOutputs({ gpu: this.gpu, tpu: this.tpu });
  }
}
