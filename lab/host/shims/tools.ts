// Programs that the lab answers itself, and the folder in which the real system keeps each.

/** On every Linux machine of the lab. */
export const systemTools: ReadonlyMap<string, string> = new Map([
  ["systemctl", "/usr/bin"],
  ["hostname", "/usr/bin"],
  ["lscpu", "/usr/bin"],
  ["modprobe", "/usr/sbin"],
  ["update-grub", "/usr/sbin"],
]);

/** Only on the Proxmox host. */
export const proxmoxTools: ReadonlyMap<string, string> = new Map([
  ["qm", "/usr/sbin"],
  ["pct", "/usr/sbin"],
  ["pvesm", "/usr/sbin"],
  ["pveum", "/usr/sbin"],
  ["pve-firewall", "/usr/sbin"],
  ["pvesh", "/usr/bin"],
  ["pveversion", "/usr/bin"],
  ["zfs", "/usr/sbin"],
  ["zpool", "/usr/sbin"],
  ["ifreload", "/usr/sbin"],
  ["lspci", "/usr/bin"],
  ["update-initramfs", "/usr/sbin"],
  ["proxmox-boot-tool", "/usr/sbin"],
]);

/** Only on guests: units really run there, and accounts are what one uid allows. */
export const guestTools: ReadonlyMap<string, string> = new Map([
  ["systemctl", "/usr/bin"],
  ["journalctl", "/usr/bin"],
  ["sudo", "/usr/bin"],
  ["useradd", "/usr/sbin"],
  ["adduser", "/usr/sbin"],
  ["usermod", "/usr/sbin"],
  ["userdel", "/usr/sbin"],
  ["groupadd", "/usr/sbin"],
  ["addgroup", "/usr/sbin"],
  ["groupdel", "/usr/sbin"],
]);
