/**
 * The other transport: `hive-agent signal` on the agent's server, over SSH. What is asked goes in as one JSON line (a
 * signed signal, or the path of a run), the runner's answer comes out as one: `{"status":202,"answer":{…}}`. The command
 * is fixed; of an agent only its name is in it, and a server that we installed runs its own whatever is asked for.
 */
import { timingSafeEqual } from "node:crypto";
import { dnsLabel } from "../../../components/shared/check.ts";
import type { PskAnswer } from "../shared/pskTls.ts";
import type { SshTarget } from "./core/types.ts";
import type { SecondTransport, SshAsked } from "./runnerClient.ts";

const mostAnswerBytes = 1024 * 1024;

/** Whether the key that a server shows is the one that was agreed on, `ssh-ed25519 AAAA…`. */
function isHostKey(shown: Buffer, agreed: string): boolean {
  const wanted = Buffer.from(agreed.split(" ")[1] ?? "", "base64");
  return wanted.length > 0 && wanted.length === shown.length && timingSafeEqual(wanted, shown);
}

function readAnswer(text: string): PskAnswer {
  const parsed: unknown = JSON.parse(text);
  if (typeof parsed === "object" && parsed !== null && "status" in parsed && "answer" in parsed) {
    if (typeof parsed.status === "number") return { status: parsed.status, text: JSON.stringify(parsed.answer) };
  }
  throw new Error("the command's answer is of another form");
}

/** A transport that logs in with this key. ssh2 is loaded when it is first used: most Sentinels never need it. */
export function sshTransport(privateKey: string, deadlineMs: number): SecondTransport {
  return async (target: SshTarget, agent: string, asked: SshAsked) => {
    if (!dnsLabel.test(agent)) throw new RangeError("an agent's name is a DNS label");
    const { default: ssh2 } = await import("ssh2");
    const client = new ssh2.Client();
    try {
      const text = await new Promise<string>((resolve, reject) => {
        const late = setTimeout(
          () => reject(new Error(`no answer by SSH within ${String(deadlineMs)} ms`)),
          deadlineMs,
        );
        const fail = (error: Error): void => {
          clearTimeout(late);
          reject(error);
        };
        client.on("error", fail);
        client.on("close", () => fail(new Error("the SSH connection was closed")));
        client.on("ready", () => {
          client.exec(`hive-agent signal --name ${agent}`, (error, channel) => {
            if (error !== undefined) return fail(error);
            const chunks: Buffer[] = [];
            let size = 0;
            channel.on("data", (chunk: Buffer) => {
              size += chunk.length;
              if (size > mostAnswerBytes) return fail(new Error("the answer is above 1 MiB"));
              chunks.push(chunk);
            });
            channel.stderr.resume();
            channel.on("close", () => {
              clearTimeout(late);
              resolve(Buffer.concat(chunks).toString("utf8"));
            });
            channel.end(`${JSON.stringify(asked)}\n`);
          });
        });
        client.connect({
          host: target.host,
          port: target.port,
          username: target.user,
          privateKey,
          readyTimeout: deadlineMs,
          hostVerifier: (shown: Buffer) => isHostKey(shown, target.hostKey),
        });
      });
      return readAnswer(text);
    } finally {
      // Not end(): a server that does not answer would not end it either, and the socket would stay.
      client.destroy();
    }
  };
}
