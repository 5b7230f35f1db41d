// The programs of a control plane and their arguments.
import { join } from "node:path";
import type { Program } from "./children.ts";
import type { Credentials, User } from "./credentials.ts";

/** Where the programs are: `cli/setup/cluster.ts` builds them. */
export interface ClusterPrograms {
  /** Etcd, kube-apiserver, kube-controller-manager or kube-scheduler, by its first argument. */
  readonly controlPlane: string;
  readonly kwok: string;
  /** Folder of the stages that kwok ships. */
  readonly stages: string;
}

export interface Layout {
  readonly folder: string;
  readonly ports: { readonly etcd: number; readonly peer: number; readonly api: number };
  readonly credentials: Credentials;
  readonly kubeconfigs: Readonly<Record<User, string>>;
}

/** Addresses of Services; nothing routes them here. */
const serviceRange = "10.96.0.0/16";
/** The first of them is the API server's. */
export const serviceAddress = "10.96.0.1";
/** Requests a second that the controllers may send: a cluster of thousands of Pods must not take minutes to settle. */
const requestsPerSecond = 500;
const clientRates = [
  `--kube-api-qps=${String(requestsPerSecond)}`,
  `--kube-api-burst=${String(2 * requestsPerSecond)}`,
];

export function etcd(programs: ClusterPrograms, { folder, ports, credentials }: Layout): Program {
  const [client, peer] = [`https://127.0.0.1:${String(ports.etcd)}`, `https://127.0.0.1:${String(ports.peer)}`];
  const { caFile, certFile, keyFile } = credentials;
  return {
    name: "etcd",
    file: programs.controlPlane,
    args: [
      "etcd",
      "--name=hive",
      `--data-dir=${join(folder, "etcd")}`,
      `--listen-client-urls=${client}`,
      `--advertise-client-urls=${client}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=hive=${peer}`,
      // Whoever is on this machine may connect, and only the API server has the key.
      ...["", "peer-"].flatMap((of) => [
        `--${of}client-cert-auth`,
        `--${of}trusted-ca-file=${caFile}`,
        `--${of}cert-file=${certFile}`,
        `--${of}key-file=${keyFile}`,
      ]),
      // Nothing in here outlives the process.
      "--unsafe-no-fsync",
      "--log-level=warn",
    ],
  };
}

export function apiServer(programs: ClusterPrograms, { ports, credentials, folder }: Layout): Program {
  const { caFile, certFile, keyFile } = credentials;
  return {
    name: "kube-apiserver",
    file: programs.controlPlane,
    args: [
      "kube-apiserver",
      "--bind-address=127.0.0.1",
      `--secure-port=${String(ports.api)}`,
      `--cert-dir=${join(folder, "certificates")}`,
      `--tls-cert-file=${certFile}`,
      `--tls-private-key-file=${keyFile}`,
      `--etcd-servers=https://127.0.0.1:${String(ports.etcd)}`,
      `--etcd-cafile=${caFile}`,
      `--etcd-certfile=${certFile}`,
      `--etcd-keyfile=${keyFile}`,
      `--token-auth-file=${credentials.tokenFile}`,
      "--authorization-mode=Node,RBAC",
      "--service-account-issuer=https://kubernetes.default.svc",
      `--service-account-key-file=${credentials.serviceAccountPublicFile}`,
      `--service-account-signing-key-file=${credentials.serviceAccountKeyFile}`,
      `--service-cluster-ip-range=${serviceRange}`,
      // Without them it looks for an address and a route of this machine, and takes loopback for neither (TEST-NET-1).
      "--endpoint-reconciler-type=none",
      "--advertise-address=192.0.2.1",
      // It shares two cores with its clients: its queues would measure those.
      "--enable-priority-and-fairness=false",
      "--profiling=false",
    ],
  };
}

export function controllerManager(programs: ClusterPrograms, { credentials, kubeconfigs }: Layout): Program {
  return {
    name: "kube-controller-manager",
    file: programs.controlPlane,
    args: [
      "kube-controller-manager",
      `--kubeconfig=${kubeconfigs["controller-manager"]}`,
      "--secure-port=0",
      "--leader-elect=false",
      "--use-service-account-credentials",
      `--service-account-private-key-file=${credentials.serviceAccountKeyFile}`,
      `--root-ca-file=${credentials.caFile}`,
      ...clientRates,
    ],
  };
}

export function scheduler(programs: ClusterPrograms, { kubeconfigs }: Layout): Program {
  return {
    name: "kube-scheduler",
    file: programs.controlPlane,
    args: [
      "kube-scheduler",
      `--kubeconfig=${kubeconfigs.scheduler}`,
      "--secure-port=0",
      "--leader-elect=false",
      ...clientRates,
    ],
  };
}

/** Of those that kwok ships; the others are in `stages`. */
const kwokStages = ["node-initialize", "node-heartbeat-with-lease", "pod-ready"];

export function kwok(programs: ClusterPrograms, { kubeconfigs }: Layout): Program {
  const stages = [
    ...kwokStages.map((name) => join(programs.stages, `${name}.yaml`)),
    join(import.meta.dirname, "stages", "pod-end.yaml"),
  ];
  return {
    name: "kwok",
    file: programs.kwok,
    args: [
      `--kubeconfig=${kubeconfigs.kwok}`,
      "--manage-all-nodes=true",
      "--node-lease-duration-seconds=40",
      ...stages.map((file) => `--config=${file}`),
    ],
  };
}
