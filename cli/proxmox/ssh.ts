import ssh2 from "ssh2";
import type { HostConnection } from "../targets/target.ts";

export interface SshResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs one command on the host. @throws Error when it cannot connect, or the host's key is not the expected one */
export async function sshRun(ssh: HostConnection["ssh"], command: string, timeoutSec = 20): Promise<SshResult> {
  const client = new ssh2.Client();
  const expected = ssh.hostKey?.trim().split(/\s+/)[1];
  try {
    await new Promise<void>((done, fail) => {
      client.on("ready", () => {
        done();
      });
      client.on("error", fail);
      client.connect({
        host: ssh.host,
        port: ssh.port,
        username: ssh.user,
        privateKey: ssh.privateKey,
        readyTimeout: timeoutSec * 1000,
        ...(expected === undefined ? {} : { hostVerifier: (key: Buffer) => key.toString("base64") === expected }),
      });
    });
    return await new Promise<SshResult>((done, fail) => {
      const timer = setTimeout(() => {
        fail(new Error(`no answer to "${command}" within ${String(timeoutSec)} s`));
      }, timeoutSec * 1000);
      client.exec(command, (error, channel) => {
        if (error) {
          clearTimeout(timer);
          fail(error);
          return;
        }
        let stdout = "";
        let stderr = "";
        channel.on("data", (data: Buffer) => (stdout += data.toString("utf8")));
        channel.stderr.on("data", (data: Buffer) => (stderr += data.toString("utf8")));
        channel.on("close", (code: number | null) => {
          clearTimeout(timer);
          done({ code: code ?? 255, stdout, stderr });
        });
      });
    });
  } finally {
    client.end();
  }
}
