// The programs of a Kubernetes control plane, for the lab and the tests. They are not part of `ensureToolchain`: nobody
// needs them to use the product, and they take minutes to build.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type Progress, ensureArtifact } from "./artifact.ts";
import { type Environment, cacheRoot } from "./paths.ts";
import { type ClusterPins, readClusterPins } from "./pins.ts";
import { clusterRecipe } from "./recipes.ts";

export interface ClusterTools {
  /** Etcd, kube-apiserver, kube-controller-manager or kube-scheduler, by its first argument. */
  readonly controlPlane: string;
  readonly kwok: string;
  /** Folder of the stages by which kwok plays a kubelet. */
  readonly stages: string;
  readonly helm: string;
  readonly versions: ClusterPins;
}

export interface ClusterToolsOptions {
  /** Takes one line of text for a person. */
  readonly progress: Progress;
  readonly signal?: AbortSignal | undefined;
  /** @default the environment of this process */
  readonly env?: Environment;
}

/**
 * Builds the programs on first use (minutes; 3.4 GB in Go's caches and 2.3 GB of memory), then finds them in the cache.
 * @throws ToolchainUnavailable when this machine has no Go; Error with the compiler's last lines when the build fails.
 */
export async function ensureClusterTools(options: ClusterToolsOptions): Promise<ClusterTools> {
  const cache = cacheRoot(options.env);
  await mkdir(cache, { recursive: true, mode: 0o700 });
  const versions = readClusterPins();
  const { progress, signal } = options;
  const folder = await ensureArtifact(await clusterRecipe(versions), { cache, progress, signal });
  return {
    controlPlane: join(folder, "bin", "control-plane"),
    kwok: join(folder, "bin", "kwok"),
    stages: join(folder, "stages"),
    helm: join(folder, "bin", "helm"),
    versions,
  };
}
