/** A control plane for a suite, Pods and Jobs that run on it, and what a process of it leaves to be seen. */
import assert from "node:assert/strict";
import { readFileSync, readdirSync, readlinkSync } from "node:fs";
import { type ClusterTools, ensureClusterTools } from "../../cli/setup/cluster.ts";
import { ToolchainUnavailable } from "../../cli/setup/errors.ts";
import type { KubeApi } from "../../lab/cluster/api.ts";
import { waitFor } from "../../lab/cluster/nodes.ts";
import { type Pod, podForm, podList } from "../../lab/cluster/objects.ts";
import { clusterImpossible } from "../../lab/cluster/possible.ts";
import { skip } from "../run/skip.ts";

/** The programs, or the test (or suite, in a hook) skipped with why they cannot run here. */
export async function clusterToolsOrSkip(context: Mocha.Context): Promise<ClusterTools> {
  const impossible = clusterImpossible();
  if (impossible !== undefined) return skip(context, impossible);
  try {
    return await ensureClusterTools({ progress: (line) => void process.stderr.write(`[setup] ${line}\n`) });
  } catch (error) {
    if (error instanceof ToolchainUnavailable) return skip(context, error.message);
    throw error;
  }
}

export const pods = "/api/v1/namespaces/default/pods";
export const jobs = "/apis/batch/v1/namespaces/default/jobs";

/** What a Pod runs on nodes whose kubelet runs nothing. */
export function podSpec(more: Record<string, unknown> = {}, gpus = 0): Record<string, unknown> {
  const limits = gpus === 0 ? {} : { "nvidia.com/gpu": String(gpus) };
  return {
    restartPolicy: "Never",
    containers: [{ name: "main", image: "none", resources: { requests: { cpu: "100m" }, limits } }],
    ...more,
  };
}

/** A Job whose Pod ends well after `runsFor`, or never; a lost node does not count as a failure of the Job. */
export function job(name: string, runsFor: string | undefined): Record<string, unknown> {
  const annotations = runsFor === undefined ? {} : { "lab.hive/runs-for": runsFor };
  return {
    ...{ apiVersion: "batch/v1", kind: "Job", metadata: { name } },
    spec: {
      backoffLimit: 0,
      podFailurePolicy: {
        rules: [{ action: "Ignore", onPodConditions: [{ type: "DisruptionTarget", status: "True" }] }],
      },
      template: { metadata: { annotations }, spec: podSpec() },
    },
  };
}

export function isRunning({ status, metadata }: Pod): boolean {
  return status.phase === "Running" && metadata.deletionTimestamp === undefined;
}

export async function runningPod(api: KubeApi, name: string): Promise<Pod> {
  return waitFor(`Pod ${name} runs`, async () => {
    const pod = await api.get(podForm, `${pods}/${name}`);
    return isRunning(pod) ? pod : undefined;
  });
}

/** The running Pod with a label, once there is another one than `before`. */
export async function runningPodOf(api: KubeApi, label: string, before?: Pod): Promise<Pod> {
  return waitFor(`a Pod with ${label} runs`, async () => {
    const { items } = await api.get(podList, `${pods}?labelSelector=${encodeURIComponent(label)}`);
    return items.find((pod) => isRunning(pod) && pod.metadata.uid !== before?.metadata.uid);
  });
}

/** Ids of processes whose command line names `text`. */
export function processesNaming(text: string): number[] {
  return readdirSync("/proc").flatMap((entry) => {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === process.pid) return [];
    try {
      return readFileSync(`/proc/${entry}/cmdline`, "utf8").includes(text) ? [pid] : [];
    } catch {
      return []; // It has gone.
    }
  });
}

/** Local addresses, in /proc's hexadecimal, on which a process listens for TCP. */
export function listeningAddresses(pid: number): string[] {
  const sockets = new Set(
    readdirSync(`/proc/${String(pid)}/fd`).map((entry) => {
      try {
        return readlinkSync(`/proc/${String(pid)}/fd/${entry}`);
      } catch {
        return ""; // It was closed in between.
      }
    }),
  );
  const listening = "0A";
  return ["tcp", "tcp6"].flatMap((table) =>
    readFileSync(`/proc/${String(pid)}/net/${table}`, "utf8")
      .trim()
      .split("\n")
      .slice(1)
      .flatMap((line) => {
        const [, local = "", , state, , , , , , inode = ""] = line.trim().split(/\s+/);
        const [address] = local.split(":");
        assert.ok(address);
        return state === listening && sockets.has(`socket:[${inode}]`) ? [address] : [];
      }),
  );
}
