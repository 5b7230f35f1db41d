import ssh2 from "ssh2";
import { exchange, type SentinelLine, SentinelUnreachable } from "./line.ts";

/** The Sentinel's server, as an administrator reaches it. */
export interface SentinelServer {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly privateKey: string;
  /** Its public host key, `ssh-ed25519 AAAA…`: a server that shows another one is refused. */
  readonly hostKey: string;
}

/** Folder of socket and token there, as the role's own configuration has it. */
const runtime = "/run/hive-agent/sentinel";
const connectMs = 15_000;
/** A token is 64 characters and a line's end; whatever else there is, no more of it is read. */
const mostTokenLength = 1024;

/**
 * A line to a Sentinel's socket through SSH: the server opens no port for it (OpenSSH's
 * `direct-streamlocal@openssh.com`, PROTOCOL section 2.4).
 * @throws SentinelUnreachable when the server does not let us in, or is not the one that it was
 */
export async function openSshLine(server: SentinelServer, folder: string = runtime): Promise<SentinelLine> {
  const where = `${server.user}@${server.host}:${String(server.port)}`;
  const client = await connected(server, where);
  try {
    const token = (await tokenOf(client, `${folder}/api.token`, server.user)).trim();
    const open = (): Promise<ssh2.ClientChannel> =>
      new Promise((done, fail) => {
        client.openssh_forwardOutStreamLocal(`${folder}/api.sock`, (error, channel) => {
          if (error) fail(error);
          else done(channel);
        });
      });
    return {
      call: async (call) => {
        try {
          return await exchange({ open }, token, call);
        } catch (error) {
          throw unreachable(`the Sentinel on ${where} does not answer: ${messageOf(error)}`);
        }
      },
      close: () => {
        client.end();
      },
    };
  } catch (error) {
    client.end();
    throw error;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function unreachable(why: string): SentinelUnreachable {
  return new SentinelUnreachable(`${why}. Run: hive doctor`);
}

async function connected(server: SentinelServer, where: string): Promise<ssh2.Client> {
  const { host, port, user, privateKey, hostKey } = server;
  const expected = hostKey.trim().split(/\s+/)[1] ?? "";
  const client = new ssh2.Client();
  let shown: string | undefined;
  try {
    await new Promise<void>((done, fail) => {
      client.once("ready", () => {
        done();
      });
      client.once("error", fail);
      client.connect({
        ...{ host, port, username: user, privateKey, readyTimeout: connectMs },
        hostVerifier: (key: Buffer) => {
          shown = key.toString("base64");
          return shown === expected;
        },
      });
    });
  } catch (error) {
    client.end();
    if (shown !== undefined && shown !== expected)
      throw unreachable(`${where} shows another host key than the stack's: it is not the Sentinel, or was made anew`);
    throw unreachable(`no SSH to ${where}: ${messageOf(error)}`);
  }
  // Without a listener a connection that breaks later would end the process.
  client.on("error", () => undefined);
  return client;
}

/** The administrator's token: a file of root's. */
function tokenOf(client: ssh2.Client, file: string, user: string): Promise<string> {
  const command = `${user === "root" ? "" : "sudo -n "}cat ${file}`;
  return new Promise((done, fail) => {
    client.exec(command, (error, channel) => {
      if (error) {
        fail(unreachable(`its server runs no command: ${error.message}`));
        return;
      }
      let stdout = "";
      channel.on("data", (data: Buffer) => {
        stdout += data.toString("utf8");
        if (stdout.length <= mostTokenLength) return;
        fail(unreachable(`${file} there is no token: above ${String(mostTokenLength)} characters`));
        channel.destroy();
      });
      channel.stderr.resume();
      channel.on("close", (code: number | null) => {
        if (code === 0 && stdout.trim() !== "") done(stdout);
        else fail(unreachable(`${file} cannot be read there; is the role running?`));
      });
    });
  });
}
