// How each tool is built where nothing official can be fetched. The Go modules are in cli/toolchain.
import { join } from "node:path";
import type { Recipe } from "./artifact.ts";
import { goBuild } from "./go-build.ts";
import { recipeKey } from "./hashing.ts";
import { projectRoot } from "./paths.ts";
import { type ClusterPins, languageHostVersion } from "./pins.ts";

const target = `${process.platform}-${process.arch}`;
const toolchain = join(projectRoot, "cli", "toolchain");

export async function engineRecipe(version: string): Promise<Recipe> {
  const folder = join(toolchain, "engine");
  const stamp = `-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v${version}`;
  const command = ["build", "-v", "-ldflags", stamp];
  return {
    name: "engine",
    version,
    key: await recipeKey(folder, [target, ...command]),
    build: (context) =>
      goBuild(
        {
          what: `engine (pulumi ${version})`,
          folder,
          usually: "3 to 4 minutes",
          command: [
            ...command,
            "-o",
            join(context.folder, "bin", "pulumi"),
            "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
          ],
        },
        context,
      ),
  };
}

export async function proxmoxveRecipe(version: string): Promise<Recipe> {
  const folder = join(toolchain, "proxmoxve");
  return {
    name: "proxmoxve",
    version,
    key: await recipeKey(folder, [target, version]),
    build: (context) =>
      goBuild(
        {
          what: `provider proxmoxve ${version} (the code of bpg/terraform-provider-proxmox)`,
          folder,
          usually: "3 minutes",
          command: ["/bin/sh", join(folder, "build.sh"), join(context.folder, "bin", "pulumi-resource-proxmoxve")],
        },
        context,
      ),
  };
}

export async function languageHostRecipe(): Promise<Recipe> {
  const folder = join(toolchain, "langhost");
  const command = ["build", "-v", "-ldflags", "-s -w"];
  const module = "github.com/pulumi/pulumi/sdk/v3/nodejs/cmd/pulumi-language-nodejs";
  return {
    name: "langhost",
    version: languageHostVersion,
    key: await recipeKey(folder, [target, ...command]),
    build: (context) =>
      goBuild(
        {
          what: `Node language host ${languageHostVersion}, for plain \`pulumi up\``,
          folder,
          usually: "half a minute",
          command: [...command, "-o", join(context.folder, "bin", "pulumi-language-nodejs"), module],
        },
        context,
      ),
  };
}

/** Etcd and Kubernetes' control plane in one binary, kwok with its stages, and helm: all from one go.mod. */
export async function clusterRecipe(pins: ClusterPins): Promise<Recipe> {
  const folder = join(toolchain, "cluster");
  const { kubernetes, kwok, helm } = pins;
  const [major = "", minor = ""] = kubernetes.split(".");
  const stamps = {
    "k8s.io/component-base/version.gitVersion": `v${kubernetes}`,
    "k8s.io/component-base/version.gitMajor": major,
    "k8s.io/component-base/version.gitMinor": minor,
    "helm.sh/helm/v3/internal/version.version": `v${helm}`,
  };
  const flags = ["-s -w", ...Object.entries(stamps).map(([name, value]) => `-X ${name}=${value}`)].join(" ");
  return {
    name: "cluster",
    version: kubernetes,
    key: await recipeKey(folder, [target, flags]),
    build: (context) =>
      goBuild(
        {
          what: `Kubernetes ${kubernetes} with its etcd, kwok ${kwok} and helm ${helm}`,
          folder,
          usually: "6 to 10 minutes",
          downloads: [],
          command: ["/bin/sh", join(folder, "build.sh"), context.folder, flags],
        },
        context,
      ),
  };
}
