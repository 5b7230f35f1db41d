/**
 * Cloud-init vendor data that brings the QEMU guest agent: cloud images come without it, and Proxmox reads addresses
 * and freezes file systems through it. User, key and static address come from Proxmox's own cloud-init fields.
 */
export const guestAgentVendorData = `#cloud-config
package_update: true
packages:
  - qemu-guest-agent
runcmd:
  - [systemctl, enable, --now, qemu-guest-agent]
`;
