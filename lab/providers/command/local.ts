// local.Command and local.run: a process on this machine.
import { spawn } from "node:child_process";
import { CommandOutput, loggingOf } from "./output.ts";
import type { Finished } from "./output.ts";
import type { Reporter } from "./remote.ts";
import { hasSecret, isObject, plain, secretTexts } from "./wire.ts";
import type { Properties } from "./wire.ts";

/** @throws Error with the exit status or signal and the end of the output. */
export function runLocal(
  inputs: Properties,
  command: unknown,
  previous: Partial<Finished>,
  report: Reporter,
): Promise<Finished> {
  const fields = Object.fromEntries(Object.entries(inputs).map(([key, value]) => [key, plain(value)]));
  const text = String(plain(command));
  const interpreter =
    Array.isArray(fields["interpreter"]) && fields["interpreter"].length > 0
      ? fields["interpreter"].map(String)
      : ["/bin/sh", "-c"];
  const environment: NodeJS.ProcessEnv = { ...process.env };
  for (const [name, value] of Object.entries(isObject(fields["environment"]) ? fields["environment"] : {}))
    environment[name] = String(value);
  if (fields["addPreviousOutputInEnv"] !== false) {
    if (previous.stdout) environment["PULUMI_COMMAND_STDOUT"] = previous.stdout;
    if (previous.stderr) environment["PULUMI_COMMAND_STDERR"] = previous.stderr;
  }
  const output = new CommandOutput({
    logging: loggingOf(fields["logging"]),
    secrets: secretTexts(inputs),
    log: report.line,
  });
  return new Promise((resolve, reject) => {
    const [program = "/bin/sh", ...args] = interpreter;
    const cwd = typeof fields["dir"] === "string" ? fields["dir"] : process.cwd();
    const child = spawn(program, [...args, text], { cwd, env: environment, stdio: ["pipe", "pipe", "pipe"] });
    const take = (stream: "stdout" | "stderr") => (chunk: Buffer) => {
      try {
        output.add(stream, chunk);
      } catch (tooMuch) {
        child.kill("SIGKILL");
        reject(tooMuch instanceof Error ? tooMuch : new Error(String(tooMuch)));
      }
    };
    child.stdout.on("data", take("stdout"));
    child.stderr.on("data", take("stderr"));
    child.stdin.on("error", () => undefined); // the command ended before it read all of its input
    child.stdin.end(typeof fields["stdin"] === "string" ? fields["stdin"] : "");
    child.once("error", (error) => reject(output.failure(error.message, text, hasSecret(command))));
    child.once("close", (code, signal) => {
      const finished = output.finish();
      if (code === 0) return resolve(finished);
      reject(
        output.failure(signal === null ? `exit status ${code ?? "?"}` : `signal ${signal}`, text, hasSecret(command)),
      );
    });
  });
}
