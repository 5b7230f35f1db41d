import type { GenesisPlan } from "../../components/shared/genesisPlan.ts";
import type { GenesisSettings } from "../../components/shared/genesisSettings.ts";
import type { HostObject } from "../repair/objects.ts";

/** Bridges, storages and mappings that genesis makes, by the names that they will have on the host. Pure. */
export function declaredObjects(
  settings: Pick<GenesisSettings, "storage" | "devices">,
  plan: Pick<GenesisPlan, "addresses">,
): Pick<HostObject, "kind" | "id">[] {
  const { gpu, tpu } = settings.devices;
  return [
    { kind: "storage", id: settings.storage.id },
    ...plan.addresses.networks
      .filter(({ name }) => name !== "lan")
      .flatMap(({ bridge, vlanId, hostAddress }): Pick<HostObject, "kind" | "id">[] => [
        { kind: "bridge", id: bridge },
        ...(vlanId === undefined || hostAddress === undefined
          ? []
          : [{ kind: "bridge" as const, id: `${bridge}.${String(vlanId)}` }]),
      ]),
    ...(gpu === undefined ? [] : [{ kind: "mapping" as const, id: `pci/${gpu.mapping}` }]),
    ...(tpu === undefined ? [] : [{ kind: "mapping" as const, id: `usb/${tpu.mapping}` }]),
  ];
}
