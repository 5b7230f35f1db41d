/** Tells of servers that are to be deleted where the reaper has no credentials: nobody would notice them but the bill. */
import type { Log } from "../../shared/log.ts";
import type { ForeignFinding } from "../watch/watchdogs.ts";
import type { strandedOf } from "./doom.ts";
import type { ProviderKind } from "./types.ts";

type Stranded = ReturnType<typeof strandedOf>;

const kinds: readonly ProviderKind[] = ["proxmox", "lightsail"];
const rule = { failures: 1, successes: 1 };

/** What is to be said of one provider without credentials; without a kind, of agents whose provider nobody named. */
function findingOf(kind: ProviderKind | undefined, names: readonly string[]): ForeignFinding {
  const subject = kind === undefined ? "reaper" : `reaper at ${kind}`;
  if (names.length === 0) return { subject, finding: { ok: true, detail: "nothing is to be deleted there" }, rule };
  const missing = kind === undefined ? "no provider" : `no credentials for ${kind} (watch.reaper.${kind})`;
  const detail =
    `the servers of ${names.join(", ")} are to be deleted and stay: the reaper has ${missing}. ` +
    "Give it some, or delete them: hive agent destroy NAME";
  return { subject, finding: { ok: false, detail }, rule };
}

export interface StrandedTeller {
  /** What has changed since the last turn; the first one says how everything is, for a restart may have solved it. */
  turn(stranded: Stranded, configured: readonly ProviderKind[]): readonly ForeignFinding[];
  /** Names of those agents. */
  agents(): readonly string[];
}

export function createStranded(log: Log): StrandedTeller {
  const said = new Map<string, string>();
  let agents: readonly string[] = [];
  return {
    turn(stranded, configured) {
      agents = stranded.map(({ agent }) => agent);
      const unseen = kinds.filter((kind) => !configured.includes(kind));
      return [undefined, ...unseen].flatMap((kind) => {
        const names = stranded.filter(({ provider }) => provider === kind).map(({ agent }) => agent);
        const told = findingOf(kind, names.toSorted());
        if (said.get(told.subject) === told.finding.detail) return [];
        said.set(told.subject, told.finding.detail);
        if (names.length > 0) log.warning("reaper", { reason: told.finding.detail });
        return [told];
      });
    },
    agents: () => agents,
  };
}
