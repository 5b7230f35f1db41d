/** A configuration that is read again while the Sentinel runs: taken over whole, or refused with every fault. */
import type { SentinelConfig } from "../../../components/shared/agent/sentinelConfig.ts";
import { describeFault, type Checked, type Fault } from "../../../components/shared/faults.ts";
import { loadSentinelConfig } from "../shared/config.ts";
import type { Log } from "../shared/log.ts";

/** What may not change while the Sentinel runs, by property: all but watchdogs, channels, schedules and webhooks. */
function fixedParts({ watch, hooks, ...parts }: SentinelConfig): Readonly<Record<string, unknown>> {
  const { watchdogs: _, channels: __, schedules: ___, ...rest } = watch;
  const ofWatch = Object.entries(rest).map(([key, value]) => [`watch.${key}`, value]);
  return { ...parts, "hooks.listen": hooks?.listen, ...Object.fromEntries(ofWatch) };
}

/** The file's configuration, or why it cannot take the running one's place. Never throws. */
export async function rereadSentinelConfig(file: string, running: SentinelConfig): Promise<Checked<SentinelConfig>> {
  const checked = await loadSentinelConfig(file);
  if (!checked.ok) return checked;
  const [before, after] = [fixedParts(running), fixedParts(checked.value)];
  // Of both: a section that was taken out is changed as well.
  const faults: Fault[] = Object.keys({ ...before, ...after })
    .filter((property) => JSON.stringify(after[property]) !== JSON.stringify(before[property]))
    .map((property) => ({
      property,
      value: "changed",
      limit: "unchanged while the Sentinel runs",
      fix: "Restart the Sentinel to change it.",
    }));
  return faults.length === 0 ? checked : { ok: false, faults };
}

/**
 * What SIGHUP does: the file and every secret that may change are read again, one reading at a time; then all of it is in
 * force, or nothing, and the log says why.
 */
export function rereads(options: {
  /** @default the running configuration itself: only its secrets are read again */
  readonly file: string | undefined;
  readonly running: SentinelConfig;
  readonly log: Log;
  /** Opens what a configuration needs, or rejects; what it gives takes it over. */
  readonly prepare: (config: SentinelConfig) => Promise<readonly (() => void)[]>;
}): () => void {
  const { file, log, prepare } = options;
  let { running } = options;
  let turn = Promise.resolve();

  async function once(): Promise<void> {
    try {
      const read: Checked<SentinelConfig> =
        file === undefined ? { ok: true, value: running } : await rereadSentinelConfig(file, running);
      if (!read.ok) {
        const faults = read.faults.map(describeFault);
        log.error("the new configuration is refused, the running one kept", { file, faults });
        return;
      }
      for (const takeOver of await prepare(read.value)) takeOver();
      running = read.value;
      log.notice("the configuration and its secrets were read again, and are in force", { file });
    } catch (error) {
      log.error("the new configuration cannot be used, the running one kept", { file, error });
    }
  }

  return () => {
    turn = turn.then(once);
  };
}
