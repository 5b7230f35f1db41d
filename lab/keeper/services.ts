// The services that share the lab's GPU: light processes that stand for the real ones, with the VRAM those would take.
import { join } from "node:path";

/** One service of the lab, as its card and its Keeper know it. */
export interface LabService {
  readonly name: string;
  /** Ranks of the seed's matrix: 2 EVA, 3 The Sentinel, 4 The Muse and research. */
  readonly rank: 2 | 3 | 4;
  readonly kind: "interactive" | "scan" | "batch";
  readonly vramGB: number;
  /** What the card draws and how warm it gets while this one computes. */
  readonly watts: number;
  readonly celsius: number;
  /** How long its process lives by itself, s. */
  readonly livesSec: number;
}

const untilEnded = 86_400;

/**
 * EVA's model does not fit beside The Muse's, so that VRAM has to move; the scan fits, so that nothing moves.
 */
export const labServices: readonly LabService[] = [
  { name: "eva-core", rank: 2, kind: "interactive", vramGB: 16, watts: 300, celsius: 66, livesSec: untilEnded },
  { name: "sentinel-scan", rank: 3, kind: "scan", vramGB: 3, watts: 140, celsius: 55, livesSec: 20 },
  { name: "muse-images", rank: 4, kind: "batch", vramGB: 10, watts: 280, celsius: 63, livesSec: untilEnded },
  { name: "research", rank: 4, kind: "batch", vramGB: 6, watts: 220, celsius: 60, livesSec: untilEnded },
];

export function pidFileOf(servicesFolder: string, name: string): string {
  return join(servicesFolder, `${name}.pid`);
}

/**
 * Notes its pid, and its start beside it (field 22 of proc(5) stat), so that the number can never be taken for
 * another's; then becomes `sleep`, which costs nothing.
 */
const script = 'cut -d" " -f22 "/proc/$$/stat" >"$1.start" && echo $$ >"$1.new" && mv "$1.new" "$1" && exec sleep "$2"';

/** Command that stands for the service. */
export function workerCommand(servicesFolder: string, name: string): readonly [string, ...string[]] {
  const livesSec = labServices.find((service) => service.name === name)?.livesSec ?? untilEnded;
  return ["/bin/sh", "-c", script, name, pidFileOf(servicesFolder, name), String(livesSec)];
}
