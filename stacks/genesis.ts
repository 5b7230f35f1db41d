import * as proxmox from "@muhlba91/pulumi-proxmoxve";
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
import { genesisGuests, genesisOutputs, hostNeeds } from "../components/proxmox/estate.ts";
import { formatCpuList } from "../components/shared/cpuList.ts";
import { planGenesis } from "../components/shared/genesisPlan.ts";
import type { GenesisSettings } from "../components/shared/genesisSettings.ts";
import type { GenesisOutputs } from "../components/shared/outputs.ts";
import { readGenesisConfig, type GenesisSecrets } from "./genesis.config.ts";

/** The Proxmox estate of seed 001, phase 0: host storage, bridges, devices, firewall, and every guest. */
export async function genesis(): Promise<GenesisOutputs> {
  const { settings, secrets } = readGenesisConfig(new pulumi.Config());
  return declareGenesis(settings, secrets);
}

/** Declares the estate from validated settings. */
export async function declareGenesis(settings: GenesisSettings, secrets: GenesisSecrets): Promise<GenesisOutputs> {
  const plan = planOrThrow("stack genesis", planGenesis(settings));
  const { nodeName } = settings;
  const host = { ...settings.ssh, privateKey: secrets.sshPrivateKey };

  const provider = new proxmox.Provider("proxmox", {
    endpoint: settings.endpoint,
    insecure: settings.insecure,
    apiToken: secrets.apiToken,
    ssh: {
      username: host.user,
      privateKey: host.privateKey,
      nodes: [{ name: nodeName, address: host.host, port: host.port }],
    },
  });
  const opts = { provider };

  const { topology, ramMiB, arcMiB, reservedMiB } = settings.host;
  const { lan, private: inner, dmz } = settings.networks;
  const bridges = { lan: lan.bridge, private: inner.bridge, dmz: dmz.bridge };
  new Host("host", { topology, ramMiB, arcMiB, reservedMiB, bridges });

  const storage = new HostStorage(
    "host-storage",
    {
      nodeName,
      pool: settings.storage.pool,
      dataset: settings.storage.dataset,
      storageId: settings.storage.id,
      schedules: plan.snapshots,
      snapshotGuests: plan.machines.filter((machine) => machine.snapshots).map((machine) => machine.id),
      host,
    },
    opts,
  );
  const network = new HostNetwork("host-network", { nodeName, networks: plan.addresses.networks }, opts);
  const devices = new HostDevices("host-devices", { nodeName, ...settings.devices }, opts);
  new HostFirewall("host-firewall", { group: "hive-host", rules: plan.hostFirewall, host }, opts);
  new HostCpuset("host-cpuset", { containerCpus: formatCpuList(plan.pins.shared), host });
  const { ubuntu, debian, alpine } = settings.images;
  const images = new Images("images", { nodeName, storageId: settings.storage.files, ubuntu, debian, alpine }, opts);

  const guests = genesisGuests(settings, plan);
  const inState = await rootFieldsInState(
    provider,
    nodeName,
    guests.map(({ spec }) => spec),
  );
  for (const { name, spec, image } of guests) {
    new ProxmoxGuest(
      name,
      {
        ...spec,
        nodeName,
        storageId: storage.storageId,
        image: image === undefined ? undefined : images.volumes[image],
        rootFieldsInState: inState(spec.vmId),
        vendorData: spec.kind === "vm" && image !== undefined ? images.vendorData : undefined,
        host,
      },
      { provider, dependsOn: [...hostNeeds(spec, network.ownBridges, devices.mappings)] },
    );
  }
  return genesisOutputs(settings, plan);
}
