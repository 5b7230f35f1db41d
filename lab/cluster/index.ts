/**
 * A Kubernetes control plane of one's own on loopback, without containers: etcd, API server, controller manager and
 * scheduler, and kwok as the kubelet of its nodes. Everything below one temporary folder, gone when its owner is.
 */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../host/freePort.ts";
import { ApiRefusal, KubeApi } from "./api.ts";
import { Children } from "./children.ts";
import { type Credentials, type User, kubeconfig, makeCredentials } from "./credentials.ts";
import { type NodeArgs, addNode, waitFor } from "./nodes.ts";
import { anything } from "./objects.ts";
import { clusterImpossible } from "./possible.ts";
import {
  type ClusterPrograms,
  type Layout,
  apiServer,
  controllerManager,
  etcd,
  kwok,
  scheduler,
  serviceAddress,
} from "./programs.ts";

export interface ClusterOptions {
  readonly programs: ClusterPrograms;
  /** @default one spot node with a T4 in each zone of Paris */
  readonly nodes?: readonly NodeArgs[];
  /** The cluster's folder is made in here. @default the system's folder for temporary files */
  readonly parent?: string;
}

export interface RunningCluster {
  readonly folder: string;
  /** `https://127.0.0.1:PORT` */
  readonly url: string;
  /** PEM file of the authority that signed the API server's certificate. */
  readonly caFile: string;
  /** Of the administrator; 0600. */
  readonly kubeconfigFile: string;
  /** As the administrator. */
  readonly api: KubeApi;
  /** Process ids by program. */
  readonly pids: () => Readonly<Record<string, number>>;
  /** Ends every process and removes the folder. */
  readonly close: () => Promise<void>;
}

const parisSpot: readonly NodeArgs[] = ["a", "b", "c"].map((letter) => ({
  name: `spot-${letter}`,
  zone: `eu-west-3${letter}`,
  capacity: "spot",
}));

/** A port that was free when it was looked for may be another's a moment later. */
const mostTries = 3;

/**
 * Starts a control plane and its nodes, and waits until Pods can be created and placed: 4 s of processor time, 450 MB.
 * @throws Error with the end of a program's log when it ends, or when the API server is not ready within a minute
 */
export async function startCluster(options: ClusterOptions): Promise<RunningCluster> {
  const impossible = clusterImpossible();
  if (impossible !== undefined) throw new Error(impossible);
  for (let tries = 1; ; tries++) {
    try {
      return await start(options);
    } catch (error) {
      if (tries === mostTries || !/address already in use/.test(String(error))) throw error;
    }
  }
}

async function start({ programs, nodes = parisSpot, parent = tmpdir() }: ClusterOptions): Promise<RunningCluster> {
  const folder = mkdtempSync(join(parent, "hive-cluster-"));
  const children = new Children(folder);
  let api: KubeApi | undefined;
  const close = async (): Promise<void> => {
    api?.close();
    await children.close();
  };
  try {
    const ports = { etcd: await freePort(), peer: await freePort(), api: await freePort() };
    const url = `https://127.0.0.1:${String(ports.api)}`;
    const credentials = await makeCredentials(join(folder, "certificates"), serviceAddress);
    const kubeconfigs = writeKubeconfigs(folder, url, credentials);
    const layout: Layout = { folder, ports, credentials, kubeconfigs };
    api = new KubeApi(url, credentials.ca, credentials.tokens.admin);
    children.start(etcd(programs, layout));
    children.start(apiServer(programs, layout));
    await orFault(children, ready(api));
    for (const program of [controllerManager, scheduler, kwok]) children.start(program(programs, layout));
    await orFault(children, usable(api, nodes));
    return {
      ...{ folder, url, api, close, caFile: credentials.caFile, kubeconfigFile: kubeconfigs.admin },
      pids: () => children.pids,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function writeKubeconfigs(folder: string, url: string, { ca, tokens }: Credentials): Readonly<Record<User, string>> {
  const write = (user: User): string => {
    const file = join(folder, `${user}.kubeconfig`);
    writeFileSync(file, kubeconfig(url, ca, tokens[user]), { mode: 0o600 });
    return file;
  };
  return {
    admin: write("admin"),
    "controller-manager": write("controller-manager"),
    scheduler: write("scheduler"),
    kwok: write("kwok"),
  };
}

/** Waits for `work`, or throws when a program ends before it is done. */
async function orFault(children: Children, work: Promise<void>): Promise<void> {
  const fault = await Promise.race([work, children.failure]);
  if (fault !== undefined) throw new Error(fault);
}

/** The API server has its roles and its store. */
async function ready(api: KubeApi): Promise<void> {
  await waitFor("the API server is ready", async () => {
    // Nobody listens yet.
    const answer = await api.call({ method: "GET", path: "/readyz" }).catch(() => undefined);
    return answer?.status === 200 ? true : undefined;
  });
}

/** Nodes take Pods, and Pods may be created: each needs its namespace's service account, which a controller makes. */
async function usable(api: KubeApi, nodes: readonly NodeArgs[]): Promise<void> {
  await Promise.all([
    ...nodes.map((node) => addNode(api, node)),
    waitFor("the default service account is there", async () => {
      try {
        return (await api.get(anything, "/api/v1/namespaces/default/serviceaccounts/default")) ?? true;
      } catch (error) {
        if (error instanceof ApiRefusal && error.status === 404) return undefined;
        throw error;
      }
    }),
  ]);
}
