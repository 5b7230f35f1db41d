import { existsSync } from "node:fs";
import { join } from "node:path";
import { CommandFailure } from "../output/failure.ts";
import { projectRoot } from "../setup/paths.ts";
import { realEnvironment } from "./environment.ts";
import type { Target } from "./target.ts";
import { readTracked } from "./tracked.ts";

/** The user's own host, backend and settings, in place. */
export function realTarget(stack: string): Target {
  const settings = join(projectRoot, `Pulumi.${stack}.yaml`);
  if (!existsSync(settings))
    throw new CommandFailure(
      `${settings} is missing: it tells where your host is. Restore it: git checkout -- Pulumi.${stack}.yaml`,
    );
  const { project } = readTracked(stack);
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
