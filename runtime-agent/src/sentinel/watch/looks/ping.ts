/**
 * One echo by the system's `ping` (iputils or busybox), which may send where Node cannot: by its own capability, or by
 * ICMP sockets (sysctl net.ipv4.ping_group_range).
 */
import { spawn } from "node:child_process";
import type { Finding } from "../core/watchdog.ts";
import { onDeadline } from "../deadline.ts";

export interface PingLook {
  readonly host: string;
  readonly deadlineMs: number;
  /** @default "ping", by PATH */
  readonly program?: string;
  readonly stop?: AbortSignal | undefined;
}

const mostOutput = 4096;

/** Time to live and round trip are on the line of the answer: `time=0.043 ms`. */
function roundTrip(output: string): string {
  const [, ms] = /time[=<]([\d.]+) ?ms/.exec(output) ?? [];
  return ms === undefined ? "answered" : `answered in ${ms} ms`;
}

export function lookPing({ host, deadlineMs, stop, program = "ping" }: PingLook): Promise<Finding> {
  const seconds = String(Math.max(1, Math.ceil(deadlineMs / 1000)));
  return new Promise((resolve) => {
    // A host that begins with a dash cannot be: the configuration refuses it.
    const child = spawn(program, ["-n", "-c", "1", "-w", seconds, host], {
      stdio: ["ignore", "pipe", "ignore"],
      env: { PATH: process.env.PATH ?? "/usr/bin:/bin", LC_ALL: "C" },
    });
    let output = "";
    const end = (finding: Finding): void => {
      callOff();
      child.stdout.destroy();
      resolve(finding);
    };
    const callOff = onDeadline(deadlineMs, stop, (detail) => {
      child.kill("SIGKILL");
      end({ ok: false, detail });
    });
    child.stdout.on("data", (part: Buffer) => {
      output = (output + part.toString("latin1")).slice(-mostOutput);
    });
    child.on("error", () => end({ ok: false, detail: "the program ping cannot be started: install iputils-ping" }));
    child.on("close", (code) => {
      if (code === 0) end({ ok: true, detail: roundTrip(output) });
      // ping(8): 1 when nothing came back, 2 for everything else.
      else end({ ok: false, detail: code === 1 ? "no echo" : "ping failed: no such name, or it may not send" });
    });
  });
}
