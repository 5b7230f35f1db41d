/** One program process: runs stack genesis or the bare program on the Automation API's inline path and tells its times. */
import { pathToFileURL } from "node:url";
import type { Job, JobResult } from "./job.ts";
import { type StateResource, countByType } from "./bareProgram.ts";

type Program = () => Promise<Record<string, unknown>>;

const isProgram = (value: unknown): value is Program => typeof value === "function";

async function programOf(job: Job): Promise<Program> {
  if (job.side === "bare") {
    const module: unknown = await import(pathToFileURL(job.bareFile).href);
    const program = typeof module === "object" && module !== null && "program" in module ? module.program : undefined;
    if (!isProgram(program)) throw new Error(`${job.bareFile} has no program`);
    return program;
  }
  const { genesis } = await import("../../../stacks/genesis.ts");
  return async () => ({ ...(await genesis()) });
}

async function work(job: Job): Promise<JobResult> {
  const program = await programOf(job);
  const loaded = process.uptime();
  const { labTarget } = await import("../../../cli/targets/lab.ts");
  const { describeEngineFault } = await import("../../../cli/engine/progress.ts");
  const { openSession } = await import("../../../cli/engine/session.ts");
  const session = await openSession({
    target: labTarget("genesis", job.lab, job.folder),
    engine: job.engine,
    program,
    policyPacks: [],
  });
  const opened = process.uptime();
  if (job.operation === "prepare") return { seconds: 0, operationSeconds: 0, created: 0, counts: {}, resources: [] };
  const outcome = await session.run(job.operation === "preview" ? "preview" : "up");
  const operationSeconds = process.uptime() - opened;
  if (!outcome.succeeded)
    throw new Error(
      [outcome.message ?? "", ...outcome.progress.errors.map((fault) => describeEngineFault(fault))].join("\n"),
    );
  const { create: created = 0 } = outcome.progress.changes;
  const resources = job.operation === "preview" ? [] : await deployed(session, job.operation === "record");
  return {
    seconds: loaded + operationSeconds,
    operationSeconds,
    created,
    counts: countByType(resources),
    resources: job.operation === "record" ? resources : [],
  };
}

async function deployed(
  session: { engine: (args: readonly string[]) => Promise<{ readonly stdout: string }> },
  showSecrets: boolean,
): Promise<readonly StateResource[]> {
  const args = ["stack", "export", "--stack", "genesis", ...(showSecrets ? ["--show-secrets"] : [])];
  const { deployment } = JSON.parse((await session.engine(args)).stdout) as {
    deployment: { resources?: readonly StateResource[] };
  };
  return deployment.resources ?? [];
}

process.once("message", (job: Job) => {
  work(job).then(
    (result) => process.send?.({ result }, () => process.disconnect()),
    (error: unknown) => {
      process.send?.({ failure: error instanceof Error ? (error.stack ?? error.message) : String(error) }, () =>
        process.exit(1),
      );
    },
  );
});
