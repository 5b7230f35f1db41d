import { existsSync } from "node:fs";
import { join } from "node:path";
import { CommandFailure } from "../output/failure.ts";
import { projectRoot } from "../setup/paths.ts";
import { realEnvironment } from "./environment.ts";
import type { Target } from "./target.ts";
import { unfinishedSettings } from "./unfinished.ts";
import { readTracked } from "./tracked.ts";

/** The user's own host, backend and settings, in place. */
export function realTarget(stack: string): Target {
  const settings = join(projectRoot, `Pulumi.${stack}.yaml`);
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
  const backend = process.env["PULUMI_BACKEND_URL"];
  return {
    kind: "real",
    project,
    stack,
    workDir: projectRoot,
    env: realEnvironment(process.env),
    backendFolder: backend?.startsWith("file://") === true ? backend.slice("file://".length) : undefined,
  };
}
