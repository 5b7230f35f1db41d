// The lab as a process: node lab/main.ts --state-dir DIR [--fixture fresh|occupied] [--json]
import { parseArgs } from "node:util";
import { readRules } from "./control.ts";
import { LabAlreadyRunning, startLab } from "./index.ts";
import type { LabOptions } from "./index.ts";

const usage =
  "usage: node lab/main.ts --state-dir DIR [--fixture fresh|occupied] [--task-delay-ms N] [--api-port N] [--ssh-port N] [--page-port N] [--aws-port N] [--aws-delay-ms N] [--uplink JSON] [--record-traffic] [--json]";

function readOptions(): LabOptions & { json: boolean } {
  const { values } = parseArgs({
    options: {
      "state-dir": { type: "string" },
      fixture: { type: "string" },
      "task-delay-ms": { type: "string" },
      "api-port": { type: "string" },
      "ssh-port": { type: "string" },
      "page-port": { type: "string" },
      "aws-port": { type: "string" },
      "aws-delay-ms": { type: "string" },
      uplink: { type: "string" },
      "record-traffic": { type: "boolean", default: false },
      json: { type: "boolean", default: false },
    },
  });
  const stateDir = values["state-dir"];
  if (stateDir === undefined) throw new Error("--state-dir is required");
  const fixture = values.fixture;
  if (fixture !== undefined && fixture !== "fresh" && fixture !== "occupied")
    throw new Error(`--fixture ${fixture}: fresh or occupied`);
  const number = (
    flag: "task-delay-ms" | "api-port" | "ssh-port" | "page-port" | "aws-port" | "aws-delay-ms",
    limit: number,
  ): number | undefined => {
    const text = values[flag];
    if (text === undefined) return undefined;
    if (!/^\d+$/.test(text) || Number(text) > limit)
      throw new Error(`--${flag} ${text}: a whole number from 0 to ${limit}`);
    return Number(text);
  };
  const [taskDelayMs, awsDelayMs] = [number("task-delay-ms", 600_000), number("aws-delay-ms", 600_000)];
  const [apiPort, sshPort] = [number("api-port", 65_535), number("ssh-port", 65_535)];
  const [pagePort, awsPort] = [number("page-port", 65_535), number("aws-port", 65_535)];
  return {
    stateDir,
    json: values.json,
    recordTraffic: values["record-traffic"],
    ...(fixture === undefined ? {} : { fixture }),
    ...(taskDelayMs === undefined ? {} : { taskDelayMs }),
    ...(apiPort === undefined ? {} : { apiPort }),
    ...(sshPort === undefined ? {} : { sshPort }),
    ...(pagePort === undefined ? {} : { pagePort }),
    ...(awsPort === undefined ? {} : { awsPort }),
    ...(awsDelayMs === undefined ? {} : { awsDelayMs }),
    ...(values.uplink === undefined ? {} : { uplink: readRules(JSON.parse(values.uplink)) }),
  };
}

function fail(message: string, status: number): never {
  process.stderr.write(`${message}\n`);
  process.exit(status);
}

let options: ReturnType<typeof readOptions>;
try {
  options = readOptions();
} catch (error) {
  fail(`${error instanceof Error ? error.message : String(error)}\n${usage}`, 2);
}
try {
  const lab = await startLab(options);
  const stop = (): void => {
    void lab.close().finally(() => process.exit(0));
    setTimeout(() => process.exit(1), 8000).unref();
  };
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
  const info = lab.info();
  if (options.json) process.stdout.write(`${JSON.stringify(info)}\n`);
  else {
    process.stdout.write(`Proxmox API  ${info.apiUrl}\nPage         ${info.pageUrl}\nAWS          ${info.aws.url}\n`);
    process.stdout.write(
      `SSH          ssh -i ${info.ssh.privateKeyFile} -p ${info.ssh.port} ${info.ssh.user}@${info.ssh.host}\n`,
    );
    if (info.limitation !== undefined) process.stdout.write(`Limitation   ${info.limitation}\n`);
  }
} catch (error) {
  fail(error instanceof Error ? error.message : String(error), error instanceof LabAlreadyRunning ? 3 : 1);
}
