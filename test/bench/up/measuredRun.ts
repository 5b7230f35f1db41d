/** A process run to its end, with its wall time and its own peak memory. */
import { spawn } from "node:child_process";
import { performance } from "node:perf_hooks";
import { undoOnSignal } from "../cleanup.ts";
import { watchTree } from "../processTree.ts";

export interface MeasuredRun {
  readonly ms: number;
  /** Largest VmHWM of the process; NaN where there is no /proc, or when it was too short to be seen. */
  readonly peakMiB: number;
  readonly status: number;
}

/** @throws Error with what it said when it ends with a status that is not among `accept` (default: 0 alone) */
export async function measuredRun(
  file: string,
  args: readonly string[],
  options: { readonly cwd: string; readonly watch: boolean; readonly accept?: readonly number[] },
): Promise<MeasuredRun> {
  const from = performance.now();
  const child = spawn(file, [...args], { cwd: options.cwd, stdio: ["ignore", "pipe", "pipe"] });
  const done = undoOnSignal(() => child.kill("SIGKILL"));
  const watch = options.watch && child.pid !== undefined ? watchTree(child.pid, 50) : undefined;
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => (output += text));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  const ms = performance.now() - from;
  const peaks = watch?.stop();
  done();
  if (code === null || !(options.accept ?? [0]).includes(code))
    throw new Error(`${[file, ...args].join(" ")} ended with status ${String(code)}\n${output.slice(-2000)}`);
  const sizes = Object.values(peaks?.byName ?? {});
  return { ms, peakMiB: sizes.length === 0 ? Number.NaN : Math.max(...sizes), status: code };
}
