/** The runner as a process of its own: `node runnerChild.ts CONFIG.json PROGRAMS.json`. */
import { readFile } from "node:fs/promises";
import * as z from "zod";
import { checkRunnerConfig } from "../../components/shared/agent/runnerConfig.ts";
import { valueOrThrow } from "../../components/shared/faults.ts";
import { runRunner } from "../../runtime-agent/src/runner/daemon.ts";

const [configFile = "", programsFile = ""] = process.argv.slice(2);
const raw: unknown = JSON.parse(await readFile(configFile, "utf8"));
const programs = z
  .strictObject({ systemctl: z.string(), journalctl: z.string(), boot: z.string().exactOptional() })
  .parse(JSON.parse(await readFile(programsFile, "utf8")));
process.exitCode = await runRunner({ config: valueOrThrow("configuration", checkRunnerConfig(raw)), programs });
