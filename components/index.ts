/**
 * The Hive as a library: components of the Proxmox estate, and the pure planners behind them.
 *
 * @example
 * import { ProxmoxGuest } from "pulumi-hive";
 */
export {
  Host,
  HostCpuset,
  HostDevices,
  HostFirewall,
  HostNetwork,
  HostStorage,
  Images,
  ProxmoxGuest,
  rootFieldsInState,
  type GuestFirewallRule,
  type GuestSpec,
  type HostArgs,
  type HostConnection,
  type HostCpusetArgs,
  type HostDevicesArgs,
  type HostFirewallArgs,
  type HostNetworkArgs,
  type HostStorageArgs,
  type ImagesArgs,
  type NicSpec,
  type ProxmoxGuestArgs,
  type RootFieldsInState,
} from "./proxmox/index.ts";
export {
  agentSecretFile,
  HiveAgent,
  Keeper,
  type HiveAgentArgs,
  type KeeperArgs,
  type KeeperSecrets,
} from "./host/index.ts";
export {
  entryPointOf,
  HeavyAgent,
  heavyAgentHostname,
  packSources,
  readSources,
  Sentinel,
  Vps,
  type HeavyAgentArgs,
  type LightsailPlace,
  type ProxmoxPlace,
  type SentinelArgs,
  type VpsArgs,
  type VpsPlace,
} from "./vps/index.ts";
export type { KeeperPlan } from "./shared/agent/keeperOfGenesis.ts";
export type { Checked, Fault } from "./shared/faults.ts";
export { planAddresses, type AddressPlan, type NetworkPlan, type NicPlan } from "./shared/addressing.ts";
export { planDevices, type DevicePlan } from "./shared/devices.ts";
export { planGuestFirewall, planHostFirewall, type FirewallRulePlan } from "./shared/firewallPlan.ts";
export { planGenesis, type GenesisPlan } from "./shared/genesisPlan.ts";
export type { GenesisSettings } from "./shared/genesisSettings.ts";
export { estate, seedMachines, worker } from "./shared/machineTable.ts";
export type { Machine } from "./shared/machines.ts";
export { planMemory, type MemoryPlan } from "./shared/memory.ts";
export type { GenesisOutputs, MachineOutput } from "./shared/outputs.ts";
export { planPinning, type PinningPlan } from "./shared/pinning.ts";
export { smtTopology, parseLscpu, type HostTopology } from "./shared/topology.ts";
export {
  checkHeavyAgentUnit,
  heavyAgentPaths,
  type HeavyAgentMode,
  type HeavyAgentOverrides,
  type HeavyAgentUnit,
} from "./shared/vps/heavyAgent.ts";
export {
  heavyAgentUnitName,
  renderHeavyAgentSlice,
  renderHeavyAgentTemplate,
  renderHeavyAgentUnits,
  type UnitFile,
} from "./shared/vps/heavyAgentUnit.ts";
export { knownBundles } from "./shared/vps/lightsail.ts";
export { cheapestOffer, formatCents, type Offer } from "./shared/vps/offers.ts";
export { planServer, proxmoxOffers, type ServerPlan, type ServerSpec } from "./shared/vps/serverPlan.ts";
export {
  agentKinds,
  checkSize,
  parseAgentKind,
  proposeSize,
  sizeFor,
  vpsSizes,
  type AgentKind,
  type KindOfAgent,
  type Retention,
  type SizeLimits,
  type SizeProposal,
  type VpsSize,
} from "./shared/vps/sizing.ts";
