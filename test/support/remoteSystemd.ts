/**
 * A `systemctl` and a `journalctl` that ask a guest's systemd, for a runner that is not in the guest: there its Node would
 * take longer to start than all else together. With each call the run's files go to where the guest's unit expects them,
 * and the counts of its slice's memory come back, so that the runner reads both as on one machine.
 */
import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import * as z from "zod";
import { heavyAgentPaths } from "../../components/shared/vps/heavyAgent.ts";
import type { Microvm } from "./microvm.ts";

export interface RemoteSystemd {
  readonly systemctl: string;
  readonly journalctl: string;
  /** The runner's folders on this machine. */
  readonly run: string;
  readonly state: string;
  readonly cgroup: string;
  close(): Promise<void>;
}

const slice = "/sys/fs/cgroup/heavy.slice/heavy-agent.slice";
const kept = ["memory.events", "memory.pressure"] as const;
/** How long a look at a unit holds, ms. */
const lookMs = 2000;
/** Stands between the parts of an answer. */
const mark = "--8<--";

/** Says its arguments to the socket as one line of JSON, and does as the one line back says. */
const client = (socket: string, program: string): string => `#!${process.execPath}
const asked = require("node:net").connect(${JSON.stringify(socket)});
let text = "";
asked.on("data", (part) => (text += part)).on("end", () => {
  const { status, stdout, stderr } = JSON.parse(text);
  process.stderr.write(stderr);
  process.stdout.write(stdout, () => process.exit(status));
});
asked.on("error", (error) => (console.error(error.message), process.exit(1)));
asked.write(JSON.stringify([${JSON.stringify(program)}, ...process.argv.slice(2)]) + "\\n");
`;

const words = z.array(z.string());
const quoted = (word: string): string => `'${word.replaceAll("'", String.raw`'\''`)}'`;

/** @param folder of this machine, empty */
export async function remoteSystemd(guest: Microvm, name: string, folder: string): Promise<RemoteSystemd> {
  const of = (path: string): string => path.replace("%i", name);
  const [run, state, cgroup] = ["run", "state", "cgroup"].map((part) => join(folder, part));
  if (run === undefined || state === undefined || cgroup === undefined) throw new Error("three folders");
  for (const path of [run, state, cgroup]) mkdirSync(path, { recursive: true });
  const guestRun = of(heavyAgentPaths.run).replace(/\/run\.env$/, "");
  const guestState = of(heavyAgentPaths.state);

  async function sendFiles(): Promise<void> {
    for (const file of ["payload.json", "run.env"]) {
      const text = readFileSync(join(run ?? "", file), "utf8");
      const there = text.replaceAll(`${run ?? ""}/`, `${guestRun}/`).replaceAll(`${state ?? ""}/`, `${guestState}/`);
      await guest.ssh(`install -D -m 644 /dev/stdin '${guestRun}/${file}'`, there);
    }
  }

  interface Answer {
    readonly status: number;
    readonly stdout: string;
    readonly stderr: string;
  }
  async function carryOut(line: string): Promise<Answer> {
    const [program = "", ...args] = words.parse(JSON.parse(line));
    if (args[0] === "start") await sendFiles();
    const command = [program, ...args].map(quoted).join(" ");
    const counts = kept.map((file) => `echo '${mark}'; cat ${slice}/${file} 2>/dev/null`).join("; ");
    const ran = await guest.ssh(`${command}; status=$?; ${counts}; exit $status`);
    const [stdout = "", ...texts] = ran.stdout.split(`${mark}\n`);
    kept.forEach((file, index) => {
      const path = join(cgroup ?? "", file);
      writeFileSync(`${path}.new`, texts[index] ?? "");
      renameSync(`${path}.new`, path);
    });
    return { status: ran.status ?? 1, stdout, stderr: ran.stderr };
  }

  const looks = new Map<string, Promise<Answer>>();
  /** Between two looks something of the guest's one CPU must be left to its agent: a look holds for a while. */
  async function ask(line: string): Promise<Answer> {
    if (words.parse(JSON.parse(line))[1] !== "show") {
      looks.clear();
      return carryOut(line).finally(() => looks.clear());
    }
    const look = looks.get(line) ?? carryOut(line);
    if (!looks.has(line)) {
      looks.set(line, look);
      const forget = (): void => void (looks.get(line) === look && looks.delete(line));
      look.then(() => setTimeout(forget, lookMs).unref(), forget);
    }
    return look;
  }

  const socket = join(folder, "socket");
  const server = createServer((connection) => {
    connection.on("error", () => undefined);
    createInterface({ input: connection }).once("line", (line) => {
      ask(line).then(
        (answer) => connection.end(JSON.stringify(answer)),
        (error: unknown) => connection.end(JSON.stringify({ status: 1, stdout: "", stderr: String(error) })),
      );
    });
  });
  await new Promise<void>((listening) => server.listen(socket, listening));
  // The counts are there before the runner looks.
  await ask(JSON.stringify(["true"]));
  const programs = { systemctl: join(folder, "systemctl"), journalctl: join(folder, "journalctl") };
  for (const [program, path] of Object.entries(programs)) {
    writeFileSync(path, client(socket, program));
    chmodSync(path, 0o755);
  }
  return {
    ...programs,
    run,
    state,
    cgroup,
    close: async () => void (await new Promise((closed) => server.close(closed))),
  };
}
