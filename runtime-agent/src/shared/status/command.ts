import path from "node:path";
import { describeFault } from "../../../../components/shared/faults.ts";
import { realClock } from "../clock.ts";
import { loadRoleConfig } from "../config.ts";
import { callLocalApi } from "../localApi/client.ts";
import { readFileIfPresent } from "../stateFile.ts";
import { renderStatus } from "./render.ts";

export interface StatusOptions {
  /** Of every agent on this machine: they answer one after the other. */
  readonly configs: readonly string[];
  readonly json: boolean;
  readonly watch: boolean;
  /** Runtime folder of the agent; spares reading the configuration. */
  readonly runtime?: string | undefined;
  /** Ends `--watch`. */
  readonly signal?: AbortSignal;
}

const everyMs = 1000;
const home = "\u001b[H\u001b[J";

type Asked = { readonly ok: true; readonly text: string } | { readonly ok: false; readonly reason: string };

async function ask(runtime: string): Promise<Asked> {
  try {
    const token = (await readFileIfPresent(path.join(runtime, "api.token")))?.trim();
    if (token === undefined) return { ok: false, reason: `no agent runs here: ${runtime} holds no api.token` };
    const { status, text } = await callLocalApi({ socket: path.join(runtime, "api.sock"), token, path: "/status" });
    return status === 200 ? { ok: true, text } : { ok: false, reason: `the agent answered ${String(status)}` };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { ok: false, reason: `the agent does not answer: ${reason}` };
  }
}

function shown(asked: Asked, json: boolean): string {
  if (!asked.ok) return `${asked.reason}\n`;
  if (json) return asked.text.endsWith("\n") ? asked.text : `${asked.text}\n`;
  try {
    return renderStatus(JSON.parse(asked.text));
  } catch {
    return "the agent's answer is not JSON\n";
  }
}

/** Where the agents have their sockets; undefined, with the faults told, where a configuration cannot be read. */
async function runtimeFolders(options: StatusOptions): Promise<readonly string[] | undefined> {
  if (options.runtime !== undefined) return [options.runtime];
  const folders: string[] = [];
  let faults = 0;
  for (const file of options.configs) {
    const config = await loadRoleConfig(file);
    if (config.ok) folders.push(config.value.config.paths.runtime);
    else for (const fault of config.faults) process.stderr.write(`${describeFault(fault)}\n`);
    if (!config.ok) faults += 1;
  }
  return faults === 0 ? folders : undefined;
}

/** `hive-agent status`: 0 when every agent answered, 1 when not, 78 when a configuration cannot be read. */
export async function runStatus(options: StatusOptions): Promise<number> {
  const runtimes = await runtimeFolders(options);
  if (runtimes === undefined) return 78;
  const clock = realClock();
  for (;;) {
    const answers = await Promise.all(runtimes.map(ask));
    if (!options.watch) {
      for (const asked of answers) (asked.ok ? process.stdout : process.stderr).write(shown(asked, options.json));
      return answers.every(({ ok }) => ok) ? 0 : 1;
    }
    const text = answers.map((asked) => shown(asked, options.json)).join(options.json ? "" : "\n");
    // A terminal is redrawn; a pipe gets one document after the other.
    process.stdout.write(process.stdout.isTTY && !options.json ? `${home}${new Date().toISOString()}\n${text}` : text);
    await clock.sleep(everyMs, options.signal);
    if (options.signal?.aborted === true) return 0;
  }
}
