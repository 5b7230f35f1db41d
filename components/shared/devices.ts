import type { Checked, Fault } from "./faults.ts";
import type { GenesisSettings } from "./genesisSettings.ts";
import type { DeviceName, Machine } from "./machines.ts";
import { checked, checkForm, checkWhole, fault } from "./check.ts";
import { machinePath } from "./ids.ts";

/** Who owns a device at first, and who may get it. */
export interface DevicePlan {
  readonly device: DeviceName;
  /** Name of the Proxmox resource mapping. */
  readonly mapping: string;
  /** Id of the machine that it is declared on; undefined when nobody has it at first. */
  readonly owner: number | undefined;
  /** Ids of the machines that the Keeper may hand it to. */
  readonly contenders: readonly number[];
}

const deviceNames: readonly DeviceName[] = ["gpu", "tpu"];
/** Proxmox's form of configuration ids (pve-configid). */
const configId = /^[A-Za-z][A-Za-z0-9_-]{1,63}$/;
const usbOrPciId = /^[0-9a-f]{4}:[0-9a-f]{4}$/;

function checkSettings(devices: GenesisSettings["devices"]): readonly Fault[] {
  const faults: Fault[] = [];
  for (const name of deviceNames) {
    const device = devices[name];
    if (device === undefined) continue;
    const path = `devices.${name}`;
    faults.push(
      ...checkForm(
        `${path}.mapping`,
        device.mapping,
        configId,
        "a letter, then letters, digits, _ and -, 2 to 64 in all",
        "Rename the resource mapping.",
      ),
      ...checkForm(
        `${path}.id`,
        device.id,
        usbOrPciId,
        "vendor:device in hexadecimal, such as 10de:2204",
        name === "gpu" ? "Read it from `lspci -nn`." : "Read it from `lsusb`.",
      ),
    );
  }
  const { gpu } = devices;
  if (gpu !== undefined) {
    faults.push(
      ...checkForm(
        "devices.gpu.path",
        gpu.path,
        /^[0-9a-f]{4}:[0-9a-f]{2}:[01][0-9a-f]$/,
        "a PCI address without function, such as 0000:01:00",
        "Read it from `lspci -D`.",
      ),
      ...checkWhole(
        "devices.gpu.iommuGroup",
        gpu.iommuGroup,
        0,
        4095,
        "",
        "Read it from `find /sys/kernel/iommu_groups -type l`.",
      ),
    );
    if (gpu.subsystemId !== undefined) {
      faults.push(
        ...checkForm(
          "devices.gpu.subsystemId",
          gpu.subsystemId,
          usbOrPciId,
          "vendor:device in hexadecimal, such as 1043:87af",
          "Read it from `lspci -nnv`.",
        ),
      );
    }
  }
  return faults;
}

/**
 * One owner for each device of the host, since a PCI or USB device belongs to one running guest (design §4). A machine
 * with dedicated cores or in the role of trading never gets the GPU (seed 001 §3). A device that the host lacks
 * (undefined in the settings) is not planned.
 */
export function planDevices(input: {
  readonly machines: readonly Machine[];
  readonly devices: GenesisSettings["devices"];
}): Checked<readonly DevicePlan[]> {
  const { machines, devices } = input;
  const faults: Fault[] = [...checkSettings(devices)];
  const plans = deviceNames.flatMap((device): DevicePlan[] => {
    const owners = machines.filter((machine) => machine.devices.includes(device));
    const contenders = machines.filter((machine) => machine.contends.includes(device));
    for (const { id } of owners.slice(1)) {
      const limit = `one owner; machine ${String(owners[0]?.id)} has it`;
      faults.push(
        fault(machinePath(id, "devices"), device, limit, "Let one machine own it; others may contend for it."),
      );
    }
    for (const { id, role, pinning } of machines) {
      if (device !== "gpu" || (role !== "trading" && pinning !== "dedicated")) continue;
      const listed = (["devices", "contends"] as const).filter((list) =>
        machines.some((machine) => machine.id === id && machine[list].includes(device)),
      );
      for (const list of listed) {
        faults.push(
          fault(
            machinePath(id, list),
            device,
            "no GPU on a trading machine or one with dedicated cores",
            "Give the GPU to another machine.",
          ),
        );
      }
    }
    for (const { id, kind } of new Set([...owners, ...contenders])) {
      if (kind === "vm") continue;
      faults.push(
        fault(
          machinePath(id, "devices"),
          device,
          "devices on virtual machines only",
          "Make the machine a vm, or take the device away.",
        ),
      );
    }
    const settings = devices[device];
    if (settings === undefined) return [];
    return [{ device, mapping: settings.mapping, owner: owners[0]?.id, contenders: contenders.map(({ id }) => id) }];
  });
  return checked(faults, plans);
}
