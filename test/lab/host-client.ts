// A small SSH client for the lab's tests.
import ssh2 from "ssh2";
import type { Client, SFTPWrapper } from "ssh2";

export interface Login {
  port: number;
  privateKey: string;
  user?: string;
}

export function login(to: Login): Promise<Client> {
  return new Promise((resolve, reject) => {
    const client = new ssh2.Client();
    client.on("connect", () => client.setNoDelay(true));
    client.on("ready", () => resolve(client));
    client.on("error", reject);
    client.connect({
      host: "127.0.0.1",
      port: to.port,
      username: to.user ?? "root",
      privateKey: to.privateKey,
      readyTimeout: 10_000,
    });
  });
}

export interface Ran {
  code: number | null;
  signal: string | undefined;
  stdout: string;
  stderr: string;
}

export function exec(client: Client, command: string, stdin = ""): Promise<Ran> {
  return new Promise((resolve, reject) => {
    client.exec(command, (error, channel) => {
      if (error !== undefined) return reject(error);
      const ran: Ran = { code: null, signal: undefined, stdout: "", stderr: "" };
      channel.on("data", (chunk: Buffer) => (ran.stdout += chunk.toString()));
      channel.stderr.on("data", (chunk: Buffer) => (ran.stderr += chunk.toString()));
      channel.on("exit", (code: number | null, signal?: string) => {
        ran.code = code;
        ran.signal = signal;
      });
      channel.on("close", () => resolve(ran));
      channel.end(stdin);
    });
  });
}

export async function run(to: Login, command: string, stdin = ""): Promise<Ran> {
  const client = await login(to);
  try {
    return await exec(client, command, stdin);
  } finally {
    client.end();
  }
}

export function openSftp(client: Client): Promise<SFTPWrapper> {
  return new Promise((resolve, reject) => {
    client.sftp((error, channel) => (error === undefined ? resolve(channel) : reject(error)));
  });
}

/** The error's message of an SFTP call, or "ok". */
export function outcome(call: (done: (error?: Error | null) => void) => void): Promise<string> {
  return new Promise((resolve) => call((error) => resolve(error ? error.message : "ok")));
}
