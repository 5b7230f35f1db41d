/** Every route of the simulated host. */
import { accessRoutes } from "./access/routes.ts";
import { clusterRoutes } from "./cluster/routes.ts";
import { firewallRoutes } from "./cluster/firewall-routes.ts";
import { mappingRoutes } from "./cluster/mapping-routes.ts";
import { poolRoutes } from "./cluster/pool-routes.ts";
import type { Route } from "./core/router.ts";
import { lxcRoutes } from "./guests/lxc-routes.ts";
import { qemuPowerRoutes } from "./guests/qemu-power-routes.ts";
import { qemuRoutes } from "./guests/qemu-routes.ts";
import { snapshotRoutes } from "./guests/snapshot-routes.ts";
import { hardwareRoutes } from "./host/hardware-routes.ts";
import { networkRoutes } from "./host/network-routes.ts";
import { nodeRoutes } from "./host/node-routes.ts";
import { storageRoutes } from "./host/storage-routes.ts";
import { taskRoutes } from "./host/task-routes.ts";

export const pveRoutes: readonly Route[] = [
  ...nodeRoutes,
  ...taskRoutes,
  ...qemuRoutes,
  ...qemuPowerRoutes,
  ...lxcRoutes,
  ...snapshotRoutes,
  ...networkRoutes,
  ...storageRoutes,
  ...hardwareRoutes,
  ...clusterRoutes,
  ...mappingRoutes,
  ...firewallRoutes,
  ...accessRoutes,
  ...poolRoutes,
];
