import type { Checked } from "./faults.ts";
import { fault } from "./check.ts";

/** CPUs that Linux can have on x86 (CONFIG_NR_CPUS of Debian and Proxmox kernels). */
const mostCpus = 8192;

/** CPU numbers in the kernel's list form: sorted, once each, ranges joined; `[0,1,2,3,16]` is `0-3,16`. */
export function formatCpuList(cpus: readonly number[]): string {
  const sorted = [...new Set(cpus)].sort((a, b) => a - b);
  const ranges: [number, number][] = [];
  for (const cpu of sorted) {
    const last = ranges.at(-1);
    if (last?.[1] === cpu - 1) last[1] = cpu;
    else ranges.push([cpu, cpu]);
  }
  return ranges.map(([from, to]) => (from === to ? String(from) : `${String(from)}-${String(to)}`)).join(",");
}

/** The CPU numbers of a list such as `0-3,16`; the empty text is no CPU. */
export function parseCpuList(property: string, text: string): Checked<number[]> {
  const cpus = new Set<number>();
  const refused: Checked<number[]> = {
    ok: false,
    faults: [fault(property, text, "CPU numbers and ranges such as 0-3,16-19", "Write the list as `lscpu` prints it.")],
  };
  if (text.trim() === "") return { ok: true, value: [] };
  if (text.length > 65_536) return refused;
  for (const part of text.split(",")) {
    const match = /^\s*(\d{1,5})(?:-(\d{1,5}))?\s*$/.exec(part);
    if (match === null) return refused;
    const from = Number(match[1]);
    const to = Number(match[2] ?? match[1]);
    if (from > to || to >= mostCpus) return refused;
    for (let cpu = from; cpu <= to; cpu += 1) cpus.add(cpu);
  }
  return { ok: true, value: [...cpus].sort((a, b) => a - b) };
}
