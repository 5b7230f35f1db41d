/** The Proxmox estate: host storage, bridges, devices, firewall, images and guests. */
export { ProxmoxGuest } from "./guest.ts";
export type { ProxmoxGuestArgs } from "./guestArgs.ts";
export type { GuestFirewallRule } from "./firewallRules.ts";
export type { GuestSpec, NicSpec, RootFieldsInState } from "./guestSpec.ts";
export { Host, type HostArgs } from "./host.ts";
export { HostCpuset, type HostCpusetArgs } from "./hostCpuset.ts";
export { HostDevices, type HostDevicesArgs } from "./hostDevices.ts";
export { HostFirewall, type HostFirewallArgs } from "./hostFirewall.ts";
export { HostNetwork, type HostNetworkArgs } from "./hostNetwork.ts";
export { HostStorage, type HostStorageArgs } from "./hostStorage.ts";
export { Images, type ImagesArgs } from "./images.ts";
export { planOrThrow } from "./resourceText.ts";
export { rootFieldsInState } from "./rootFieldsInState.ts";
export type { HostConnection } from "./rootStep.ts";
