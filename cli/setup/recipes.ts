// How each tool is built where nothing official can be fetched. The Go modules are in cli/toolchain.
import { join } from "node:path";
import type { Recipe } from "./artifact.ts";
import { goBuild } from "./go-build.ts";
import { recipeKey } from "./hashing.ts";
import { projectRoot } from "./paths.ts";
import { languageHostVersion } from "./pins.ts";

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
