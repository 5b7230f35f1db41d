/** What stack `genesis` exports, and what other stacks read through a StackReference. */
export interface GenesisOutputs {
  readonly nodeName: string;
  readonly machines: readonly MachineOutput[];
  readonly networks: readonly NetworkOutput[];
  /** Firmware of the Keeper's ESP32 for ESPHome, which fills in its secrets; there where a watchdog is configured. */
  readonly watchdogFirmware?: string | undefined;
}

/** One machine as it was declared. */
export interface MachineOutput {
  readonly id: number;
  readonly hostname: string;
  readonly title: string;
  readonly kind: "vm" | "container";
  readonly role: string;
  readonly vcpus: number;
  readonly ramMiB: number;
  /** Logical CPUs of the host that it may use, as a CPU list (`0-3,16-19`). */
  readonly cpus: string;
  /** Whether those CPUs are its alone. */
  readonly dedicated: boolean;
  readonly addresses: readonly AddressOutput[];
  readonly devices: readonly string[];
  readonly protect: boolean;
}

/** One static address of a machine. */
export interface AddressOutput {
  readonly network: string;
  readonly bridge: string;
  /** VLAN id, when the card is tagged. */
  readonly vlanId?: number | undefined;
  /** Address with prefix length, for example `10.20.10.100/24`. */
  readonly cidr: string;
  /** Fully qualified name, for example `brain.private.hive.internal`. */
  readonly fqdn: string;
}

/** One network of the address plan. */
export interface NetworkOutput {
  readonly name: string;
  readonly bridge: string;
  readonly cidr: string;
  readonly vlanId?: number | undefined;
  readonly gateway?: string | undefined;
  readonly mtu: number;
}
