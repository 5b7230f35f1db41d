// A process that owns a control plane and is to be killed: `node ownerChild.ts JSON`, the options of startCluster.
import { setInterval } from "node:timers";
import { type ClusterOptions, startCluster } from "../../lab/cluster/index.ts";

const options = JSON.parse(process.argv[2] ?? "") as ClusterOptions;
const cluster = await startCluster(options);
process.stdout.write(`${cluster.folder}\n`);
setInterval(() => undefined, 60_000);
