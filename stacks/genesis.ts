import * as pulumi from "@pulumi/pulumi";
import {
  Host,
  HostCpuset,
  HostDevices,
  HostFirewall,
  HostNetwork,
  HostStorage,
  Images,
  ProxmoxGuest,
  planOrThrow,
  rootFieldsInState,
} from "../components/proxmox/index.ts";
import { genesisGuests, genesisHost, genesisOutputs, genesisStorage, hostNeeds } from "../components/proxmox/estate.ts";
import { Keeper } from "../components/host/index.ts";
import { formatCpuList } from "../components/shared/cpuList.ts";
import { planGenesis } from "../components/shared/genesisPlan.ts";
import type { GenesisSettings } from "../components/shared/genesisSettings.ts";
import type { GenesisOutputs } from "../components/shared/outputs.ts";
import { readGenesisConfig, type GenesisSecrets } from "./genesis.config.ts";
import { genesisProvider } from "./genesis.provider.ts";

/** The Proxmox estate of seed 001, phase 0: host storage, bridges, devices, firewall, and every guest; the Keeper. */
export async function genesis(): Promise<GenesisOutputs> {
  const { settings, secrets } = readGenesisConfig(new pulumi.Config());
  return declareGenesis(settings, secrets);
}

/** Declares the estate from validated settings. */
export async function declareGenesis(settings: GenesisSettings, secrets: GenesisSecrets): Promise<GenesisOutputs> {
  const plan = planOrThrow("stack genesis", planGenesis(settings));
  const { nodeName } = settings;
  const host = { ...settings.ssh, privateKey: secrets.sshPrivateKey };
  const provider = genesisProvider(settings, secrets);
  const opts = { provider };

  new Host("host", genesisHost(settings));
  const storage = new HostStorage("host-storage", { ...genesisStorage(settings, plan), host }, opts);
  const network = new HostNetwork("host-network", { nodeName, networks: plan.addresses.networks }, opts);
  const devices = new HostDevices("host-devices", { nodeName, ...settings.devices }, opts);
  new HostFirewall("host-firewall", { group: "hive-host", rules: plan.hostFirewall, host }, opts);
  new HostCpuset("host-cpuset", { containerCpus: formatCpuList(plan.pins.shared), host });
  const { ubuntu, debian, alpine } = settings.images;
  const images = new Images("images", { nodeName, storageId: settings.storage.files, ubuntu, debian, alpine }, opts);

  const planned = genesisGuests(settings, plan);
  const specs = planned.map(({ spec }) => spec);
  const inState = await rootFieldsInState(provider, nodeName, specs);
  const guests = new Map<number, ProxmoxGuest>();
  for (const { name, spec, image } of planned) {
    const own = {
      nodeName,
      storageId: storage.storageId,
      image: image === undefined ? undefined : images.volumes[image],
      rootFieldsInState: inState(spec.vmId),
      vendorData: spec.kind === "vm" && image !== undefined ? images.vendorData : undefined,
      host,
    };
    const dependsOn = [...hostNeeds(spec, network.ownBridges, devices.mappings)];
    guests.set(spec.vmId, new ProxmoxGuest(name, { ...spec, ...own }, { provider, dependsOn }));
  }

  if (plan.keeper !== undefined && secrets.keeper !== undefined) {
    const guest = guests.get(plan.keeper.vm?.vmid ?? 0);
    const login = { user: settings.admin.user, privateKey: secrets.sshPrivateKey };
    const vm = guest && { login, machine: guest.machine, ready: guest };
    new Keeper("keeper", { plan: plan.keeper, secrets: secrets.keeper, host, vm });
  }
  const watchdogFirmware = plan.keeper?.watchdogFirmware;
  return { ...genesisOutputs(settings, plan), ...(watchdogFirmware === undefined ? {} : { watchdogFirmware }) };
}
