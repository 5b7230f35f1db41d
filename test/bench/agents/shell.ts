/** Commands on a server by SSH, as the provider of the engine's steps runs them: a connection for each. */
import ssh2 from "ssh2";

export interface Login {
  readonly host: string;
  readonly port: number;
  readonly privateKey: string;
}

/** Longest that one step may take, ms. */
const mostMs = 120_000;

/** Runs a script as root, with `input` on its standard input. @throws Error with what it said when it fails */
export async function runOn(login: Login, script: string, input: string | Buffer = ""): Promise<string> {
  const client = new ssh2.Client();
  try {
    await new Promise<void>((done, fail) => {
      client.once("ready", () => done());
      client.once("error", fail);
      client.connect({ ...login, username: "root", readyTimeout: 15_000 });
    });
    return await new Promise<string>((done, fail) => {
      const late = setTimeout(() => fail(new Error("a step on the server did not end")), mostMs);
      // Gone in the middle of a step, as a server is that is being destroyed.
      client.once("close", () => fail(new Error("the server closed the connection")));
      client.once("error", fail);
      client.exec(script, (error, channel) => {
        if (error) return fail(error);
        let [stdout, stderr] = ["", ""];
        channel.on("data", (data: Buffer) => (stdout += data.toString("utf8")));
        channel.stderr.on("data", (data: Buffer) => (stderr += data.toString("utf8")));
        channel.on("close", (code: number | null) => {
          clearTimeout(late);
          if (code === 0) done(stdout);
          else fail(new Error(`a step ended with ${String(code)}: ${stderr.slice(-600)}`));
        });
        channel.end(input);
      });
    });
  } finally {
    client.on("error", () => undefined);
    client.end();
  }
}
