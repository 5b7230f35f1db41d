// Gathers the answers of which the page's view is made. A part that fails is shown as empty, not as an error.
import type { RootApi } from "../host/root-api.ts";
import { textOf } from "../host/root-api.ts";
import { isRecord } from "../host/files.ts";
import { collectKeeper } from "./collect-keeper.ts";
import { labView } from "./view.ts";
import type { LabView } from "./view.ts";

export async function collectView(
  api: RootApi,
  sshPorts: ReadonlyMap<number, number>,
  stateDir: string,
): Promise<LabView> {
  const nodeName = textOf((await api.list("/nodes"))[0]?.["node"]);
  const list = (path: string): Promise<Record<string, unknown>[]> => api.list(path).catch(() => []);
  const one = (path: string): Promise<Record<string, unknown>> =>
    api.get(path).then(
      (data) => (isRecord(data) ? data : {}),
      () => ({}),
    );
  const node = `/nodes/${nodeName}`;
  const [version, nodeStatus, resources, network, storages, pciMappings, usbMappings, tasks, events, keeper] =
    await Promise.all([
      one("/version"),
      one(`${node}/status`),
      list("/cluster/resources?type=vm"),
      list(`${node}/network`),
      list(`${node}/storage`),
      list("/cluster/mapping/pci"),
      list("/cluster/mapping/usb"),
      list("/cluster/tasks"),
      api.raw("/lab/events").catch(() => []),
      collectKeeper(stateDir),
    ]);
  const configs = await Promise.all(
    resources.map(async (row): Promise<[number, Record<string, unknown>]> => {
      const kind = row["type"] === "lxc" ? "lxc" : "qemu";
      return [Number(row["vmid"]), await one(`${node}/${kind}/${textOf(row["vmid"])}/config`)];
    }),
  );
  return labView({
    ...{
      nodeName,
      version,
      nodeStatus,
      resources,
      network,
      storages,
      pciMappings,
      usbMappings,
      tasks,
      events,
      sshPorts,
      keeper,
    },
    configs: new Map(configs),
  });
}
