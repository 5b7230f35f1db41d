/**
 * Which goodbye an orderly stop says to the ESP32; what follows from each is in `components/shared/agent/watchdogRules.ts`.
 * Only who reboots wants the machine back: after any other stop the silence may last.
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";

export type Goodbye = "rest" | "reboot";

/** Targets of systemd.special(7) that end with this machine up again. */
const comesBack = ["reboot.target", "kexec.target", "soft-reboot.target"];
const run = promisify(execFile);

/** Jobs queued on those targets: systemctl writes a line `Job=NUMBER` where there is one, and nothing where there is none. */
async function queuedJobs(): Promise<string> {
  const { stdout } = await run("systemctl", ["show", "--property=Job", ...comesBack], { timeout: 2000 });
  return stdout;
}

/** In doubt, when systemd does not answer, a rest: a hang that stays unseen is better than a reset of a healthy host. */
export async function whichGoodbye(ask: () => Promise<string> = queuedJobs): Promise<Goodbye> {
  const told = await ask().catch(() => "");
  return /^Job=[1-9]\d*$/m.test(told) ? "reboot" : "rest";
}
