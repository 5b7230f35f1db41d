/**
 * The options of guests: their types in answers, and the privilege each needs.
 *
 * Sources: qemu-server src/PVE/QemuServer.pm ($confdesc, $fast_plug_option), src/PVE/API2/Qemu.pm
 * ($cpuoptions … $cloudinitoptions); pve-container src/PVE/LXC/Config.pm ($confdesc).
 */

const words = (text: string): ReadonlySet<string> => new Set(text.split(/\s+/));

/** Options that answers carry as JSON numbers (integers, numbers and booleans); all others are strings. */
const QEMU_NUMERIC = words(
  `acpi allow-ksm autostart balloon ciupgrade cores cpuunits freeze keephugepages kvm localtime migrate_downtime
   migrate_speed numa onboot protection reboot shares smp sockets tablet tdf template vcpus`,
);
const LXC_NUMERIC = words(`console cores cpuunits debug memory onboot protection swap template tty unprivileged`);

export function typedValue(kind: "qemu" | "lxc", key: string, value: string): string | number {
  const numeric = kind === "qemu" ? QEMU_NUMERIC : LXC_NUMERIC;
  return numeric.has(key) && /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : value;
}

export const CPU_OPTIONS = words("cores cpu runningcpu cpulimit cpuunits numa smp sockets vcpus");
export const MEMORY_OPTIONS = words("memory balloon shares allow-ksm");
export const HWTYPE_OPTIONS = words(
  "acpi hotplug kvm machine runningmachine scsihw smbios1 tablet vga watchdog audio0 rng0",
);
export const GENERAL_OPTIONS = words(
  `agent autostart bios description keyboard localtime migrate_downtime migrate_speed name onboot ostype protection
   reboot startdate startup tdf template`,
);
export const POWER_OPTIONS = words("freeze");
export const DISK_OPTIONS = words("boot bootdisk vmstatestorage");
export const CLOUDINIT_OPTIONS = words("cicustom cipassword citype ciuser ciupgrade nameserver searchdomain sshkeys");

/** Take effect in a running VM without its noticing. */
const FAST_PLUG = words(
  `description hookscript lock migrate_downtime migrate_speed name onboot protection shares startup tags
   vmstatestorage cicustom cipassword citype ciuser ciupgrade nameserver searchdomain sshkeys`,
);

export function isFastPlug(key: string): boolean {
  return FAST_PLUG.has(key) || /^ipconfig\d+$/.test(key);
}

export function isDrive(key: string): boolean {
  return /^(ide[0-3]|sata[0-5]|scsi([0-9]|[12]\d|30)|virtio([0-9]|1[0-5])|efidisk0|tpmstate0)$/.test(key);
}

export function isUnused(key: string): boolean {
  return /^unused\d+$/.test(key);
}

export function isMountPoint(key: string): boolean {
  return key === "rootfs" || /^mp\d+$/.test(key);
}

/** Every option a qemu configuration may carry, as a parameter list. */
export const QEMU_OPTIONS = `acpi affinity agent allow-ksm amd-sev arch args audio0 autostart balloon bios boot bootdisk
  cdrom cicustom cipassword citype ciupgrade ciuser cores cpu cpulimit cpuunits description efidisk0 freeze hookscript
  hostpci# hotplug hugepages ide# intel-tdx ipconfig# ivshmem keephugepages keyboard kvm localtime lock machine memory
  migrate_downtime migrate_speed name nameserver net# numa numa# onboot ostype parallel# protection reboot rng0 sata#
  scsi# scsihw searchdomain serial# shares smbios1 smp sockets spice_enhancements sshkeys startdate startup tablet tags
  tdf template tpmstate0 unused# usb# vcpus vga virtio# virtiofs# vmgenid vmstatestorage watchdog`;

export const LXC_OPTIONS = `arch cmode console cores cpulimit cpuunits debug description dev# entrypoint env features
  hookscript hostname lock memory mp# nameserver net# onboot ostype protection rootfs searchdomain startup swap tags
  template timezone tty unprivileged unused#`;

const optionSets = new Map<string, { names: Set<string>; numbered: Set<string> }>();

export function isOption(spec: string, name: string): boolean {
  let set = optionSets.get(spec);
  if (!set) {
    const all = spec.split(/\s+/);
    set = {
      names: new Set(all.filter((w) => !w.endsWith("#"))),
      numbered: new Set(all.filter((w) => w.endsWith("#")).map((w) => w.slice(0, -1))),
    };
    optionSets.set(spec, set);
  }
  const numbered = /^(.*?)\d+$/.exec(name)?.[1];
  return set.names.has(name) || (numbered !== undefined && set.numbered.has(numbered));
}
