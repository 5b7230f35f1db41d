// The way to the guest's supervisor, which is started when nobody has needed it yet.
import { spawn } from "node:child_process";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { ToolError } from "./errors.ts";
import { socketPath } from "./init/protocol.ts";
import type { Answer, Request } from "./init/protocol.ts";
import { record, strings } from "./stored.ts";

/** How long a supervisor may take to come up, ms. */
const startMs = 30_000;

export async function ask(request: Request): Promise<Answer> {
  const giveUp = Date.now() + startMs;
  for (let tries = 0; ; tries += 1) {
    const said = await talk(JSON.stringify(request));
    if (said !== undefined) return answerOf(said);
    if (Date.now() > giveUp) throw new ToolError("Failed to connect to bus: the supervisor does not answer", 1);
    if (tries === 0) startSupervisor();
    await sleep(20);
  }
}

function startSupervisor(): void {
  const entry = new URL("./init/main.ts", import.meta.url).pathname;
  // In a session of its own: it outlives the command, and goes with the guest.
  spawn(process.execPath, ["--no-warnings", entry], { detached: true, stdio: "ignore", cwd: "/", env: {} }).unref();
}

/** What the supervisor answers; undefined when there is none. */
function talk(request: string): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath);
    let text = "";
    let connected = false;
    socket.setEncoding("utf8");
    socket.once("connect", () => {
      connected = true;
      socket.write(`${request}\n`);
    });
    socket.on("data", (chunk: string) => (text += chunk));
    socket.once("end", () =>
      text === "" ? reject(new ToolError("Failed to connect to bus: refused", 1)) : resolve(text),
    );
    socket.once("error", (error) => (connected ? reject(new ToolError(error.message, 1)) : resolve(undefined)));
  });
}

function answerOf(text: string): Answer {
  const fields = record(JSON.parse(text));
  const rows = (name: string): unknown[] => (Array.isArray(fields[name]) ? fields[name] : []);
  return {
    failures: rows("failures").map((row) => ({
      unit: String(record(row)["unit"]),
      message: String(record(row)["message"]),
      status: Number(record(row)["status"]),
    })),
    units: rows("units").map(strings),
  };
}
