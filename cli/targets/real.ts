import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { noSettings } from "../agents/store.ts";
import { agentOfStack } from "../args/stacks.ts";
import { CommandFailure } from "../output/failure.ts";
import { projectRoot } from "../setup/paths.ts";
import { realEnvironment } from "./environment.ts";
import type { Target } from "./target.ts";
import { unfinishedSettings } from "./unfinished.ts";
import { readTracked } from "./tracked.ts";

/** The folder of a `file://` backend as the engine reads it (`~` and relative paths too); `undefined` for any other. Pure. */
export function backendFolderOf(url: string | undefined, home: string, workDir: string): string | undefined {
  if (url?.startsWith("file://") !== true) return undefined;
  const path = url.slice("file://".length).replace(/^~(?=\/|$)/, home);
  return resolve(workDir, path);
}

/** The user's own host, backend and settings, in place. */
export function realTarget(stack: string): Target {
  const settings = join(projectRoot, `Pulumi.${stack}.yaml`);
  const agent = agentOfStack(stack);
  if (!existsSync(settings) && agent !== undefined) throw noSettings("real", agent);
  if (!existsSync(settings) && stack === "sentinel")
    throw new CommandFailure(
      `${settings} is missing: it tells where the Sentinel is to be. docs/antigravity.md has one to begin with.`,
    );
  if (!existsSync(settings))
    throw new CommandFailure(
      `${settings} is missing: it tells where your host is. Restore it: git checkout -- Pulumi.${stack}.yaml`,
    );
  const tracked = readTracked(stack);
  const { project } = tracked;
  const faults = unfinishedSettings(stack, tracked, tracked.hasEnvironment);
  if (faults.length > 0)
    throw new CommandFailure(
      `Pulumi.${stack}.yaml is not finished, nothing was contacted (make the stack first if there is none: pulumi stack init ${stack})`,
      { faults },
    );
  return {
    kind: "real",
    project,
    stack,
    workDir: projectRoot,
    env: realEnvironment(process.env),
    backendFolder: backendFolderOf(process.env["PULUMI_BACKEND_URL"], homedir(), projectRoot),
  };
}
