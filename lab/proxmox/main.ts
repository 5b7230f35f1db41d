/** Runs the server as a process of its own; stops on SIGTERM, SIGINT or when standard input closes with `--with-parent`. */
import { parseArgs } from "node:util";
import { type FixtureName, startProxmox } from "./index.ts";

const { values } = parseArgs({
  options: {
    "state-dir": { type: "string" },
    fixture: { type: "string", default: "fresh" },
    port: { type: "string", default: "0" },
    "task-delay-ms": { type: "string", default: "50" },
    "record-traffic": { type: "boolean", default: false },
    "with-parent": { type: "boolean", default: false },
  },
});

function toFixture(text: string): FixtureName {
  if (text === "fresh" || text === "occupied") return text;
  throw new Error(`--fixture is "fresh" or "occupied", not "${text}"`);
}

const stateDir = values["state-dir"];
if (stateDir === undefined) throw new Error("--state-dir DIR is needed: where the lab keeps its state");
const running = await startProxmox({
  stateDir,
  fixture: toFixture(values.fixture),
  port: Number(values.port),
  taskDelayMs: Number(values["task-delay-ms"]),
  recordTraffic: values["record-traffic"],
});
const { close, ...facts } = running;
process.stdout.write(`${JSON.stringify({ ...facts, pid: process.pid })}\n`);
const stop = (): void => {
  void close().then(() => process.exit(0));
};
process.on("SIGTERM", stop);
process.on("SIGINT", stop);
if (values["with-parent"]) process.stdin.resume().on("end", stop);
