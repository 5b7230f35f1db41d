// The small programs that stand where the engine looks for a plugin.
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Recipe } from "./artifact.ts";
import { recipeKey } from "./hashing.ts";

/** One word for a POSIX shell, whatever it holds. */
export function shellWord(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** `pulumi-resource-command`: the lab's provider in TypeScript, run by our Node. */
export function standInScript(node: string, entry: string): string {
  return ["#!/bin/sh", `exec ${shellWord(node)} ${shellWord(entry)} "$@"`, ""].join("\n");
}

/**
 * `pulumi-analyzer-policy-nodejs`: how an engine without a Node language host starts a policy pack. The engine runs
 * it in the pack's folder with its own address and the folder (pkg/v3 resource/plugin, NewPolicyAnalyzer).
 */
export function analyzerScript(node: string, compileCache?: string): string {
  return [
    "#!/bin/sh",
    // Compiling the SDK anew would double the pack's start.
    ...(compileCache === undefined
      ? []
      : [
          `[ -n "\${NODE_COMPILE_CACHE-}" ] || NODE_COMPILE_CACHE=${shellWord(compileCache)}`,
          "export NODE_COMPILE_CACHE",
        ]),
    `pack=$(${shellWord(node)} -p "require.resolve('@pulumi/pulumi/cmd/run-policy-pack')") || exit 1`,
    `exec ${shellWord(node)} "$pack" "$@"`,
    "",
  ].join("\n");
}

/** The recipe that writes one executable script. */
export async function scriptRecipe(name: string, version: string, file: string, text: string): Promise<Recipe> {
  return {
    name,
    version,
    key: await recipeKey(undefined, [file, text]),
    build: async ({ folder }) => {
      await writeFile(join(folder, "bin", file), text);
      await chmod(join(folder, "bin", file), 0o755);
    },
  };
}
