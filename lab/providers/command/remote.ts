// remote.Command: one SSH connection, one command; environment by SSH's own request, as the published provider does it.
import type { Client } from "ssh2";
import { connect, targetOf } from "./connection.ts";
import { CommandOutput, loggingOf } from "./output.ts";
import type { Finished } from "./output.ts";
import { hasSecret, isObject, plain, secretTexts } from "./wire.ts";
import type { Properties } from "./wire.ts";

declare module "ssh2" {
  interface Client {
    /** Sets environment variables of the channel first, and reports a server that refuses one. */
    sftp(environment: Record<string, string>, callback: ClientSFTPCallback): this;
  }
}

export interface Reporter {
  line: (message: string) => void;
  status: (message: string) => void;
  warn: (message: string) => void;
}

/**
 * Runs `command` on the connection of `inputs`. `previous` are the outputs of the run before.
 * @throws Error with the exit status or signal and the end of the output.
 */
export async function runRemote(
  inputs: Properties,
  command: unknown,
  previous: Partial<Finished>,
  report: Reporter,
): Promise<Finished> {
  const fields = Object.fromEntries(Object.entries(inputs).map(([key, value]) => [key, plain(value)]));
  const text = String(plain(command));
  const connected = await connect(targetOf(fields["connection"]), report.status);
  try {
    const environment: Record<string, string> = {};
    for (const [name, value] of Object.entries(isObject(fields["environment"]) ? fields["environment"] : {})) {
      if (!(await accepts(connected.client, name, String(value)))) {
        throw new Error(
          `could not set environment variable "${name}": the SSH server does not list it in AcceptEnv. Write 'export ${name}=…' into stdin or the command instead`,
        );
      }
      environment[name] = String(value);
    }
    if (fields["addPreviousOutputInEnv"] !== false) {
      for (const [name, value] of [
        ["PULUMI_COMMAND_STDOUT", previous.stdout],
        ["PULUMI_COMMAND_STDERR", previous.stderr],
      ] as const) {
        if (value === undefined || value === "") continue;
        if (await accepts(connected.client, name, value)) environment[name] = value;
        else report.warn(`Unable to set '${name}': the SSH server does not list it in AcceptEnv`);
      }
    }
    const output = new CommandOutput({
      logging: loggingOf(fields["logging"]),
      secrets: secretTexts(inputs),
      log: report.line,
    });
    const stdin = typeof fields["stdin"] === "string" ? fields["stdin"] : "";
    const how = await execute(connected.client, text, environment, stdin, output);
    const finished = output.finish();
    if (how !== undefined) throw output.failure(how, text, hasSecret(command));
    return finished;
  } finally {
    connected.close();
  }
}

/** Asks on a channel of its own: the reply to an exec's environment request cannot be seen through the client library. */
function accepts(client: Client, name: string, value: string): Promise<boolean> {
  return new Promise((resolve) => {
    client.sftp({ [name]: value }, (error, channel) => {
      if (error === undefined) channel.end();
      resolve(error === undefined || !/set environment/.test(error.message));
    });
  });
}

function execute(
  client: Client,
  command: string,
  environment: Record<string, string>,
  stdin: string,
  output: CommandOutput,
): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    client.once("close", () => reject(new Error("the connection was lost while the command ran")));
    client.exec(command, { env: environment }, (error, channel) => {
      if (error !== undefined) return reject(error);
      const take = (stream: "stdout" | "stderr") => (chunk: Buffer) => {
        try {
          output.add(stream, chunk);
        } catch (tooMuch) {
          reject(tooMuch instanceof Error ? tooMuch : new Error(String(tooMuch)));
          client.destroy();
        }
      };
      channel.on("data", take("stdout"));
      channel.stderr.on("data", take("stderr"));
      let outcome: string | undefined = "the connection ended without an exit status";
      channel.on("exit", (code: number | null, signal?: string) => {
        outcome =
          code === 0
            ? undefined
            : code === null
              ? `Process exited from signal ${signal ?? "?"}`
              : `Process exited with status ${code}`;
      });
      channel.on("close", () => resolve(outcome));
      channel.on("error", () => undefined); // the command ended before it read all of its input
      channel.end(stdin);
    });
  });
}
