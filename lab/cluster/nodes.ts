// Nodes as a cloud's provisioner makes them, with kwok as their kubelet; and how they are lost.
import { setTimeout as sleep } from "node:timers/promises";
import type { KubeApi } from "./api.ts";
import { type ClusterNode, type Pod, anything, nodeForm, podList } from "./objects.ts";

/** What one instance type has, and what of it a Pod may have. */
export interface InstanceType {
  readonly name: string;
  readonly cpus: number;
  readonly memoryMiB: number;
  readonly gpus: number;
  /** Pods that its network interfaces have addresses for (AWS, eni-max-pods). */
  readonly pods: number;
}

/** One T4, the cheapest GPU that AWS has in Paris. */
export const g4dnXlarge: InstanceType = { name: "g4dn.xlarge", cpus: 4, memoryMiB: 16_384, gpus: 1, pods: 29 };

export interface NodeArgs {
  readonly name: string;
  /** Availability zone, such as `eu-west-3a`; its region is the name without the letter. */
  readonly zone: string;
  readonly capacity: "spot" | "on-demand";
  /** @default g4dnXlarge */
  readonly instance?: InstanceType;
  /** Who made it: Karpenter, or a managed node group of EKS that the cluster autoscaler scales. @default "karpenter" */
  readonly provisioner?: "karpenter" | "managed-group";
}

/** How long a node or Pod may take to become what is asked, ms: a hang guard. */
const patienceMs = 60_000;

/** Mebibytes that Pods do not get on EKS: 255 and 11 for each Pod for the kubelet, and 100 below which it evicts. */
const keptMiB = (pods: number): number => 255 + 11 * pods + 100;

/** Thousandths of a core kept on EKS: 6 % of the first, 1 % of the second, 0.5 % of two more, 0.25 % of the others. */
function keptMillicores(cpus: number): number {
  return 60 + (cpus > 1 ? 10 : 0) + 5 * Math.min(Math.max(cpus - 2, 0), 2) + 2.5 * Math.max(cpus - 4, 0);
}

type Amounts = Readonly<Record<string, string>>;

interface NodeObject {
  readonly apiVersion: "v1";
  readonly kind: "Node";
  readonly metadata: { readonly name: string; readonly labels: Readonly<Record<string, string>> };
  readonly spec: { readonly providerID: string };
  readonly status: { readonly capacity: Amounts; readonly allocatable: Amounts };
}

/** The Node as its kubelet would register it. */
export function nodeObject(node: NodeArgs): NodeObject {
  const { name, zone, capacity, instance = g4dnXlarge, provisioner = "karpenter" } = node;
  const gpus = instance.gpus === 0 ? {} : { "nvidia.com/gpu": String(instance.gpus) };
  const labels = {
    "kubernetes.io/hostname": name,
    "kubernetes.io/arch": "amd64",
    "kubernetes.io/os": "linux",
    "node.kubernetes.io/instance-type": instance.name,
    "topology.kubernetes.io/region": zone.replace(/[a-z]$/, ""),
    "topology.kubernetes.io/zone": zone,
    ...(provisioner === "karpenter"
      ? { "karpenter.sh/capacity-type": capacity, "karpenter.sh/nodepool": "gpu" }
      : {
          "eks.amazonaws.com/capacityType": capacity === "spot" ? "SPOT" : "ON_DEMAND",
          "eks.amazonaws.com/nodegroup": `gpu-${capacity}`,
        }),
  };
  const pods = String(instance.pods);
  return {
    apiVersion: "v1",
    kind: "Node",
    metadata: { name, labels },
    spec: { providerID: `aws:///${zone}/${name}` },
    status: {
      capacity: { cpu: String(instance.cpus), memory: `${String(instance.memoryMiB)}Mi`, pods, ...gpus },
      allocatable: {
        cpu: `${String(Math.floor(1000 * instance.cpus - keptMillicores(instance.cpus)))}m`,
        memory: `${String(instance.memoryMiB - keptMiB(instance.pods))}Mi`,
        pods,
        ...gpus,
      },
    },
  };
}

const nodePath = (name: string): string => `/api/v1/nodes/${encodeURIComponent(name)}`;
const podPath = ({ metadata: { namespace = "default", name } }: Pod): string =>
  `/api/v1/namespaces/${namespace}/pods/${name}`;

/** True for a node on which Pods are placed. */
export function isUsable({ spec, status }: ClusterNode): boolean {
  const ready = status.conditions.some(({ type, status: is }) => type === "Ready" && is === "True");
  return ready && !spec.unschedulable && spec.taints.length === 0;
}

/** Looks every 30 ms. @throws Error naming `what` when `look` has found nothing within a minute */
export async function waitFor<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  for (const until = performance.now() + patienceMs; ; await sleep(30)) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > until) throw new Error(`not within ${String(patienceMs / 1000)} s: ${what}`);
  }
}

/** Adds a node and waits until Pods can be placed on it. @throws ApiRefusal */
export async function addNode(api: KubeApi, node: NodeArgs): Promise<ClusterNode> {
  await api.create(anything, "/api/v1/nodes", nodeObject(node));
  return waitFor(`node ${node.name} is ready`, async () => {
    const now = await api.get(nodeForm, nodePath(node.name));
    return isUsable(now) ? now : undefined;
  });
}

export async function podsOn(api: KubeApi, node: string): Promise<readonly Pod[]> {
  const { items } = await api.get(podList, `/api/v1/pods?fieldSelector=spec.nodeName%3D${encodeURIComponent(node)}`);
  return items;
}

/** No new Pods on it. */
export async function cordon(api: KubeApi, node: string): Promise<void> {
  await api.patch(anything, nodePath(node), "merge", { spec: { unschedulable: true } });
}

/** Asks for a Pod to go, as its disruption budget allows. @throws ApiRefusal with 429 when that does not */
export async function evict(api: KubeApi, pod: Pod): Promise<void> {
  const { name, namespace } = pod.metadata;
  const body = { apiVersion: "policy/v1", kind: "Eviction", metadata: { name, namespace } };
  await api.create(anything, `${podPath(pod)}/eviction`, body);
}

/** What follows an interruption notice: cordon, then eviction of every Pod. @throws ApiRefusal */
export async function drain(api: KubeApi, node: string): Promise<void> {
  await cordon(api, node);
  await Promise.all((await podsOn(api, node)).map((pod) => evict(api, pod)));
}

/** Lets every Pod on it that does not tolerate the taint go at once; returns before they have gone. */
export async function taintNoExecute(api: KubeApi, node: string, key: string): Promise<void> {
  // A strategic merge adds to the list by `key`: taints of others stay.
  const taints = [{ key, effect: "NoExecute" }];
  await api.patch(anything, nodePath(node), "strategic-merge", { spec: { taints } });
}

/** A taint that only a loss brings. */
const lost = "lab.hive/lost";

/**
 * Takes a node away with what runs on it, as the end of a spot instance does. Its Pods go first: those of a node that is
 * only deleted stay for most of a minute, until the garbage collector of Pods looks.
 */
export async function removeNode(api: KubeApi, node: string): Promise<void> {
  await taintNoExecute(api, node, lost);
  await waitFor(`no Pod is left on ${node}`, async () => ((await podsOn(api, node)).length === 0 ? true : undefined));
  await api.remove(nodePath(node));
}
