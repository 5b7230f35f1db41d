/** Entry of the command line: reads the arguments, then loads the one command that is asked for. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { renderHelp } from "./args/help.ts";
import { type Invocation, parseCommandLine } from "./args/parse.ts";

/** A command ends with its exit status. */
type Command = (invocation: Invocation) => Promise<number>;

const loaders: Readonly<Record<string, () => Promise<Command>>> = {
  start: async () => (await import("./commands/start.ts")).start,
  lab: async () => (await import("./commands/lab.ts")).lab,
  preview: async () => (await import("./commands/preview.ts")).preview,
  up: async () => (await import("./commands/up.ts")).up,
  destroy: async () => (await import("./commands/destroy.ts")).destroy,
  adopt: async () => (await import("./commands/adopt.ts")).adopt,
  repair: async () => (await import("./commands/repair.ts")).repair,
  review: async () => (await import("./commands/review.ts")).review,
  doctor: async () => (await import("./commands/doctor.ts")).doctor,
  outputs: async () => (await import("./commands/outputs.ts")).outputs,
  "agent new": async () => (await import("./commands/agent/new.ts")).newAgent,
  "agent list": async () => (await import("./commands/agent/list.ts")).list,
  "agent signal": async () => (await import("./commands/agent/signal.ts")).signal,
  "agent logs": async () => (await import("./commands/agent/logs.ts")).logs,
  "agent dead-letters": async () => (await import("./commands/agent/deadLetters.ts")).deadLetters,
  "agent renew": async () => (await import("./commands/agent/renew.ts")).renew,
  "agent resize": async () => (await import("./commands/agent/resize.ts")).resize,
  "agent destroy": async () => (await import("./commands/agent/destroy.ts")).destroyAgent,
};

/** Starting points of commands that take long: said before anything heavy is loaded. */
const firstWords: Readonly<Record<string, string>> = {
  start: "hive start: setting up the engine, the lab and genesis",
  preview: "hive preview: asking the engine what would change",
  up: "hive up: bringing the stack up",
  destroy: "hive destroy: looking at what there is",
  review: "hive review: previewing with policies",
  "agent new": "hive agent new: checking what was asked for",
  "agent resize": "hive agent resize: asking the Sentinel",
  "agent destroy": "hive agent destroy: looking at what there is",
};

async function main(): Promise<number> {
  const parsed = parseCommandLine(process.argv.slice(2));
  switch (parsed.kind) {
    case "help":
      process.stdout.write(renderHelp(parsed.command));
      return 0;
    case "version": {
      const manifest: unknown = JSON.parse(readFileSync(join(import.meta.dirname, "..", "package.json"), "utf8"));
      const version =
        typeof manifest === "object" && manifest !== null && "version" in manifest ? manifest.version : "";
      process.stdout.write(`${String(version)}\n`);
      return 0;
    }
    case "usage":
      process.stderr.write(`${parsed.problems.map((problem) => `hive: ${problem}`).join("\n")}\n`);
      if (process.argv.includes("--json"))
        process.stdout.write(
          `${JSON.stringify({ command: parsed.command ?? null, result: "failed", message: parsed.problems.join("; ") })}\n`,
        );
      process.stderr.write(`Run: hive ${parsed.command === undefined ? "" : `${parsed.command} `}--help\n`);
      return 2;
    case "run": {
      const { invocation } = parsed;
      const first = firstWords[invocation.command];
      if (first !== undefined) process.stderr.write(`${first} (target ${invocation.target})\n`);
      const load = loaders[invocation.command];
      if (load === undefined) return 2;
      try {
        if (invocation.target === "real") (await import("./output/terminal.ts")).speakFor("real");
        const command = await load();
        return await command(invocation);
      } catch (error) {
        const { reportFailure } = await import("./output/failure.ts");
        return reportFailure(invocation, error);
      }
    }
  }
}

process.exitCode = await main();
