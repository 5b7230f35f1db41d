/** The runner with stand-ins for systemd as one file: a campaign runs what was there when it began, and starts fast. */
import { dirname, join } from "node:path";
import { build } from "esbuild";

/** Builds it beside the agent's bundle, with which it goes again. Gives its file. */
export async function buildJobRunner(bundleFile: string): Promise<string> {
  const outfile = join(dirname(bundleFile), "runner-child.mjs");
  await build({
    entryPoints: [join(import.meta.dirname, "../../agent/runnerChild.ts")],
    ...{ outfile, bundle: true, platform: "node", format: "esm", target: "node24", logLevel: "silent" },
    // They stay beside it, as in the release.
    packages: "external",
  });
  return outfile;
}
